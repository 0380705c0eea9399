"use strict";
/** The model at work in the page: from an input to its embedding, from an embedding to an answer. */
const Model = (() => {
  let network, pieces, statics, matrices;

  const image = () => Pieces.facts.kind === "image";

  /** Opens what has arrived. Throws an Error in words for people when this browser cannot run it. */
  async function open() {
    const { facts } = Pieces;
    if (facts.tokens) {
      const lines = new TextDecoder().decode(await Pieces.bytes("vocabulary"));
      pieces = WordPiece.of(lines, facts.tokens.tables);
    }
    if (facts.statics) statics = Texts.statics(Pack.tensors(await Pieces.bytes("statics")));
    if (facts.layers) matrices = Pack.tensors(await Pieces.bytes("head"));
    if (facts.runtime) await start();
  }

  /** ONNX Runtime from what came with the page: one thread, because threads need headers that no file has. */
  async function start() {
    if (typeof WebAssembly !== "object") throw new Error("This browser has no WebAssembly, which the network needs.");
    const glue = new Blob([await Pieces.bytes("runtime.mjs")], { type: "text/javascript" });
    ort.env.wasm.numThreads = 1;
    ort.env.wasm.wasmPaths = { mjs: URL.createObjectURL(glue) };
    ort.env.wasm.wasmBinary = (await Pieces.bytes("runtime.wasm")).buffer;
    ort.env.logLevel = "error";
    network = await ort.InferenceSession.create(await Pieces.bytes("network"), {
      executionProviders: ["wasm"], graphOptimizationLevel: "all",
    });
  }

  /** Bytes of a file, or a text, as what the network is fed, and what was seen on the way. Throws an Error: the reason. */
  async function prepare(input) {
    const { facts } = Pieces;
    if (image()) {
      const decoded = await Pixels.decode(input, facts.preprocess.least);
      return { decoded, fitted: Pixels.fitted(decoded, facts.preprocess) };
    }
    return { text: typeof input === "string" ? input : new TextDecoder("utf-8", { fatal: true }).decode(input) };
  }

  /**
   * What prepare() gave, through the network: {row: Float32Array (d), scores or null}. Scores are the graph's own; they
   * count only where the head is not one of layers.
   */
  async function embed(ready) {
    const { facts } = Pieces;
    if (statics) return { row: Texts.row(statics, pieces, ready.text, facts.statics.most), scores: null };
    if (image()) {
      const [, h, w] = facts.preprocess.input_size, planes = new Float32Array(3 * h * w);
      for (let i = 0, j = 0; i < h * w; i++, j += 3) {
        for (let c = 0; c < 3; c++) planes[c * h * w + i] = ready.fitted[j + c];
      }
      return run({ pixels: new ort.Tensor("float32", planes, [1, 3, h, w]) });
    }
    const windows = Texts.windows(pieces, ready.text, facts.tokens);
    if (windows.length > 1 && !matrices) throw new Error("the text is longer than this page reads with this head");
    const found = [];
    for (const ids of windows) found.push(await run(tokens(ids)));
    return found.length === 1 ? found[0] : { row: averaged(found, windows), scores: null };
  }

  function tokens(ids) {
    // A graph that torch wrote has no single token: a second one that does not count stands beside it.
    const long = ids.length > 1 ? ids : [...ids, Pieces.facts.tokens.pad];
    const whole = BigInt64Array.from(long, BigInt), mask = BigInt64Array.from(long, (_, i) => (i < ids.length ? 1n : 0n));
    const shape = [1, long.length];
    return { input_ids: new ort.Tensor("int64", whole, shape), attention_mask: new ort.Tensor("int64", mask, shape) };
  }

  /** The windows' rows as one, weighted by their length; of length 1 again where the card says so. */
  function averaged(found, windows) {
    const total = windows.reduce((sum, ids) => sum + ids.length, 0), out = new Float64Array(found[0].row.length);
    found.forEach(({ row }, i) => row.forEach((v, j) => { out[j] += (v * windows[i].length) / total; }));
    const size = Math.max(Math.hypot(...out), 1e-12);
    return Float32Array.from(out, (v) => (Pieces.facts.tokens.normalize ? v / size : v));
  }

  async function run(feeds) {
    const found = await network.run(feeds);
    return { row: Float32Array.from(found.embedding.data), scores: Float32Array.from(found.scores.data) };
  }

  /** The scores that this model's own head gives for what embed() found. */
  function scored({ row, scores }) {
    const { layers } = Pieces.facts;
    if (!layers) return scores;
    let x = Float64Array.from(row);
    if (layers.unit) {
      const size = Math.max(Math.hypot(...x), 1e-12);
      x = x.map((v) => v / size);
    }
    for (let n = 0; n < layers.count; n++) {
      const { values: weight, shape: [, k] } = matrices[`weight${n}`], out = Float64Array.from(matrices[`bias${n}`].values);
      x.forEach((v, j) => {
        if (n && v < 0) return;
        for (let c = 0; c < k; c++) out[c] += v * weight[j * k + c];
      });
      x = out;
    }
    return Float32Array.from(x);
  }

  /** Scores as {label, sure, shares: [[name, probability] …]}; of a number label alone. */
  function told(scores, names, link) {
    if (link === "identity") {
      const { mean, spread } = Pieces.facts.objective;
      return { label: String(Number((scores[0] * spread + mean).toPrecision(4))), number: scores[0] * spread + mean, sure: null, shares: [] };
    }
    const p = link === "softmax" ? Head.softmax(scores) : Head.sigmoid(scores);
    const shares = names.map((name, i) => [name, p[i]]);
    if (link === "softmax") {
      const best = p.indexOf(Math.max(...p));
      return { label: names[best], sure: p[best], shares };
    }
    const on = names.filter((_, i) => scores[i] >= 0);
    return { label: on.join(", ") || "none of them", sure: p.reduce((all, v) => all * Math.max(v, 1 - v), 1), shares };
  }

  /** The answer of this model as it came. */
  const own = (found) => told(scored(found), Pieces.facts.objective.names || [], Pieces.facts.link);

  return { open, prepare, embed, scored, told, own, image };
})();
