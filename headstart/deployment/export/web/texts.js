"use strict";
/** Texts as token ids in windows, and static vectors of tokens: the twins of text.py, pieces.py and static_embeddings.py. */
const Texts = (() => {
  const CHARACTERS = 16; // looked at, per token that can be read
  const OPENING = 4; // tokens over which the layer of static vectors is averaged by themselves

  const beginning = (text, most) => (text.length <= most ? text : Array.from(text).slice(0, most).join(""));

  /**
   * A text's windows for an encoder: arrays of ids with special tokens. Throws an Error saying why there are none.
   * facts: max_length, windows, prompt, lower, before, after
   */
  function windows(pieces, text, facts) {
    if (!WordPiece.strip(text)) throw new Error("the text is empty");
    const room = facts.max_length - facts.before.length - facts.after.length;
    text = facts.prompt + beginning(WordPiece.strip(text), facts.windows * room * CHARACTERS);
    const ids = WordPiece.encode(pieces, facts.lower ? text.toLowerCase() : text);
    if (!ids.length) throw new Error("no token is left of the text");
    const first = Math.min(ids.length, room), rest = ids.length - first, count = Math.ceil(rest / room);
    const edges = [0, first];
    for (let i = 1; i <= count; i++) edges.push(first + Math.floor((rest * i) / count));
    return edges.slice(0, -1).map((from, i) => [...facts.before, ...ids.slice(from, edges[i + 1]), ...facts.after])
      .slice(0, facts.windows);
  }

  /** Static vectors at work. found: the tensors of static.Static, from a safetensors file. */
  function statics(found) {
    const [, d] = found.vectors.shape, [k, c] = found.here.shape.length === 2 ? found.here.shape : [0, 0];
    return { found, d, k, c, seen: new Map(), width: d + found.out.shape[0] };
  }

  /** What a token brings to each map of the layer: three arrays (c), made when it is first met. */
  function layerOf(statics, token) {
    const { found, d, k, c, seen } = statics;
    let made = seen.get(token);
    if (made) return made;
    made = ["before", "here", "after"].map((name) => {
      const out = new Float64Array(c), map = found[name].values;
      for (let i = 0; i < k; i++) {
        const v = found.vectors.values[token * d + i] * found.scales.values[token];
        for (let j = 0; j < c; j++) out[j] += v * map[i * c + j];
      }
      return out;
    });
    seen.set(token, made);
    return made;
  }

  /** The row of one text, Float32Array (width) of length 1. Throws an Error when no token is left of it. */
  function row(statics, pieces, text, most) {
    const ids = WordPiece.encode(pieces, beginning(WordPiece.strip(text), most * CHARACTERS), most);
    if (!ids.length) throw new Error(WordPiece.strip(text) ? "no token is left of the text" : "the text is empty");
    const { found, d, c } = statics, mean = new Float64Array(d);
    for (const token of ids) {
      const far = found.scales.values[token] * found.weights.values[token];
      for (let j = 0; j < d; j++) mean[j] += far * found.vectors.values[token * d + j];
    }
    for (let j = 0; j < d; j++) mean[j] = mean[j] / ids.length + found.bias.values[j];
    if (!c) return Float32Array.from(unit(mean));
    const seen = looked(statics, ids), out = found.out.values;
    for (let i = 0; i < 2 * c; i++) for (let j = 0; j < d; j++) mean[j] += seen[i] * out[i * d + j];
    const whole = new Float64Array(d + 2 * c);
    whole.set(unit(mean));
    for (let i = 0; i < 2 * c; i++) whole[d + i] = (seen[i] - found.centre.values[i]) * found.spread.values[i];
    return Float32Array.from(unit(whole));
  }

  /** Means of what the layer sees, over the text and over its opening: (2 c). */
  function looked(statics, ids) {
    const { found, c } = statics, out = new Float64Array(2 * c), opening = Math.min(ids.length, OPENING);
    const [places] = found.places.shape;
    ids.forEach((token, at) => {
      const here = layerOf(statics, token)[1], place = Math.min(at, places - 1) * c;
      const before = at ? layerOf(statics, ids[at - 1])[0] : null;
      const after = at + 1 < ids.length ? layerOf(statics, ids[at + 1])[2] : null;
      for (let j = 0; j < c; j++) {
        const v = here[j] + (before ? before[j] : 0) + (after ? after[j] : 0) + found.places.values[place + j];
        if (v <= 0) continue;
        out[j] += v / ids.length;
        if (at < OPENING) out[c + j] += v / opening;
      }
    });
    return out;
  }

  function unit(x) {
    let size = 0;
    for (const v of x) size += v * v;
    size = Math.max(Math.sqrt(size), 1e-9);
    return x.map((v) => v / size);
  }

  return { windows, statics, row };
})();
