"use strict";
/** The lower half of the page: examples in, a head out, and its model folder as a file. */
const Teach = (() => {
  const { find, make } = Page;
  const FRAMES = 200; // milliseconds between two
  const WITNESSES = 12, WITNESS_BYTES = 2000000; // as witness.py keeps them
  const classes = []; // {name, examples: [{bytes, digest, row, take, url or text}], node}
  let takes = 0, round = 0, learned = null, waiting = 0, recording = null;

  function add(name) {
    const mine = { name, examples: [] };
    classes.push(mine);
    mine.node = card(mine);
    find("classes").append(mine.node);
    return mine;
  }

  /** A class as it is shown: its name, its examples, and ways to add more. */
  function card(mine) {
    const id = `class-${classes.length}-${Date.now() % 1e6}`;
    const name = make("input", { id, value: mine.name, autocomplete: "off", maxLength: 60 });
    name.oninput = () => { mine.name = name.value.trim(); changed(); };
    const remove = make("button", { type: "button", className: "plain", textContent: "Remove", ariaLabel: "Remove this class" });
    remove.onclick = () => { stopRecording(); classes.splice(classes.indexOf(mine), 1); mine.node.remove(); find("more").focus(); changed(); };
    const count = make("span", { className: "count", textContent: "no examples" });
    const list = make("ul", { className: Model.image() ? "thumbs" : "quotes" }), told = make("p", { className: "trouble", role: "alert", hidden: true });
    Object.assign(mine, { count, list, told });
    const node = make("li", { className: "class" },
      make("div", { className: "head" }, make("label", { htmlFor: id, textContent: "Class" }), name, count, remove),
      Model.image() ? photoTools(mine) : textTools(mine), told, list);
    node.ondrop = (event) => { if (event.dataTransfer.files.length) files(mine, [...event.dataTransfer.files]); };
    return node;
  }

  function chooser(mine, label, accept) {
    const input = make("input", { type: "file", accept, multiple: true, className: "away" });
    input.onchange = () => { files(mine, [...input.files]); input.value = ""; };
    return make("label", { className: "button" }, label, input);
  }

  function photoTools(mine) {
    const record = make("button", { type: "button", textContent: "Record", ariaPressed: "false" });
    record.onclick = () => (recording?.mine === mine ? stopRecording() : startRecording(mine, record));
    return make("div", { className: "row" }, chooser(mine, "Add photos", "image/*"), record);
  }

  function textTools(mine) {
    const id = `texts-${Math.random().toString(36).slice(2)}`;
    const area = make("textarea", { id, rows: 3 }), button = make("button", { type: "button", textContent: "Add" });
    button.onclick = () => { lines(mine, area.value); area.value = ""; };
    return make("div", {}, make("label", { className: "field", htmlFor: id, textContent: "Texts, one a line" }), area,
      make("div", { className: "row" }, button, chooser(mine, "Add a file", ".txt,text/plain")));
  }

  /** Adds files: photos, or texts one a line. */
  async function files(mine, some) {
    const reasons = [];
    for (const file of some) {
      try {
        const bytes = await Page.bytesOf(file);
        if (Model.image()) await example(mine, bytes, "");
        else await lines(mine, new TextDecoder("utf-8", { fatal: true }).decode(bytes));
      } catch (error) {
        reasons.push(`${file.name}: ${error.message}.`);
      }
    }
    complain(mine, reasons);
  }

  async function lines(mine, text) {
    const reasons = [];
    for (const line of text.split("\n")) {
      if (!line.trim()) continue;
      try { await example(mine, Pack.utf8(line.trim()), ""); } catch (error) { reasons.push(`“${line.slice(0, 40)}”: ${error.message}.`); }
    }
    complain(mine, reasons);
  }

  function complain(mine, reasons) {
    mine.told.textContent = reasons.slice(0, 3).join(" ") + (reasons.length > 3 ? ` And ${reasons.length - 3} more.` : "");
    mine.told.hidden = !reasons.length;
  }

  /** Adds one example. take: which recording it is of, "" for none. Throws an Error when it cannot be read or is there. */
  async function example(mine, bytes, take) {
    const digest = Pack.digestOf(bytes), there = classes.find((c) => c.examples.some((e) => e.digest === digest));
    if (there === mine && take) return; // a camera may give one frame twice
    if (there) throw new Error(`is already an example of ${there.name || "a class without a name"}`);
    const { row } = await Model.embed(await Model.prepare(bytes)), one = { bytes, digest, row, take };
    mine.examples.push(one);
    const shown = Model.image() ? make("img", { src: URL.createObjectURL(new Blob([bytes])), alt: "" }) : new TextDecoder().decode(bytes);
    const button = make("button", { type: "button", ariaLabel: `Remove example ${mine.examples.length}`, title: "Remove" }, shown);
    const item = make("li", {}, button);
    button.onclick = () => {
      (item.nextSibling || item.previousSibling || mine.node).querySelector("button, input").focus();
      mine.examples.splice(mine.examples.indexOf(one), 1);
      item.remove();
      changed();
    };
    mine.list.append(item);
    changed();
  }

  async function startRecording(mine, button) {
    stopRecording();
    const video = find("recording");
    complain(mine, []);
    try { await Camera.show(video); } catch (error) { complain(mine, [error.message]); return; }
    find("recorder").hidden = false;
    mine.node.prepend(find("recorder"));
    button.textContent = "Stop recording";
    button.ariaPressed = "true";
    recording = { mine, button, take: `take ${++takes}` };
    for (const me = recording; recording === me;) {
      const began = performance.now();
      try { await example(mine, await Camera.png(Camera.frame(video)), me.take); } catch (error) { complain(mine, [`A frame ${error.message}.`]); }
      await new Promise((resolve) => setTimeout(resolve, Math.max(0, FRAMES - (performance.now() - began))));
    }
  }

  function stopRecording() {
    if (!recording) return;
    recording.button.textContent = "Record";
    recording.button.ariaPressed = "false";
    recording = null;
    find("recorder").hidden = true;
    Camera.hide(find("recording"));
    changed();
  }

  function changed() {
    for (const c of classes) c.count.textContent = c.examples.length ? `${c.examples.length} example${c.examples.length > 1 ? "s" : ""}` : "no examples";
    clearTimeout(waiting);
    waiting = setTimeout(learn, 120);
  }

  /** Rows, class numbers, takes and names of what there is; names in Python's order. */
  function data() {
    const used = classes.filter((c) => c.examples.length && c.name);
    const names = [...new Set(used.map((c) => c.name))].sort((a, b) => {
      const [x, y] = [Array.from(a, (c) => c.codePointAt(0)), Array.from(b, (c) => c.codePointAt(0))];
      for (let i = 0; i < Math.min(x.length, y.length); i++) if (x[i] !== y[i]) return x[i] - y[i];
      return x.length - y.length;
    });
    const all = used.flatMap((c) => c.examples.map((e) => ({ ...e, label: names.indexOf(c.name) })));
    return { names, all, x: all.map((e) => e.row), truth: all.map((e) => e.label), groups: all.map((e) => e.take) };
  }

  /** Trains the head on what there is, then judges it; what is slow lets the page breathe in between. */
  async function learn() {
    const mine = ++round, { names, all, x, truth, groups } = data(), told = find("learned");
    const unnamed = classes.some((c) => c.examples.length && !c.name);
    if (names.length < 2) {
      learned = null;
      Ask.learn(null);
      find("take").hidden = true;
      told.textContent = unnamed ? "Give each class a name." : all.length ? "One class has examples. Two are the least." : "";
      return;
    }
    const began = performance.now(), fold = Folds.deal(truth, groups, Head.FOLDS, 1);
    const head = Head.train(x, truth, names.length, fold), seconds = (performance.now() - began) / 1000;
    learned = { head, names, all, seconds, judged: null };
    Ask.learn({ head, names });
    find("take").hidden = false;
    find("command").textContent = `headstart predict ${fileName()} ${Model.image() ? "photo.jpg" : "\"a text\""}`;
    const line = `${all.length} examples of ${names.length} classes, learned in ${Math.max(1, Math.round(1000 * seconds))} ms.`;
    told.replaceChildren(make("p", { textContent: `${line} ${recording ? "It is judged when the recording has ended." : "Judging …"}` }));
    if (recording) return; // each frame would begin anew
    const judged = await judge(x, truth, groups, names, () => mine === round);
    if (!judged || mine !== round) return;
    learned.judged = judged;
    told.replaceChildren(...verdict(judged, line));
  }

  /**
   * Accuracy on examples that no head which judged them had seen, the choice of strength included.
   * Gives {right, n, units, low, high}, or null when another round has begun.
   */
  async function judge(x, truth, groups, names, going) {
    const fold = Folds.deal(truth, groups, Head.FOLDS, 2), seen = Folds.seen(truth, fold);
    let right = 0, n = 0;
    const units = new Set();
    for (let f = 0; f <= Math.max(...fold); f++) {
      await new Promise((resolve) => setTimeout(resolve));
      if (!going()) return null;
      const others = truth.map((_, i) => i).filter((i) => fold[i] !== f);
      const held = truth.map((_, i) => i).filter((i) => fold[i] === f && seen[i]);
      if (!held.length || new Set(others.map((i) => truth[i])).size < 2) continue;
      const pick = (list) => others.map((i) => list[i]), rest = pick(truth);
      const head = Head.train(pick(x), rest, names.length, Folds.deal(rest, pick(groups), Head.FOLDS, 3));
      for (const i of held) {
        const scores = Head.scores(head, x[i]);
        right += scores.indexOf(Math.max(...scores)) === truth[i];
        units.add(groups[i] || i);
        n++;
      }
    }
    // Frames of one recording are nearly one example: doubt counts recordings.
    const [low, high] = Calibrate.wilson((right / Math.max(n, 1)) * units.size, units.size);
    return { right, n, units: units.size, low, high };
  }

  function verdict({ right, n, units, low, high }, line) {
    if (!n) {
      return [make("p", { textContent: `${line} How good it is cannot be said yet: ${groupsOnly() ? "record each class at least twice" : "give each class two examples or more"}.` })];
    }
    const large = make("p", { className: "large" }, make("strong", { textContent: `${Number((100 * right / n).toFixed(1))} %` }), make("span", {
      textContent: `right on ${n} examples that the head had not seen; ${Math.round(100 * low)}–${Math.round(100 * high)} % are plausible`,
    }));
    const alike = units < n ? ` Frames of one recording count as one: ${units} in all.` : "";
    return [large, make("p", { className: "quiet", textContent: line + alike })];
  }

  const groupsOnly = () => classes.some((c) => c.examples.length > 1 && c.examples.every((e) => e.take));

  function fileName() {
    const plain = learned.names.join("-").toLowerCase().replace(/[^a-z0-9]+/g, "-").replace(/^-|-$/g, "").slice(0, 40);
    return `${plain || "taught"}.zip`;
  }

  /** Positions of the examples that go along as proof: one a class in turn, the smallest first, while they are small. */
  function witnesses(all) {
    const byClass = new Map(), found = [];
    all.map((e, i) => [e.bytes.length, i]).sort((a, b) => a[0] - b[0] || a[1] - b[1])
      .forEach(([, i]) => byClass.set(all[i].label, [...(byClass.get(all[i].label) || []), i]));
    let total = 0;
    for (let depth = 0; depth < WITNESSES; depth++) {
      for (const label of [...byClass.keys()].sort((a, b) => a - b)) {
        const i = byClass.get(label)[depth];
        if (i === undefined || found.length >= WITNESSES || (found.length && total + all[i].bytes.length > WITNESS_BYTES)) continue;
        found.push(i);
        total += all[i].bytes.length;
      }
    }
    return found;
  }

  /** The model folder as the bytes of a ZIP file: card.json, delta.safetensors and witness.npz. */
  function packed() {
    const { head, names, all, judged } = learned, { card } = Pieces.facts, d = all[0].row.length, k = names.length;
    const some = witnesses(all).map((i) => all[i]), m = some.length;
    const arrays = { scores: [new Float32Array(m * k), [m, k]], rows: [new Float32Array(m * d), [m, d]] };
    some.forEach((e, i) => {
      arrays.scores[0].set(Head.scores(head, e.row), i * k);
      arrays.rows[0].set(e.row, i * d);
      arrays[`input${i}`] = [e.bytes, [e.bytes.length]];
    });
    const chances = some.map((e) => Array.from(Head.softmax(Head.scores(head, e.row)))), objective = { names };
    const answers = Pack.utf8(JSON.stringify({ objective, labels: chances.map((p) => names[p.indexOf(Math.max(...p))]) }));
    arrays.answers = [answers, [answers.length]];
    arrays.probabilities = [Float32Array.from(chances.flat()), [m, k]];
    const delta = Pack.safetensors({ bias: [head.bias, [k]], weight: [head.weight, [d, k]] }), witness = Pack.npz(arrays);
    const n = all.length, notes = {
      strength: head.strength, temperature: head.temperature, log_loss: Number.isFinite(head.logLoss) ? head.logLoss : null,
      path: head.path, folds_judged: head.judged, rows: n, made: "in a browser",
    };
    const summary = judged?.n ? { accuracy: { value: judged.right / judged.n, low: judged.low, high: judged.high, n: judged.n } } : {};
    // The card pins itself by a digest of its own bytes with zeros in its place; see card_file.py.
    const blank = `sha256:${"0".repeat(64)}`, facts = {
      digest: blank, ...card, method: "logistic", objective: { name: "classes", names }, notes, summary,
      files: { "delta.safetensors": Pack.digestOf(delta), "witness.npz": Pack.digestOf(witness) },
    };
    const text = `${JSON.stringify(facts, null, 1)}\n`, sealed = text.replace(blank, Pack.digestOf(Pack.utf8(text)));
    return Pack.zip({ "card.json": Pack.utf8(sealed), "delta.safetensors": delta, "witness.npz": witness });
  }

  function begin() {
    const { unteachable } = Pieces.facts;
    find("unteachable").textContent = unteachable;
    find("unteachable").hidden = !unteachable;
    find("teachable").hidden = Boolean(unteachable);
    if (unteachable) return;
    find("more").onclick = () => add(`class ${classes.length + 1}`).node.querySelector("input").select();
    find("download").onclick = () => Page.save(fileName(), packed());
    add("class 1");
    add("class 2");
  }

  return { begin, add, files, lines, packed, classes, state: () => learned };
})();
