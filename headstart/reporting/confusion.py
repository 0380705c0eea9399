"""The confusion matrix as a plot, and the most frequent confusions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from heapq import nlargest
from itertools import compress

from headstart.reporting.canvas import Line, Mark, PlotSpec, Rect, Text
from headstart.reporting.formatting import fit_text, sanitize, text_width

MAX_NUMBERED = 20  # classes up to which cells show their counts
MAX_CELLS = 120  # a side; beyond it neighbouring classes share a cell, or the plot would take megabytes
MAX_OPACITY = 0.5  # of a cell with a count: text on it keeps a contrast of 4.5 in both themes


def confusion_counts(result: dict) -> tuple[list[str], list[list[int]]]:
    """Class names and counts by true class (row) and prediction (column); empty where a result has none."""
    details = result.get("details") or {}
    names, matrix = details.get("names") or [], details.get("confusion") or []
    square = bool(names) and len(matrix) == len(names) and all(len(row) == len(names) for row in matrix)
    return (names, matrix) if square else ([], [])


def most_confused(result: dict, limit: int = 20) -> list[tuple[int, int, int]]:
    """(count, true class, predicted class) of the most frequent confusions, most frequent first."""
    _, matrix = confusion_counts(result)
    confusions = ((n, i, j) for n, i, j in _nonzero(matrix) if i != j)
    return nlargest(limit, confusions, key=lambda confusion: (confusion[0], -confusion[1], -confusion[2]))


def _nonzero(table: list[list[int]]) -> Iterator[tuple[int, int, int]]:
    # compress skips empty cells in C: most of the million that 1,000 classes have.
    return ((row[j], i, j) for i, row in enumerate(table) for j in compress(range(len(row)), row))


def confusion_plot(result: dict, width: float) -> PlotSpec | None:
    """Rows are true classes, columns predictions; blue is right, orange wrong, opacity the share of the row."""
    names, table = confusion_counts(result)
    if not names:
        return None
    right, total = sum(table[i][i] for i in range(len(names))), sum(map(sum, table))
    title = "Confusion matrix: the true class against what was said"
    description = f"{right:,} of {total:,} on the diagonal, that is right."
    for n, i, j in most_confused(result, 5):
        description += f" {sanitize(names[i])[:60]} taken for {sanitize(names[j])[:60]}: {n:,}."
    marks, height = _counts_matrix(names, table, width) if len(names) <= MAX_NUMBERED else _heatmap(names, table, width)
    return PlotSpec("confusion", title, description, width, height, tuple(marks))


def min_width(result: dict) -> float:
    """Width in pixels below which the counts no longer fit into their cells."""
    names, table = confusion_counts(result)
    if not 0 < len(names) <= MAX_NUMBERED:
        return 0.0
    longest = len(f"{max(map(max, table)):,}")
    return 96 + len(names) * max(26.0, longest * 7.5 + 8)


def _counts_matrix(names: list[str], table: list[list[int]], width: float) -> tuple[list[Mark], float]:
    k = len(names)
    left = min(max(text_width(f"{k} ", 12) + max(text_width(sanitize(n), 12) for n in names) + 16, 84), width * 0.3)
    cell = min((width - left) / k, 96.0)
    cell_height = min(max(cell, 26.0), 44.0)
    fitted = [fit_text(n, 12, cell - 8) for n in names]
    all_fit = fitted == [sanitize(n) for n in names]
    marks: list[Mark] = [Text(left, 12, "said to be", 12, "muted"), Text(left - 10, 32, "in truth", 12, "muted", "end")]
    for j, name in enumerate(names):
        label = fitted[j] if all_fit else str(j + 1)
        marks.append(Text(left + (j + 0.5) * cell, 32, label, 12, "muted", "middle", tooltip=sanitize(name)))
    for i, row in enumerate(table):
        y = 40 + i * cell_height
        number = "" if all_fit else f"{i + 1}"
        name, baseline = sanitize(names[i]), y + cell_height / 2 + 4
        number_width = text_width(f" {number}", 12) if number else 0
        label = fit_text(name, 12, left - 12 - number_width)
        marks.append(Text(left - 10 - number_width, baseline, label, 12, "ink", "end", tooltip=name))
        if number:
            marks.append(Text(left - 10, baseline, number, 12, "muted", "end"))
        marks += _matrix_row(names, i, row, left, y, cell, cell_height)
    return marks, 44 + k * cell_height


def _matrix_row(
    names: list[str], i: int, row: list[int], left: float, y: float, cell: float, cell_height: float
) -> list[Mark]:
    marks: list[Mark] = []
    total = sum(row)
    for j, n in enumerate(row):
        box, centre = (left + j * cell + 1, y + 1, cell - 2, cell_height - 2), left + (j + 0.5) * cell
        marks.append(Rect(*box, "paper", "line", radius=3))
        if n:
            opacity, colour = 0.1 + (MAX_OPACITY - 0.1) * n / total, "accent" if i == j else "warm"
            marks.append(Rect(*box, colour, opacity=opacity, radius=3, tooltip=_cell_tooltip(names, i, j, n)))
        font_size = min(13.0, (cell - 8) / text_width(f"{n:,}", 1))
        count, tone = f"{n:,}" if n else "·", "ink" if n or i == j else "muted"
        marks.append(Text(centre, y + cell_height / 2 + 4.5, count, font_size, tone, "middle", i == j))
    return marks


def _cell_tooltip(names: list[str], i: int, j: int, n: int) -> str:
    return f"{sanitize(names[i])[:80]} said to be {sanitize(names[j])[:80]}: {n:,}"


def _heatmap(names: list[str], table: list[list[int]], width: float) -> tuple[list[Mark], float]:
    """For many classes: cells without counts."""
    group_size = -(-len(names) // MAX_CELLS)
    k = -(-len(names) // group_size)
    left, top = 34.0, 40.0
    side = min(width - left, 560.0)
    cell = side / k
    cells: Counter[tuple[int, int]] = Counter()
    totals = [0] * k
    for n, i, j in _nonzero(table):
        cells[i // group_size, j // group_size] += n
        totals[i // group_size] += n
    marks: list[Mark] = [Text(left, 12, "said to be", 12, "muted"), Text(0, 30, "in truth", 12, "muted")]
    marks.append(Rect(left, top, side, side, "paper", "line"))
    for tick in range(0, k, max(1, round(k / 6))):
        label, centre = f"{tick * group_size + 1}", (tick + 0.5) * cell
        marks.append(Text(left - 6, top + centre + 4, label, 11, "muted", "end"))
        if left + centre > 90:
            marks.append(Text(left + centre, top - 8, label, 11, "muted", "middle"))
    for (i, j), n in cells.items():
        x, y = left + j * cell, top + i * cell
        tooltip = _cell_tooltip(names, i, j, n) if group_size == 1 else ""
        opacity = round(0.25 + 0.75 * n / totals[i], 2)
        marks.append(Rect(x, y, cell, cell, "accent" if i == j else "warm", opacity=opacity, tooltip=tooltip))
    right, floor = left + side, top + side
    marks.append(Line(((left, top), (right, top), (right, floor), (left, floor), (left, top)), "line"))
    if group_size > 1:
        note = f"each square stands for {group_size} x {group_size} classes"
        marks.append(Text(left, floor + 18, note, 12, "muted"))
    return marks, floor + (26 if group_size > 1 else 4)
