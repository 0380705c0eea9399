"use strict";
/**
 * What is too large for a script of its own comes as pieces: scripts that hand over gzip in base64, because a page
 * opened from disk may fetch nothing.
 */
const Pieces = (() => {
  const facts = {}, arrived = new Map();

  /** Called by data/*.js: one piece of a file. */
  function take(name, index, text) {
    if (!arrived.has(name)) arrived.set(name, []);
    arrived.get(name)[index] = text;
  }

  /** Adds scripts to the page one after the other; told(share) after each. Rejects naming the file that is missing. */
  async function load(files, told) {
    const total = files.reduce((sum, file) => sum + file.bytes, 0);
    let done = 0;
    for (const file of files) {
      await script(file.path);
      done += file.bytes;
      told(done / total);
    }
  }

  function script(path) {
    return new Promise((resolve, reject) => {
      const node = document.createElement("script");
      node.src = path;
      node.onload = () => { node.remove(); resolve(); };
      node.onerror = () => reject(new Error(`${path} is missing beside this page. Copy the whole folder again.`));
      document.head.append(node);
    });
  }

  /** The bytes of a file that has arrived; its text is let go. */
  async function bytes(name) {
    const parts = arrived.get(name);
    arrived.delete(name);
    if (!parts) throw new Error(`The page brought no ${name}.`);
    const packed = new Blob(parts.map(decoded));
    const stream = packed.stream().pipeThrough(new DecompressionStream("gzip"));
    return new Uint8Array(await new Response(stream).arrayBuffer());
  }

  function decoded(text) {
    const binary = atob(text), out = new Uint8Array(binary.length);
    for (let i = 0; i < binary.length; i++) out[i] = binary.charCodeAt(i);
    return out;
  }

  return { facts, take, load, bytes };
})();
