"use strict";
/**
 * Large JPEGs at a half, a quarter or an eighth of their size, as image_decoding.py has libjpeg decode them. Browsers decode
 * them whole only; but libjpeg's smaller pictures are the means of the fields of the whole one, plane by plane, so they
 * can be had from it, but for rounding. Halved colour planes are first freed of the smoothing they were doubled with.
 */
const Jpeg = (() => {
  /** {orientation, sampling, bytes}: of a JPEG; bytes without the orientation, so that no browser turns it. */
  function facts(bytes) {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    let orientation = 1, sampling = [], plain = bytes;
    for (let at = 2; at + 4 <= bytes.length && bytes[at] === 0xff;) {
      const marker = bytes[at + 1], size = view.getUint16(at + 2), start = at + 4;
      if (marker === 0xff) { at++; continue; } // filling
      if (marker === 0xda) break;
      if (marker === 0xe1 && plain === bytes && String.fromCharCode(...bytes.subarray(start, start + 6)) === "Exif\0\0") {
        orientation = Pixels.orientationOf(bytes.subarray(start, at + 2 + size));
        plain = bytes.slice();
        plain[start] = 0x4a; // no longer Exif
      }
      if (marker >= 0xc0 && marker <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(marker)) {
        sampling = Array.from({ length: bytes[start + 5] }, (_, i) => bytes[start + 7 + 3 * i]);
      }
      at += 2 + size;
    }
    return { orientation, sampling, bytes: plain };
  }

  /** The part of its size at which a picture is decoded: 1, 2, 4 or 8. least: pixels that must remain of a side */
  function part(width, height, least) {
    const most = Math.min(Math.floor(width / least), Math.floor(height / least));
    return [8, 4, 2].find((s) => s <= most) || 1;
  }

  /**
   * A whole picture at 1 / s of its size. sampling: of its planes; where it begins with 0x22 colours are stored at half
   * of the width and height, with 0x21 at half of the width, and stay so in the smaller picture
   */
  function reduced({ width, height, data }, s, sampling) {
    const colours = sampling.length === 3 && sampling[1] === 0x11 && sampling[2] === 0x11;
    const halved = colours && sampling[0] === 0x22, narrow = colours && sampling[0] === 0x21;
    let w = Math.ceil(width / 2), h = Math.ceil(height / 2);
    const planes = [0, 1, 2].map(() => new Float32Array(w * h));
    for (let y = 0, to = 0; y < h; y++) {
      const a = 2 * y * width, b = Math.min(2 * y + 1, height - 1) * width;
      for (let x = 0; x < w; x++, to++) {
        const left = 2 * x, right = Math.min(2 * x + 1, width - 1);
        const i = 3 * (a + left), j = 3 * (a + right), k = 3 * (b + left), l = 3 * (b + right);
        const red = (data[i] + data[j] + data[k] + data[l]) / 4;
        const green = (data[i + 1] + data[j + 1] + data[k + 1] + data[l + 1]) / 4;
        const blue = (data[i + 2] + data[j + 2] + data[k + 2] + data[l + 2]) / 4;
        const light = 0.299 * red + 0.587 * green + 0.114 * blue;
        planes[0][to] = light;
        planes[1][to] = (blue - light) / 1.772;
        planes[2][to] = (red - light) / 1.402;
      }
    }
    if (halved || narrow) for (const plane of planes.slice(1)) sharpened(plane, w, h, halved);
    let small = planes;
    for (let done = 2; done < s; done *= 2) {
      small = small.map((plane) => halve(plane, w, h));
      w = Math.ceil(w / 2);
      h = Math.ceil(h / 2);
    }
    if (narrow) small = [small[0], ...small.slice(1).map((plane) => doubled(plane, w, h))];
    return { width: w, height: h, data: joined(small, w * h) };
  }

  /**
   * Takes off what doubling and taking means did to a plane: 1/8, 3/4, 1/8 along rows, and, where `both`, along columns.
   * It is undone exactly, by elimination along each line.
   */
  function sharpened(plane, w, h, both) {
    const line = (start, step, n) => {
      if (n < 2) return;
      const share = new Float64Array(n), value = new Float64Array(n);
      for (let i = 0; i < n; i++) {
        const middle = (i === 0 || i === n - 1 ? 7 : 6) - (i ? share[i - 1] : 0);
        share[i] = 1 / middle;
        value[i] = (8 * plane[start + i * step] - (i ? value[i - 1] : 0)) / middle;
      }
      for (let i = n - 1; i >= 0; i--) {
        if (i < n - 1) value[i] -= share[i] * value[i + 1];
        plane[start + i * step] = value[i];
      }
    };
    for (let y = 0; y < h; y++) line(y * w, 1, w);
    if (both) for (let x = 0; x < w; x++) line(x, w, h);
  }

  /** A plane at half of its width, doubled again as libjpeg does: three quarters of the nearer, one of the farther. */
  function doubled(plane, w, h) {
    const out = new Float32Array(w * h), half = Math.ceil(w / 2), line = new Float32Array(half);
    for (let y = 0; y < h; y++) {
      const from = y * w;
      for (let i = 0; i < half; i++) line[i] = Math.round((plane[from + 2 * i] + plane[from + Math.min(2 * i + 1, w - 1)]) / 2);
      for (let x = 0; x < w; x++) {
        const i = x >> 1, other = Math.min(half - 1, Math.max(0, x & 1 ? i + 1 : i - 1));
        out[from + x] = Math.floor((3 * line[i] + line[other] + (x & 1 ? 2 : 1)) / 4);
      }
    }
    return out;
  }

  function halve(plane, w, h) {
    const half = Math.ceil(w / 2), rows = Math.ceil(h / 2), out = new Float32Array(half * rows);
    for (let y = 0, to = 0; y < rows; y++) {
      const a = 2 * y * w, b = Math.min(2 * y + 1, h - 1) * w;
      for (let x = 0; x < half; x++, to++) {
        const left = 2 * x, right = Math.min(2 * x + 1, w - 1);
        out[to] = (plane[a + left] + plane[a + right] + plane[b + left] + plane[b + right]) / 4;
      }
    }
    return out;
  }

  /** Light and colours, each rounded first, as RGB. Source: JFIF 1.02, and libjpeg's rounding of it. */
  function joined([light, blue, red], n) {
    const out = new Uint8ClampedArray(3 * n), fixed = (v) => Math.round(v * 65536);
    const [a, b, c, d] = [1.402, 1.772, 0.71414, 0.34414].map(fixed);
    for (let i = 0, to = 0; i < n; i++, to += 3) {
      const y = Math.min(255, Math.max(0, Math.round(light[i])));
      const cb = Math.min(127, Math.max(-128, Math.round(blue[i]))), cr = Math.min(127, Math.max(-128, Math.round(red[i])));
      out[to] = y + ((a * cr + 32768) >> 16);
      out[to + 1] = y + ((-d * cb + 32768 - c * cr) >> 16);
      out[to + 2] = y + ((b * cb + 32768) >> 16);
    }
    return new Uint8Array(out.buffer);
  }

  return { facts, part, reduced };
})();
