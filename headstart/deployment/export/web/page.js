"use strict";
/** Small things that every part of the page uses. */
const Page = (() => {
  const find = (id) => document.getElementById(id);

  /** An element with properties and children; nothing is ever read as HTML. */
  function make(tag, properties = {}, ...children) {
    const node = Object.assign(document.createElement(tag), properties);
    node.append(...children);
    return node;
  }

  /** A share in words: never 100 % of what is not certain. */
  function percent(share) {
    if (share > 0.9995) return "over 99.9 %";
    if (share < 0.0005) return "under 0.1 %";
    return `${(100 * share).toFixed(1)} %`;
  }

  /** One bar a class, the likeliest first, at most `most`; the rest in a line. */
  function bars(list, shares, most = 6) {
    const ordered = [...shares].sort((a, b) => b[1] - a[1]);
    list.replaceChildren(...ordered.slice(0, most).map(([name, share], i) => {
      const fill = make("span", { className: "fill" });
      fill.style.width = `${100 * share}%`;
      return make("li", { className: i ? "" : "first" },
        make("bdi", { textContent: name }), make("span", { textContent: percent(share) }),
        make("span", { className: "track", ariaHidden: "true" }, fill));
    }));
    if (ordered.length > most) list.append(make("li", { className: "rest", textContent: `and ${ordered.length - most} more` }));
  }

  function trouble(message) {
    const node = find("trouble");
    node.textContent = message;
    node.hidden = !message;
  }

  const bytesOf = async (blob) => new Uint8Array(await blob.arrayBuffer());

  /** Hands a file to the reader. */
  function save(name, bytes) {
    const link = make("a", { href: URL.createObjectURL(new Blob([bytes], { type: "application/zip" })), download: name });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  }

  return { find, make, percent, bars, trouble, bytesOf, save };
})();
