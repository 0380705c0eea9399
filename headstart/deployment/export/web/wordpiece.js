"use strict";
/** BERT's WordPiece: texts to token ids, the twin of wordpiece.py; its tables of characters come from there. */
const WordPiece = (() => {
  const LONGEST = 100, UNKNOWN = "[UNK]", GOES_ON = "##";
  const SPECIAL = /(\[(?:PAD|UNK|CLS|SEP|MASK)\])/;
  const BLANK = "\\t-\\r\\x1c-\\x20\\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000"; // as Python has it
  const ENDS = new RegExp(`^[${BLANK}]+|[${BLANK}]+$`, "g");

  /**
   * lines: the vocabulary, one token a line, its id the line's number from 0
   * tables: {dropped, blank, alone, accents, punctuation}, ranges of code points in hexadecimal
   */
  function of(lines, tables) {
    const vocabulary = new Map(lines.replace(/\n$/, "").split("\n").map((token, i) => [token, i]));
    let longest = 0;
    for (const token of vocabulary.keys()) longest = Math.max(longest, [...token].length);
    const one = (table) => new RegExp(`[${inside(table)}]`, "gu");
    const marks = inside(tables.punctuation);
    return {
      vocabulary, longest, seen: new Map(),
      dropped: one(tables.dropped), blank: one(tables.blank), alone: one(tables.alone), accents: one(tables.accents),
      word: new RegExp(`[${marks}]|[^${marks} ]+`, "gu"),
    };
  }

  /** The inside of a regular expression's [] from ranges in hexadecimal. */
  function inside(table) {
    return table.trim().split(/\s+/).map((part) => part.split("-").map((end) => `\\u{${end}}`).join("-")).join("");
  }

  /** Token ids of a text, at most `most` of them. */
  function encode(pieces, text, most = Infinity) {
    const ids = [];
    for (const chunk of text.split(/[ \n]/)) {
      if (!chunk) continue;
      let found = pieces.seen.get(chunk);
      if (!found) pieces.seen.set(chunk, (found = chunkIds(pieces, chunk)));
      for (const id of found) ids.push(id);
      if (ids.length >= most) return ids.slice(0, most);
    }
    return ids;
  }

  function chunkIds(pieces, chunk) {
    const ids = [];
    chunk.split(SPECIAL).forEach((part, i) => {
      if (i % 2) ids.push(idOf(pieces, part));
      else for (const word of words(pieces, part)) ids.push(...cut(pieces, word));
    });
    return ids;
  }

  const idOf = (pieces, token) => pieces.vocabulary.get(token) ?? pieces.vocabulary.get(UNKNOWN);

  /** Runs of letters and single marks of punctuation, in lower case, without accents. */
  function words(pieces, text) {
    text = text.replace(pieces.dropped, "").replace(pieces.blank, " ").replace(pieces.alone, " $& ");
    text = text.normalize("NFD").replace(pieces.accents, "");
    // Character by character: otherwise a sigma that ends a word is written otherwise.
    return Array.from(text, (c) => c.toLowerCase()).join("").match(pieces.word) || [];
  }

  /** The longest pieces that the vocabulary has, from the left. */
  function cut(pieces, word) {
    const letters = [...word];
    if (letters.length > LONGEST) return [idOf(pieces, UNKNOWN)];
    const ids = [];
    for (let start = 0; start < letters.length;) {
      const prefix = start ? GOES_ON : "";
      let end = Math.min(letters.length, start + pieces.longest), found;
      for (; end > start; end--) {
        found = pieces.vocabulary.get(prefix + letters.slice(start, end).join(""));
        if (found !== undefined) break;
      }
      if (found === undefined) return [idOf(pieces, UNKNOWN)];
      ids.push(found);
      start = end;
    }
    return ids;
  }

  /** Without blanks at its ends, as Python strips. */
  const strip = (text) => text.replace(ENDS, "");

  return { of, encode, strip };
})();
