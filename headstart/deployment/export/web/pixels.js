"use strict";
/** From the bytes of an image file to upright RGB pixels, and to the network's input: the twin of image_decoding.py and preprocess/image.py. */
const Pixels = (() => {
  const LARGEST = 178956970, LONGEST = 100;

  /**
   * {width, height, data: Uint8Array (h * w * 3)}, upright, over white. Throws an Error whose message is the reason.
   * least: pixels that must remain of the shorter side of a JPEG, which has many more; 0 for all of it
   */
  async function decode(bytes, least = 0) {
    if (!bytes.length) throw new Error("the file is empty (0 bytes)");
    const { type, refused } = kindOf(bytes);
    if (refused) throw new Error(refused);
    let orientation = 1, sampling = [];
    // Browsers differ in whether they turn WebP photos, and fields of a JPEG begin where the file does: none is turned.
    if (type === "image/webp") [bytes, orientation] = webpUnturned(bytes);
    if (type === "image/jpeg") ({ bytes, orientation, sampling } = Jpeg.facts(bytes));
    let picture;
    try {
      picture = await createImageBitmap(new Blob([bytes], { type }), {
        colorSpaceConversion: "none", premultiplyAlpha: "none", imageOrientation: "from-image",
      });
    } catch {
      const name = type.slice(6).toUpperCase();
      throw new Error(`this browser cannot read it: the ${name} is damaged or ends early, or ${name} is unknown here`);
    }
    const { width, height } = picture;
    if (width * height > LARGEST) throw new Error(`${width} x ${height} pixels: more than 179 million`);
    const data = opaque(picture);
    picture.close();
    if (type === "image/png" && bytes[24] === 16 && !fills(data)) {
      throw new Error("this PNG has 16 bits and uses few of them: what is white is not known. Save it in 8 bits");
    }
    const whole = { width, height, data }, part = sampling.length && least ? Jpeg.part(width, height, least) : 1;
    return turned(part > 1 ? Jpeg.reduced(whole, part, sampling) : whole, orientation);
  }

  /** Whether more than single pixels are brighter than a third, as in a picture that uses all of its bits. */
  const fills = (data) => data.reduce((sum, v) => sum + (v >= 85), 0) > Math.max(4, 0.005 * data.length);

  /** Pixels (h * w * 3) of anything a canvas can draw, over white. */
  function opaque(picture) {
    const { width, height } = picture;
    const canvas = document.createElement("canvas");
    canvas.width = width;
    canvas.height = height;
    // Without willReadFrequently a graphics card may keep the picture, and it rounds otherwise.
    const pen = canvas.getContext("2d", { willReadFrequently: true, colorSpace: "srgb" });
    if (!pen) throw new Error("this browser has no memory for a picture of that size");
    pen.fillStyle = "#fff";
    pen.fillRect(0, 0, width, height);
    pen.drawImage(picture, 0, 0);
    const full = pen.getImageData(0, 0, width, height).data, data = new Uint8Array(width * height * 3);
    for (let i = 0, j = 0; j < data.length; i += 4, j += 3) {
      data[j] = full[i];
      data[j + 1] = full[i + 1];
      data[j + 2] = full[i + 2];
    }
    return data;
  }

  const starts = (bytes, text, at = 0) => [...text].every((c, i) => bytes[at + i] === c.charCodeAt(0));

  /** The media type of an image that browsers may read, or why the file is none. */
  function kindOf(b) {
    if (b[0] === 0xff && b[1] === 0xd8) return { type: "image/jpeg" };
    if (starts(b, "\x89PNG")) return { type: "image/png" };
    if (starts(b, "GIF8")) return { type: "image/gif" };
    if (starts(b, "BM")) return { type: "image/bmp" };
    if (starts(b, "RIFF") && starts(b, "WEBP", 8)) return { type: "image/webp" };
    if (starts(b, "\0\0\x01\0")) return { type: "image/x-icon" };
    if (starts(b, "ftyp", 4)) {
      const brand = String.fromCharCode(...b.subarray(8, 12));
      if (brand === "avif" || brand === "avis") return { type: "image/avif" };
      if (["heic", "heix", "hevc", "heim", "heis", "mif1", "msf1"].includes(brand)) {
        return { refused: "HEIC photos cannot be read: convert it to JPEG first" };
      }
      return { refused: "not an image: it looks like a video" };
    }
    if (starts(b, "II*\0") || starts(b, "MM\0*")) return { refused: "browsers do not read TIFF: save it as PNG first" };
    if (starts(b, "\0\0\0\x0cjP  ") || starts(b, "\xff\x4f\xff\x51")) {
      return { refused: "browsers do not read JPEG 2000: save it as PNG first" };
    }
    if (b[0] === 0x50 && b[1] >= 0x31 && b[1] <= 0x36 && b[2] <= 0x20) {
      return { refused: "browsers do not read PPM: save it as PNG first" };
    }
    const head = String.fromCharCode(...b.subarray(0, 512)).toLowerCase();
    if (head.includes("<svg")) return { refused: "SVG is a drawing and no photo: export it as PNG first" };
    if (starts(b, "%PDF")) return { refused: "not an image: it looks like a PDF" };
    return { refused: "not an image of a kind that browsers read" };
  }

  /** A WebP file whose EXIF block is renamed, so that no browser turns it, and the orientation that it stated. */
  function webpUnturned(bytes) {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    for (let at = 12; at + 8 <= bytes.length;) {
      const size = view.getUint32(at + 4, true);
      if (starts(bytes, "EXIF", at)) {
        const orientation = orientationOf(bytes.subarray(at + 8, at + 8 + size));
        const copy = bytes.slice();
        copy.set([0x4a, 0x55, 0x4e, 0x4b], at);
        return [copy, orientation];
      }
      at += 8 + size + (size & 1);
    }
    return [bytes, 1];
  }

  /** Tag 0x0112 of an EXIF block; 1 where there is none. */
  function orientationOf(exif) {
    if (starts(exif, "Exif\0\0")) exif = exif.subarray(6);
    if (exif.length < 14) return 1;
    const view = new DataView(exif.buffer, exif.byteOffset, exif.byteLength), little = starts(exif, "II");
    const from = view.getUint32(4, little);
    if (from + 2 > exif.length) return 1;
    const many = view.getUint16(from, little);
    for (let i = 0, at = from + 2; i < many && at + 12 <= exif.length; i++, at += 12) {
      if (view.getUint16(at, little) === 0x0112) return view.getUint16(at + 8, little);
    }
    return 1;
  }

  /** Turned and mirrored as an EXIF orientation says. */
  function turned(picture, orientation) {
    if (!(orientation > 1 && orientation < 9)) return picture;
    const { width: w, height: h, data } = picture, across = orientation >= 5;
    const width = across ? h : w, height = across ? w : h, out = new Uint8Array(data.length);
    const right = [2, 3, 7, 8].includes(orientation), down = [3, 4, 6, 7].includes(orientation);
    for (let y = 0; y < height; y++) {
      for (let x = 0; x < width; x++) {
        let a = across ? y : x, b = across ? x : y;
        if (right) a = w - 1 - a;
        if (down) b = h - 1 - b;
        const from = (b * w + a) * 3, to = (y * width + x) * 3;
        out[to] = data[from];
        out[to + 1] = data[from + 1];
        out[to + 2] = data[from + 2];
      }
    }
    return { width, height, data: out };
  }

  /**
   * Resized and cropped to the network's input, Uint8Array (height * width * 3): equal to image.py byte by byte.
   * facts: crop_mode, crop_pct, input_size [3, h, w], interpolation, mean
   */
  function fitted(picture, facts) {
    const [, height, width] = facts.input_size;
    const scaledH = Math.floor(height / facts.crop_pct), scaledW = Math.floor(width / facts.crop_pct);
    let size;
    if (facts.crop_mode === "squash") size = [scaledW, scaledH];
    else if (facts.crop_mode === "border") {
      const ratio = Math.max(picture.height / scaledH, picture.width / scaledW);
      size = [Math.max(1, even(picture.width / ratio)), Math.max(1, even(picture.height / ratio))];
    } else {
      picture = middle(picture);
      size = shorterEdge(picture.width, picture.height, scaledH, scaledW);
    }
    const fill = facts.crop_mode === "border" ? facts.mean.map((m) => even(255 * m)) : [0, 0, 0];
    return centre(Resize.resize(picture, size[0], size[1], facts.interpolation), height, width, fill);
  }

  /** To the nearest whole number, halves to the even one, as Python rounds. */
  function even(x) {
    const low = Math.floor(x), off = x - low;
    if (off !== 0.5) return Math.round(x);
    return low % 2 ? low + 1 : low;
  }

  function shorterEdge(w, h, height, width) {
    if (height === width) {
      return w <= h ? [width, Math.trunc((width * h) / w)] : [Math.trunc((height * w) / h), height];
    }
    const ratio = Math.min(h / height, w / width);
    return [Math.max(1, even(w / ratio)), Math.max(1, even(h / ratio))];
  }

  /** Without the ends of a picture so long that resizing all of it could exhaust memory. */
  function middle(picture) {
    const { width: w, height: h } = picture;
    if (Math.max(w, h) <= LONGEST * Math.min(w, h)) return picture;
    const keepW = Math.min(w, LONGEST * h), keepH = Math.min(h, LONGEST * w);
    return cropped(picture, Math.floor((w - keepW) / 2), Math.floor((h - keepH) / 2), keepW, keepH, [0, 0, 0]);
  }

  /** The middle height x width; what is smaller is padded first. */
  function centre(picture, height, width, fill) {
    let { width: w, height: h } = picture;
    if (w < width || h < height) {
      const left = Math.floor(Math.max(width - w, 0) / 2), top = Math.floor(Math.max(height - h, 0) / 2);
      picture = cropped(picture, -left, -top, Math.max(w, width), Math.max(h, height), fill);
      ({ width: w, height: h } = picture);
    }
    return cropped(picture, even((w - width) / 2), even((h - height) / 2), width, height, fill).data;
  }

  /** A box of a picture; what lies outside of it is `fill`. */
  function cropped(picture, left, top, width, height, fill) {
    if (!left && !top && width === picture.width && height === picture.height) return picture;
    const data = new Uint8Array(width * height * 3);
    for (let y = 0; y < height; y++) {
      for (let x = 0; x < width; x++) {
        const a = x + left, b = y + top, to = (y * width + x) * 3;
        const inside = a >= 0 && b >= 0 && a < picture.width && b < picture.height;
        for (let c = 0; c < 3; c++) data[to + c] = inside ? picture.data[(b * picture.width + a) * 3 + c] : fill[c];
      }
    }
    return { width, height, data };
  }

  return { decode, fitted, opaque, orientationOf };
})();
