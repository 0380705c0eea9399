"""Real sentences of many languages in their old encodings: how many files are read right, asked about, or wrong.

    python -m benchmarks.reading.encodings [--files 10]

Sentences are those of the message catalogues (*.mo) of this machine's programs and Python packages. Prints a Markdown
table: files by rows a file, and the languages that were not found.
"""

from __future__ import annotations

import argparse
import gettext
import random
import sys
from collections import Counter
from itertools import chain, islice
from pathlib import Path

from headstart.core.errors import SourceError
from headstart.data.text_encoding import decode

ENCODINGS = {
    "de": ["cp1252"], "fr": ["cp1252", "mac_roman"], "es": ["cp1252"], "pt_BR": ["cp1252"], "it": ["cp1252"],
    "nl": ["cp1252"], "sv": ["cp1252"], "da": ["cp1252"], "fi": ["cp1252"], "is": ["cp1252"],
    "pl": ["cp1250", "iso8859_2"], "cs": ["cp1250", "iso8859_2"], "hu": ["cp1250"], "ro": ["cp1250"],
    "sk": ["cp1250"], "hr": ["cp1250"], "tr": ["cp1254"], "lt": ["cp1257"], "lv": ["cp1257"],
    "ru": ["cp1251", "koi8_r"], "uk": ["cp1251"], "bg": ["cp1251"], "el": ["cp1253"], "he": ["cp1255"],
    "ar": ["cp1256"], "ja": ["cp932", "euc_jp"], "zh_CN": ["gb18030"], "zh_TW": ["big5"], "ko": ["cp949"],
    "vi": ["cp1258"], "th": ["cp874"],
}  # fmt: skip
ROWS = (3, 20, 300)
MOST_CATALOGUES, SHORTEST = 20, 15
PLACES = [Path("/usr/share"), *(Path(p) for p in sys.path if p.endswith("-packages"))]


def sentences(language: str) -> list[str]:
    """Those of the language's catalogues here, in a row each."""
    files = chain.from_iterable(sorted(p.rglob(f"{language}/LC_MESSAGES/*.mo")) for p in PLACES if p.is_dir())
    found = []
    for file in islice(files, MOST_CATALOGUES):
        with open(file, "rb") as opened:
            try:
                entries = gettext.GNUTranslations(opened)._catalog.values()  # type: ignore[attr-defined]
            except (OSError, UnicodeDecodeError):  # no catalogue
                continue
        found += [text.replace("\n", " ") for text in entries if isinstance(text, str) and len(text) > SHORTEST]
    return found


def outcome(texts: list[str], encoding: str, rows: int, seed: int) -> str:
    """Of a file with so many of the sentences that the encoding holds: "right", "asked" or "wrong"."""
    rng = random.Random(seed)
    lines = [f'{n},"{rng.choice(texts)}",{"ab"[n % 2]}' for n in range(rows)]
    table = "\n".join(["id,text,label", *lines])
    try:
        return "right" if decode(table.encode(encoding)).text == table else "wrong"
    except SourceError:
        return "asked"


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=10, help="files of each language, encoding and size")
    wanted = parser.parse_args()
    counts: dict[int, Counter[str]] = {rows: Counter() for rows in ROWS}
    absent, misread = [], Counter()
    for language, encodings in ENCODINGS.items():
        texts = sentences(language)
        if len(texts) < ROWS[1]:
            absent.append(language)
            continue
        for encoding in encodings:
            held = [t for t in texts if t.encode(encoding, "ignore").decode(encoding) == t]
            for rows in ROWS:
                for seed in range(wanted.files):
                    result = outcome(held, encoding, rows, seed)
                    counts[rows][result] += 1
                    misread[f"{language} in {encoding}"] += result == "wrong"
    print("| rows a file | right | asked | wrong |\n|---|---|---|---|")
    for rows, found in counts.items():
        print(f"| {rows} | {found['right']} | {found['asked']} | {found['wrong']} |")
    print(f"\nWrong: {', '.join(f'{name} ({n})' for name, n in misread.most_common() if n) or 'none'}.")
    print(f"Not found here: {', '.join(absent) or 'none'}.")


if __name__ == "__main__":
    main()
