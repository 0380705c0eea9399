"use strict";
/** Loads what came with the page, then opens its parts. */
const Begin = (() => {
  const { find, make } = Page;
  const size = (bytes) => `${(bytes / 1e6).toFixed(1)} MB`;

  async function start() {
    const { facts } = Pieces, total = facts.files.reduce((sum, file) => sum + file.bytes, 0);
    document.body.classList.add(facts.kind);
    try {
      if (typeof DecompressionStream !== "function") {
        throw new Error("This browser is too old for the page. Chrome 80, Safari 16.4 and Firefox 113 are the first that can.");
      }
      await Pieces.load(facts.files, (share) => {
        find("progress").value = 0.9 * share;
        find("loaded").textContent = `${size(share * total)} of ${size(total)}`;
      });
      find("loaded").textContent = "Opening the network …";
      await new Promise((resolve) => setTimeout(resolve)); // the words are seen before the page is busy
      await Model.open();
    } catch (error) {
      find("loaded").className = "trouble";
      find("loaded").textContent = error.message;
      return;
    }
    find("loading").hidden = true;
    for (const id of ["ask", "teach", "check"]) find(id).hidden = false;
    Ask.begin();
    Teach.begin();
    find("again").onclick = check;
    await check();
    document.body.classList.add("ready");
  }

  /** A small number without an exponent. */
  const small = (v) => (v < 1e-7 ? "less than 0.0000001" : v.toFixed(7).replace(/0+$/, ""));

  async function check() {
    const said = find("verdict"), { tolerance } = Pieces.facts;
    find("again").hidden = true;
    said.className = "";
    said.textContent = "Checking …";
    const { rows, apart, wrong } = await Check.all((done, all) => { said.textContent = `Checking … ${done} of ${all}`; });
    if (wrong.length) {
      said.className = "trouble";
      said.textContent = `No: ${wrong.length} of ${rows.length} answers differ from Python's by more than ${tolerance}. The first to differ is ${Check.stage(wrong[0])}. Do not trust the answers of this page in this browser.`;
    } else {
      const most = apart ? `. The largest difference of a ${Pieces.facts.link === "identity" ? "number" : "probability"} is ${small(apart)}` : ", to the last digit";
      said.className = "fine";
      said.textContent = `Yes: ${rows.length} of ${rows.length} answers are Python's${most}; ${tolerance} is allowed.`;
    }
    table(rows);
    find("details").hidden = find("again").hidden = false;
  }

  function table(rows) {
    const image = Model.image(), same = (v) => (v === 0 ? "same" : v === 1 ? "differ" : "–");
    const apart = (v) => (Number.isFinite(v) ? (v ? small(v).replace("less than ", "< ") : "0") : "–");
    const heads = ["Answer", ...(image ? ["Pixels", "Input"] : []), "Embedding", Pieces.facts.link === "identity" ? "Number" : "Probability"];
    find("heads").replaceChildren(...heads.map((text) => make("th", { scope: "col", textContent: text })));
    find("rows").replaceChildren(...rows.map((r) => make("tr", {},
      make("th", { scope: "row" }, make("bdi", { textContent: r.error ? r.error : r.label })),
      ...(image ? [same(r.decoded), same(r.fitted)] : []).concat(apart(r.row), apart(r.apart))
        .map((text) => make("td", { textContent: text })))));
  }

  return { start };
})();
Begin.start();
