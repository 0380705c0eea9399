"use strict";
/** Pillow's resizing of 8-bit pictures, equal byte by byte: whole-number weights, first across, then down. */
const Resize = (() => {
  const BITS = 22; // of a weight's fraction, so that a sum of products fits into 32 bits

  const cubic = (x) => {
    x = Math.abs(x);
    if (x < 1) return (1.5 * x - 2.5) * x * x + 1;
    return x < 2 ? ((-0.5 * x + 2.5) * x - 4) * x + 2 : 0;
  };
  const sinc = (x) => (x === 0 ? 1 : Math.sin(Math.PI * x) / (Math.PI * x));
  const FILTERS = {
    box: [0.5, (x) => (x > -0.5 && x <= 0.5 ? 1 : 0)],
    bilinear: [1, (x) => Math.max(0, 1 - Math.abs(x))],
    hamming: [1, (x) => (Math.abs(x) >= 1 ? 0 : sinc(x) * (0.54 + 0.46 * Math.cos(Math.PI * x)))],
    bicubic: [2, cubic],
    lanczos: [3, (x) => (x >= -3 && x < 3 ? sinc(x) * sinc(x / 3) : 0)],
  };

  /** For each of `to` places: the first of `from` that it takes, and the weights of it and those after it. */
  function weights(from, to, name) {
    if (!FILTERS[name]) throw new Error(`interpolation ${name} is unknown to this page`);
    const [reach, filter] = FILTERS[name], scale = from / to, wide = Math.max(scale, 1), support = reach * wide;
    return Array.from({ length: to }, (_, at) => {
      const centre = (at + 0.5) * scale;
      const first = Math.max(0, Math.trunc(centre - support + 0.5));
      const many = Math.min(from, Math.trunc(centre + support + 0.5)) - first;
      const real = Array.from({ length: many }, (_, i) => filter((i + first - centre + 0.5) * (1 / wide)));
      let total = 0;
      for (const w of real) total += w;
      const whole = real.map((w) => (total ? w / total : w) * (1 << BITS));
      return { first, whole: Int32Array.from(whole, (w) => Math.trunc(w < 0 ? w - 0.5 : w + 0.5)) };
    });
  }

  const clip = (sum) => { const v = sum >> BITS; return v < 0 ? 0 : v > 255 ? 255 : v; };

  /**
   * picture: {width, height, data: Uint8Array (h * w * 3)}. Gives another one, or the same where the size is.
   * Pillow 13 goes down first where the picture shrinks more that way; the rounding between the passes shows which.
   */
  function resize(picture, width, height, name) {
    const { width: w, height: h } = picture, downFirst = height < h && 2 * (w - width) < h - height;
    const passes = [(p) => (w === width ? p : across(p, width, name)), (p) => (h === height ? p : down(p, height, name))];
    for (const pass of downFirst ? passes.reverse() : passes) picture = pass(picture);
    return picture;
  }

  function across({ width: from, height, data }, width, name) {
    const out = new Uint8Array(width * height * 3), half = 1 << (BITS - 1), places = weights(from, width, name);
    for (let y = 0, to = 0; y < height; y++) {
      for (let x = 0; x < width; x++, to += 3) {
        const { first, whole } = places[x], many = whole.length;
        let r = half, g = half, b = half;
        for (let i = 0, at = (y * from + first) * 3; i < many; i++, at += 3) {
          const w = whole[i];
          r += data[at] * w;
          g += data[at + 1] * w;
          b += data[at + 2] * w;
        }
        out[to] = clip(r);
        out[to + 1] = clip(g);
        out[to + 2] = clip(b);
      }
    }
    return { width, height, data: out };
  }

  function down({ width, height: from, data }, height, name) {
    const row = width * 3, out = new Uint8Array(row * height), sums = new Int32Array(row);
    weights(from, height, name).forEach(({ first, whole }, y) => {
      sums.fill(1 << (BITS - 1));
      for (let i = 0; i < whole.length; i++) {
        const w = whole[i], at = (first + i) * row;
        for (let j = 0; j < row; j++) sums[j] += data[at + j] * w;
      }
      for (let j = 0; j < row; j++) out[y * row + j] = clip(sums[j]);
    });
    return { width, height, data: out };
  }

  return { resize };
})();
