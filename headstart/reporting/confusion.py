"""Which classes are taken for which: the matrix drawn, and the list of the commonest mix-ups."""

from __future__ import annotations

from collections.abc import Iterator
from heapq import nlargest
from itertools import compress

from headstart.reporting.canvas import Drawing, Line, Mark, Rect, Text
from headstart.reporting.formatting import breadth, clean, fit

NUMBERED = 20  # classes up to which the counts are written into the cells
FINEST = 120  # cells a side; beyond it neighbouring classes share one, or the picture would weigh megabytes
FULL = 0.5  # strongest fill of a cell with a count in it: ink on it keeps a contrast of 4.5 in both themes


def counts(result: dict) -> tuple[list[str], list[list[int]]]:
    """The classes and how often each (row) was called each (column); empty where a result has none."""
    details = result.get("details") or {}
    names, matrix = details.get("names") or [], details.get("confusion") or []
    square = bool(names) and len(matrix) == len(names) and all(len(row) == len(names) for row in matrix)
    return (names, matrix) if square else ([], [])


def frequent(result: dict, most: int = 20) -> list[tuple[int, int, int]]:
    """(times, true class, predicted class) of the commonest mix-ups, commonest first."""
    _, matrix = counts(result)
    found = ((n, i, j) for n, i, j in _filled(matrix) if i != j)
    return nlargest(most, found, key=lambda mix: (mix[0], -mix[1], -mix[2]))


def _filled(table: list[list[int]]) -> Iterator[tuple[int, int, int]]:
    # compress skips the empty cells, most of the million that 1,000 classes have, without a step of Python for each.
    return ((row[j], i, j) for i, row in enumerate(table) for j in compress(range(len(row)), row))


def matrix(result: dict, width: float) -> Drawing | None:
    """Rows are the truth, columns what was said; blue is right, orange wrong, stronger a larger share of a row."""
    names, table = counts(result)
    if not names:
        return None
    right, total = sum(table[i][i] for i in range(len(names))), sum(map(sum, table))
    title = "Confusion matrix: the true class against what was said"
    desc = f"{right:,} of {total:,} on the diagonal, that is right."
    for n, i, j in frequent(result, 5):
        desc += f" {clean(names[i])[:60]} taken for {clean(names[j])[:60]}: {n:,}."
    marks, height = _numbered(names, table, width) if len(names) <= NUMBERED else _dense(names, table, width)
    return Drawing("confusion", title, desc, width, height, tuple(marks))


def least(result: dict) -> float:
    """Below this width the counts no longer fit into their cells."""
    names, table = counts(result)
    if not 0 < len(names) <= NUMBERED:
        return 0.0
    longest = len(f"{max(map(max, table)):,}")
    return 96 + len(names) * max(26.0, longest * 7.5 + 8)


def _numbered(names: list[str], table: list[list[int]], width: float) -> tuple[list[Mark], float]:
    k = len(names)
    left = min(max(breadth(f"{k} ", 12) + max(breadth(clean(n), 12) for n in names) + 16, 84), width * 0.3)
    cell = min((width - left) / k, 96.0)
    tall = min(max(cell, 26.0), 44.0)
    brief = [fit(n, 12, cell - 8) for n in names]
    named = brief == [clean(n) for n in names]
    marks: list[Mark] = [
        Text(left, 12, "said to be", 12, "muted"),
        Text(left - 10, 32, "in truth", 12, "muted", "end"),
    ]
    for j, whole in enumerate(names):
        words = brief[j] if named else str(j + 1)
        marks.append(Text(left + (j + 0.5) * cell, 32, words, 12, "muted", "middle", hint=clean(whole)))
    for i, row in enumerate(table):
        y = 40 + i * tall
        number = "" if named else f"{i + 1}"
        whole = clean(names[i])
        tail = breadth(f" {number}", 12) if number else 0
        marks.append(
            Text(left - 10 - tail, y + tall / 2 + 4, fit(whole, 12, left - 12 - tail), 12, "ink", "end", hint=whole)
        )
        if number:
            marks.append(Text(left - 10, y + tall / 2 + 4, number, 12, "muted", "end"))
        marks += _row(names, i, row, left, y, cell, tall)
    return marks, 44 + k * tall


def _row(names: list[str], i: int, row: list[int], left: float, y: float, cell: float, tall: float) -> list[Mark]:
    marks: list[Mark] = []
    total = sum(row)
    for j, n in enumerate(row):
        x, middle = left + j * cell, left + (j + 0.5) * cell
        marks.append(Rect(x + 1, y + 1, cell - 2, tall - 2, "paper", "line", radius=3))
        if n:
            alpha = 0.1 + (FULL - 0.1) * n / total
            hint = f"{clean(names[i])[:80]} said to be {clean(names[j])[:80]}: {n:,}"
            tone = "accent" if i == j else "warm"
            marks.append(Rect(x + 1, y + 1, cell - 2, tall - 2, tone, alpha=alpha, radius=3, hint=hint))
        points = min(13.0, (cell - 8) / breadth(f"{n:,}", 1))
        look = ("ink", True) if i == j else ("ink", False) if n else ("muted", False)
        marks.append(Text(middle, y + tall / 2 + 4.5, f"{n:,}" if n else "·", points, look[0], "middle", look[1]))
    return marks


def _dense(names: list[str], table: list[list[int]], width: float) -> tuple[list[Mark], float]:
    """Many classes: no counts, only where they lie."""
    share = -(-len(names) // FINEST)
    k = -(-len(names) // share)
    left, top = 34.0, 40.0
    side = min(width - left, 560.0)
    cell = side / k
    cells: dict[tuple[int, int], int] = {}
    totals = [0] * k
    for i, row in enumerate(table):
        totals[i // share] += sum(row)
    for n, i, j in _filled(table):
        cells[i // share, j // share] = cells.get((i // share, j // share), 0) + n
    marks: list[Mark] = [
        Text(left, 12, "said to be", 12, "muted"),
        Text(0, 30, "in truth", 12, "muted"),
        Rect(left, top, side, side, "paper", "line"),
    ]
    for at in range(0, k, max(1, round(k / 6))):
        marks.append(Text(left - 6, top + (at + 0.5) * cell + 4, f"{at * share + 1}", 11, "muted", "end"))
        if left + (at + 0.5) * cell > 90:
            marks.append(Text(left + (at + 0.5) * cell, top - 8, f"{at * share + 1}", 11, "muted", "middle"))
    for (i, j), n in cells.items():
        x, y = left + j * cell, top + i * cell
        hint = f"{clean(names[i])[:80]} said to be {clean(names[j])[:80]}: {n:,}" if share == 1 else ""
        alpha = round(0.25 + 0.75 * n / totals[i], 2)
        marks.append(Rect(x, y, cell, cell, "accent" if i == j else "warm", alpha=alpha, hint=hint))
    marks.append(
        Line(((left, top), (left + side, top), (left + side, top + side), (left, top + side), (left, top)), "line")
    )
    if share > 1:
        marks.append(Text(left, top + side + 18, f"each square stands for {share} x {share} classes", 12, "muted"))
    return marks, top + side + (26 if share > 1 else 4)
