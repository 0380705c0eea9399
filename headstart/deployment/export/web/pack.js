"use strict";
/** Files that Headstart reads: SHA-256, ZIP, .npy and .npz, safetensors, in as much of each as a model folder needs. */
const Pack = (() => {
  const utf8 = (text) => new TextEncoder().encode(text);

  function join(parts) {
    const out = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
    let at = 0;
    for (const part of parts) { out.set(part, at); at += part.length; }
    return out;
  }

  /** The first bits of the fractions of roots of primes, from which SHA-256 takes its constants. */
  function roots(count, power) {
    const found = [];
    for (let n = 2; found.length < count; n++) {
      let prime = true;
      for (let d = 2; d * d <= n; d++) if (n % d === 0) { prime = false; break; }
      if (prime) found.push(Math.floor((n ** power % 1) * 4294967296));
    }
    return found;
  }
  const CONSTANTS = Uint32Array.from(roots(64, 1 / 3)), FIRST = roots(8, 1 / 2);

  /**
   * SHA-256 of bytes as 32 bytes. The browser's own is withheld from pages served without https.
   * Source: FIPS 180-4, section 6.2.
   */
  function sha256(bytes) {
    const state = Uint32Array.from(FIRST), length = bytes.length, padded = new Uint8Array(((length + 72) >> 6) << 6);
    padded.set(bytes);
    padded[length] = 0x80;
    const view = new DataView(padded.buffer), w = new Uint32Array(64), end = padded.length;
    view.setUint32(end - 8, Math.floor(length / 536870912));
    view.setUint32(end - 4, (length << 3) >>> 0);
    const turn = (x, n) => (x >>> n) | (x << (32 - n));
    for (let at = 0; at < end; at += 64) {
      for (let i = 0; i < 16; i++) w[i] = view.getUint32(at + 4 * i);
      for (let i = 16; i < 64; i++) {
        const a = w[i - 15], b = w[i - 2];
        w[i] = w[i - 16] + (turn(a, 7) ^ turn(a, 18) ^ (a >>> 3)) + w[i - 7] + (turn(b, 17) ^ turn(b, 19) ^ (b >>> 10));
      }
      let [a, b, c, d, e, f, g, h] = state;
      for (let i = 0; i < 64; i++) {
        const one = (h + (turn(e, 6) ^ turn(e, 11) ^ turn(e, 25)) + ((e & f) ^ (~e & g)) + CONSTANTS[i] + w[i]) | 0;
        const two = ((turn(a, 2) ^ turn(a, 13) ^ turn(a, 22)) + ((a & b) ^ (a & c) ^ (b & c))) | 0;
        [h, g, f, e, d, c, b, a] = [g, f, e, (d + one) | 0, c, b, a, (one + two) | 0];
      }
      [a, b, c, d, e, f, g, h].forEach((v, i) => { state[i] += v; });
    }
    const out = new DataView(new ArrayBuffer(32));
    state.forEach((v, i) => out.setUint32(4 * i, v));
    return new Uint8Array(out.buffer);
  }

  const hex = (bytes) => Array.from(bytes, (b) => b.toString(16).padStart(2, "0")).join("");

  /** The digest of one file as card.json pins it; see digest.of_files. */
  const digestOf = (bytes) => `sha256:${hex(sha256(sha256(bytes)))}`;

  const TABLE = Uint32Array.from({ length: 256 }, (_, n) => {
    for (let bit = 0; bit < 8; bit++) n = n & 1 ? 0xedb88320 ^ (n >>> 1) : n >>> 1;
    return n;
  });

  function crc32(bytes) {
    let sum = 0xffffffff;
    for (let i = 0; i < bytes.length; i++) sum = TABLE[(sum ^ bytes[i]) & 255] ^ (sum >>> 8);
    return (sum ^ 0xffffffff) >>> 0;
  }

  /** A ZIP file of stored entries. files: {name: Uint8Array}. Source: PKWARE, APPNOTE.TXT. */
  function zip(files) {
    const parts = [], index = [];
    let at = 0;
    const record = (size, fields) => {
      const view = new DataView(new ArrayBuffer(size));
      for (const [offset, bytes, value] of fields) bytes === 2 ? view.setUint16(offset, value, true) : view.setUint32(offset, value, true);
      return new Uint8Array(view.buffer);
    };
    for (const [name, content] of Object.entries(files)) {
      const label = utf8(name), size = content.length, sum = crc32(content);
      // 0x0021 is 1 January 1980: equal content, equal file.
      const common = [[0, 2, 20], [2, 2, 0x0800], [4, 2, 0], [6, 2, 0], [8, 2, 0x0021], [10, 4, sum], [14, 4, size], [18, 4, size], [22, 2, label.length]];
      const shifted = (by) => common.map(([offset, bytes, value]) => [offset + by, bytes, value]);
      const local = record(30, [[0, 4, 0x04034b50], ...shifted(4)]);
      index.push(record(46, [[0, 4, 0x02014b50], [4, 2, 20], ...shifted(6), [42, 4, at]]), label);
      parts.push(local, label, content);
      at += local.length + label.length + size;
    }
    const size = index.reduce((sum, part) => sum + part.length, 0), many = index.length / 2;
    const end = record(22, [[0, 4, 0x06054b50], [8, 2, many], [10, 2, many], [12, 4, size], [16, 4, at]]);
    return join([...parts, ...index, end]);
  }

  const KINDS = new Map([[Float32Array, ["<f4", "F32"]], [Float64Array, ["<f8", "F64"]], [Uint8Array, ["|u1", "U8"]]]);
  const raw = (array) => new Uint8Array(array.buffer, array.byteOffset, array.byteLength);

  /** An array as NumPy keeps it: version 1.0, C order. */
  function npy(array, shape) {
    const shown = shape.length === 1 ? `${shape[0]},` : shape.join(", ");
    const header = `{'descr': '${KINDS.get(array.constructor)[0]}', 'fortran_order': False, 'shape': (${shown}), }`;
    const padded = header.padEnd(Math.ceil((header.length + 11) / 64) * 64 - 11) + "\n";
    const start = Uint8Array.of(0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59, 1, 0, padded.length & 255, padded.length >> 8);
    return join([start, utf8(padded), raw(array)]);
  }

  /** arrays: {name: [typed array, shape]} */
  function npz(arrays) {
    return zip(Object.fromEntries(Object.entries(arrays).map(([name, [array, shape]]) => [`${name}.npy`, npy(array, shape)])));
  }

  /** arrays: {name: [typed array, shape]} */
  function safetensors(arrays) {
    const header = {}, parts = [];
    let at = 0;
    for (const [name, [array, shape]] of Object.entries(arrays)) {
      header[name] = { dtype: KINDS.get(array.constructor)[1], shape, data_offsets: [at, at + array.byteLength] };
      parts.push(raw(array));
      at += array.byteLength;
    }
    let text = JSON.stringify(header);
    text = text.padEnd(Math.ceil(text.length / 8) * 8);
    const size = new DataView(new ArrayBuffer(8));
    size.setUint32(0, utf8(text).length, true);
    return join([new Uint8Array(size.buffer), utf8(text), ...parts]);
  }

  /** What a safetensors file holds: {name: {shape, values}}; half precision becomes Float32Array. */
  function tensors(bytes) {
    const view = new DataView(bytes.buffer, bytes.byteOffset), size = view.getUint32(0, true), from = 8 + size;
    const header = JSON.parse(new TextDecoder().decode(bytes.subarray(8, from))), found = {};
    for (const [name, { dtype, shape, data_offsets: [a, b] }] of Object.entries(header)) {
      if (name === "__metadata__") continue;
      const part = bytes.slice(from + a, from + b).buffer;
      const values = {
        F32: () => new Float32Array(part), F64: () => new Float64Array(part), I8: () => new Int8Array(part),
        F16: () => Float32Array.from(new Uint16Array(part), half),
      }[dtype];
      found[name] = { shape, values: values() };
    }
    return found;
  }

  /** The number that 16 bits stand for. */
  function half(bits) {
    const sign = bits & 0x8000 ? -1 : 1, exponent = (bits >> 10) & 31, fraction = bits & 1023;
    if (exponent === 31) return fraction ? NaN : sign * Infinity;
    return sign * (exponent ? 2 ** (exponent - 15) * (1 + fraction / 1024) : 2 ** -24 * fraction);
  }

  return { crc32, digestOf, zip, npz, safetensors, tensors, utf8 };
})();
