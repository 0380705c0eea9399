"use strict";
/** Replays the witness: inputs whose answers in Python came with the page, from their bytes to their probabilities. */
const Check = (() => {
  const far = (a, b) => a.reduce((most, v, i) => Math.max(most, Math.abs(v - b[i])), 0);
  const size = (a) => a.reduce((most, v) => Math.max(most, Math.abs(v)), 1e-6);

  /** How far one input's stages are from Python's: {decoded, fitted, row, apart}, NaN where nothing is known; or {error}. */
  async function one(witness) {
    const { link, objective } = Pieces.facts, input = bytesOf(witness.input);
    try {
      const ready = await Model.prepare(input), found = await Model.embed(ready), scores = Model.scored(found);
      const answer = Model.told(scores, objective.names || [], link);
      const mine = link === "identity" ? [answer.number] : answer.shares.map(([, p]) => p);
      return {
        ...pictures(witness, ready),
        row: witness.row ? far(Array.from(found.row), witness.row) / size(witness.row) : NaN,
        apart: far(mine, witness.answers) / (link === "identity" ? size(witness.answers) : 1),
        label: answer.label, expected: witness.label,
      };
    } catch (error) {
      return { error: error.message, apart: Infinity, expected: witness.label };
    }
  }

  function pictures(witness, ready) {
    // A JPEG that was decoded at a part of its size is the same but for rounding: the embedding judges it.
    if (!ready.decoded || witness.reduced) return { decoded: NaN, fitted: NaN };
    const { width, height, data } = ready.decoded;
    const same = width === witness.size[0] && height === witness.size[1] && Pack.crc32(data) === witness.decoded;
    return { decoded: same ? 0 : 1, fitted: Pack.crc32(ready.fitted) === witness.fitted ? 0 : 1 };
  }

  const bytesOf = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));

  /** The first stage that does not do as Python did, in words. */
  function stage(found) {
    if (found.error) return `reading: ${found.error}`;
    if (found.decoded === 1) return "decoding: the same file becomes other pixels in this browser";
    if (found.fitted === 1) return "resizing: the same pixels become another input of the network";
    if (found.row > Pieces.facts.tolerance) return "the network: the same input has another embedding";
    return "the head: the same embedding has other probabilities";
  }

  /** All of them, one after the other; told(done, total) between. Gives {rows, apart, wrong}. */
  async function all(told) {
    const { witness } = JSON.parse(new TextDecoder().decode(await kept())), rows = [];
    for (const each of witness) {
      rows.push(await one(each));
      told(rows.length, witness.length);
      await new Promise((resolve) => setTimeout(resolve)); // the page stays awake
    }
    const { tolerance } = Pieces.facts, bad = (r) => !(r.apart <= tolerance) || (r.expected && r.label !== r.expected);
    return { rows, apart: rows.reduce((most, r) => Math.max(most, r.apart), 0), wrong: rows.filter(bad) };
  }

  let bytes;
  const kept = async () => (bytes ??= await Pieces.bytes("witness"));

  return { all, stage };
})();
