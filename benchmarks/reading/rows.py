"""CPU seconds of reading 100,000 rows of a table and 10,000 files, best of three.

    python -m benchmarks.reading.rows

To compare two versions run it in each, in turns, on a quiet machine.
"""

from __future__ import annotations

import argparse
import csv
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

from headstart.core.options import DataOptions
from headstart.data.read import read

ROWS, FILES = 100_000, 1_000
CLASSES = "abcdefghij"


def write_table(file: Path, header: list[str], rows: Iterable[list]) -> Path:
    """A CSV file."""
    with open(file, "w", newline="", encoding="utf-8") as opened:
        writer = csv.writer(opened)
        writer.writerow(header)
        writer.writerows(rows)
    return file


def main() -> None:
    """Prints a Markdown table."""
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        for name in CLASSES:
            (root / "photos" / name).mkdir(parents=True)
            for n in range(FILES):
                (root / "photos" / name / f"{n}.png").write_bytes(b"x" * 100 + f"{name}{n}".encode())
        words = "some words of a text number {} and more"
        texts = ([n, words.format(n), CLASSES[n % 5]] for n in range(ROWS))
        numbers = ([n, words.format(n), n / 7] for n in range(ROWS))
        paths = ([f"photos/{CLASSES[n % 10]}/{n % FILES}.png", n % 10] for n in range(ROWS))
        sources = {
            "class folders": (root / "photos", None),
            "texts and classes": (write_table(root / "t.csv", ["id", "text", "label"], texts), None),
            "texts and numbers": (write_table(root / "n.csv", ["id", "text", "score"], numbers), "score"),
            "paths and classes": (write_table(root / "p.csv", ["path", "label"], paths), None),
        }
        print("| source | CPU seconds |\n|---|---|")
        for name, (source, label) in sources.items():
            seconds = []
            for _ in range(3):
                began = time.process_time()
                read(source, DataOptions(label=label))
                seconds.append(time.process_time() - began)
            print(f"| {name} | {min(seconds):.2f} |", flush=True)


if __name__ == "__main__":
    main()
