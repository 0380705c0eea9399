"use strict";
/** The upper half of the page: photos or texts in, answers out. */
const Ask = (() => {
  const { find, make, percent } = Page;
  const REMEMBERED = 24; // photos in the strip
  let turn = 0; // the latest question; answers to earlier ones come too late
  let current = null; // {found, seconds} of what is shown
  let taught = null; // {head, names} once something was learned

  const answerOf = (found) => (taught && document.querySelector("[name=which]:checked").value === "taught"
    ? Model.told(Head.scores(taught.head, found.row), taught.names, "softmax") : Model.own(found));

  /** Shows the answer to what embed() found. */
  function show(found, seconds, quiet) {
    current = { found, seconds };
    const answer = answerOf(found);
    find("said").replaceChildren(make("bdi", { textContent: answer.label }),
      ...(answer.sure === null ? [] : [make("span", { textContent: percent(answer.sure) })]));
    Page.bars(find("bars"), answer.shares);
    find("took").textContent = `${Math.max(1, Math.round(1000 * seconds))} ms on this device`;
    find("answer").hidden = false;
    if (!quiet) find("heard").textContent = answer.sure === null ? answer.label : `${answer.label}, ${percent(answer.sure)}`;
    return answer;
  }

  /** Asks about photos: the last one stays in view. */
  async function photos(files) {
    stopCamera();
    Page.trouble("");
    const reasons = [];
    for (const file of files) {
      const mine = ++turn, bytes = await Page.bytesOf(file);
      try {
        const began = performance.now(), found = await Model.embed(await Model.prepare(bytes));
        if (mine !== turn) return;
        picture(URL.createObjectURL(new Blob([bytes])), file.name, show(found, (performance.now() - began) / 1000), found);
      } catch (error) {
        reasons.push(`${file.name || "The photo"}: ${error.message}.`);
      }
    }
    Page.trouble(reasons.join(" "));
  }

  /** Puts a photo on the stage and into the strip. */
  function picture(url, name, answer, found) {
    stage(url, name);
    const label = make("span", { className: "label" }), entry = { found, label };
    const button = make("button", { type: "button" }, make("img", { src: url, alt: name || "photo" }), label);
    button.onclick = () => { stopCamera(); stage(url, name); show(entry.found, current.seconds); };
    const item = make("li", {}, button);
    item.entry = entry;
    label.textContent = answer.label;
    const strip = find("strip");
    strip.prepend(item);
    while (strip.children.length > REMEMBERED) strip.lastChild.remove();
    strip.hidden = strip.children.length < 2;
  }

  function stage(url, name) {
    find("shown").src = url;
    find("shown").alt = name || "The photo that was asked about";
    find("shown").hidden = false;
    find("empty").hidden = true;
  }

  async function text() {
    const mine = ++turn, words = find("words").value;
    Page.trouble("");
    if (!words.trim()) { find("answer").hidden = true; current = null; return; }
    try {
      const began = performance.now(), found = await Model.embed(await Model.prepare(words));
      if (mine === turn) show(found, (performance.now() - began) / 1000);
    } catch (error) {
      find("answer").hidden = true;
      Page.trouble(`No answer: ${error.message}.`);
    }
  }

  async function toggleCamera() {
    if (!find("live").hidden) { stopCamera(); return; }
    Page.trouble("");
    const video = find("live");
    try {
      await Camera.show(video);
    } catch (error) { Page.trouble(error.message); return; }
    video.hidden = false;
    find("shown").hidden = find("empty").hidden = true;
    find("camera").textContent = "Stop the camera";
    find("camera").ariaPressed = "true";
    look(++turn);
  }

  /** Answers frame after frame until the camera is stopped; told aloud once a second at most. */
  async function look(mine) {
    let aloud = 0;
    while (mine === turn && !find("live").hidden) {
      const began = performance.now(), frame = Camera.frame(find("live"));
      const decoded = { width: frame.width, height: frame.height, data: Pixels.opaque(frame) };
      try {
        const found = await Model.embed({ decoded, fitted: Pixels.fitted(decoded, Pieces.facts.preprocess) });
        if (mine !== turn) return;
        const now = performance.now(), quiet = now - aloud < 1500;
        if (!quiet) aloud = now;
        show(found, (now - began) / 1000, quiet);
      } catch (error) { Page.trouble(error.message); return; }
      await new Promise((resolve) => requestAnimationFrame(resolve));
    }
  }

  function stopCamera() {
    const video = find("live");
    if (video.hidden) return;
    turn++;
    video.hidden = true;
    Camera.hide(video);
    find("camera").textContent = "Use the camera";
    find("camera").ariaPressed = "false";
    find("empty").hidden = Boolean(find("shown").src);
    find("shown").hidden = !find("shown").src;
    if (find("shown").hidden) { find("answer").hidden = true; current = null; }
  }

  /** What was taught answers from now on, or, with null, no longer. */
  function learn(head) {
    const first = head && !taught;
    taught = head;
    find("which").hidden = !head;
    if (first) document.querySelector("[name=which][value=taught]").checked = true;
    if (!head) document.querySelector("[name=which][value=own]").checked = true;
    again();
  }

  /** The same inputs, answered anew. */
  function again() {
    if (current) show(current.found, current.seconds, true);
    for (const item of find("strip").children) item.entry.label.textContent = answerOf(item.entry.found).label;
  }

  function begin() {
    for (const radio of document.querySelectorAll("[name=which]")) radio.onchange = again;
    find("words").oninput = text;
    find("files").onchange = (event) => { photos([...event.target.files]); event.target.value = ""; };
    find("camera").onclick = toggleCamera;
    if (!Model.image()) return;
    const inside = (event) => event.target.closest?.(".class");
    addEventListener("dragover", (event) => { event.preventDefault(); document.body.classList.add("over"); });
    addEventListener("dragleave", (event) => { if (!event.relatedTarget) document.body.classList.remove("over"); });
    addEventListener("drop", (event) => {
      event.preventDefault();
      document.body.classList.remove("over");
      if (!inside(event) && event.dataTransfer.files.length) photos([...event.dataTransfer.files]);
    });
    addEventListener("paste", (event) => {
      const files = [...(event.clipboardData?.files || [])];
      if (files.length) photos(files);
    });
  }

  return { begin, learn, photos, text, answerOf };
})();
