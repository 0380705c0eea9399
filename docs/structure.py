"""What a package's imports say of its structure, read as text: figures, a picture of its rooms, its file tree.

    python docs/structure.py --measure [PACKAGE_DIR] [--json]
    python docs/structure.py --draw docs/rooms.svg --update docs/architecture.md    (`make docs`)
    python docs/structure.py --tree
    python docs/structure.py --check

A room is what lies directly below the package: a package or a file.
"""

import argparse
import ast
import json
import re
import statistics
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from colorsys import hls_to_rgb
from html import escape
from itertools import pairwise
from pathlib import Path
from textwrap import shorten
from typing import Any, NamedTuple

DOCS = Path(__file__).resolve().parent
# An arrow may only point to a room that stands before its own; tests/test_house.py sees to it.
ORDER = "core data backbones features training evaluation reporting deployment pretraining workflows cli".split()
ORDER += ["__main__", "testing", "__init__"]
# How a file asks for another, from the plainest way to the least visible.
KINDS = ["top of file", "type checking", "in functions", "by name", "any member"]
DEFS = (ast.FunctionDef, ast.AsyncFunctionDef)
Graph = dict[str, set[str]]


class Arrow(NamedTuple):
    """One file asks for another. Of the kind "any member" the target is the package that holds the members."""

    source: str
    target: str
    kind: str
    at: str


class Package:
    """Every file of a package by its dotted name, parsed and not imported. A package's name is its `__init__.py`."""

    def __init__(self, folder: Path):
        self.root = folder.resolve().name
        self.paths, self.trees, self.lines = dict[str, Path](), dict[str, ast.Module](), dict[str, int]()
        for path in sorted(folder.rglob("*.py")):
            inside, text = path.relative_to(folder), path.read_text(encoding="utf-8")
            name = ".".join(inside.with_suffix("").parts).removesuffix(".__init__")
            self.paths[name], self.trees[name], self.lines[name] = inside, ast.parse(text), text.count("\n")
        table = next((ast.literal_eval(v) for name in self.trees for v in self.values(name, {"FAMILIES"})), ())
        homes = table if isinstance(table, dict) else {family: family for family in table}
        self.families = {family: home.removeprefix(f"{self.root}.") for family, home in homes.items()}
        self.arrows = list(dict.fromkeys(arrow for name in self.trees for arrow in arrows(self, name)))

    def values(self, name: str, names: set[str]) -> Iterator[ast.expr]:
        """What a file assigns to these names at its top level."""
        for node in self.trees[name].body:
            if isinstance(node, ast.Assign | ast.AnnAssign) and node.value:
                targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                yield from (node.value for t in targets if isinstance(t, ast.Name) and t.id in names)

    def local(self, full: str) -> str:
        """The name below the package of a module's full name; empty where it is no module of this package."""
        name = "__init__" if full == self.root else full.removeprefix(f"{self.root}.")
        return name if name in self.trees and full.split(".")[0] == self.root else ""

    def opened(self, arrow: Arrow) -> list[str]:
        """The files that an arrow may open: one, or every member of a family."""
        members = [n for n in self.trees if n.rpartition(".")[0] == arrow.target and "._" not in n]
        return members if arrow.kind == "any member" else [arrow.target]

    def sentence(self, name: str) -> str:
        """The first sentence of a file's docstring."""
        said = (ast.get_docstring(self.trees[name]) or "") if name in self.trees else ""
        return re.split(r"(?<=[.!?]) (?=[A-Z`])", " ".join(said.split("\n\n")[0].split()))[0]

    def folders(self) -> dict[str, list[str]]:
        """Every package, in order, with the names of the files that lie directly in it."""
        found: dict[str, list[str]] = {}
        for name, path in self.paths.items():
            if name == "__init__" or path.name != "__init__.py":
                found.setdefault(".".join(path.parts[:-1]), []).append(name)
        return dict(sorted(found.items(), key=lambda f: (place(f[0].split(".")[0]) if f[0] else -1, f[0])))


def arrows(package: Package, name: str) -> Iterator[Arrow]:
    """Every import of a file of this package and every look-up by name, wherever it stands."""

    def look(node: ast.AST, kind: str) -> Iterator[tuple[str, str, int]]:
        for child in ast.iter_child_nodes(node):
            below = kind
            if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
                below = "type checking"
            elif isinstance(child, (*DEFS, ast.Lambda)) and kind == "top of file":
                below = "in functions"
            elif isinstance(child, ast.Import):
                yield from ((alias.name, kind, child.lineno) for alias in child.names)
            elif isinstance(child, ast.ImportFrom):
                here = [package.root, *package.paths[name].parts[: -child.level]] if child.level else []
                base = ".".join([*here, *filter(None, [child.module])])
                wholes = [f"{base}.{alias.name}" for alias in child.names]
                yield from ((whole if package.local(whole) else base, kind, child.lineno) for whole in wholes)
            elif isinstance(child, ast.Call) and child.args:
                yield from looked_up(package, name, child)
            yield from look(child, below)

    for full, kind, line in look(package.trees[name], "top of file"):
        if (target := package.local(full)) and target != name:
            yield Arrow(name, target, kind, f"{package.paths[name].as_posix()}:{line}")


def looked_up(package: Package, name: str, call: ast.Call) -> Iterator[tuple[str, str, int]]:
    """What `member`, `members` and `import_module` open: constant names, files of a table, any of a family."""
    called = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    family = package.families.get(getattr(call.args[0], "value", None) or "")
    if called in ("member", "members") and family:
        asked = call.args[-1] if called == "member" else None
        for choice in (asked.body, asked.orelse) if isinstance(asked, ast.IfExp) else (asked,):
            member = f".{choice.value!s}" if isinstance(choice, ast.Constant) else ""
            yield f"{package.root}.{family}{member}", "by name" if member else "any member", call.lineno
    elif called == "import_module":
        tables = package.values(name, {n.id for n in ast.walk(call.args[0]) if isinstance(n, ast.Name)})
        nodes = (node for value in (call.args[0], *tables) for node in ast.walk(value))
        for text, line in ((str(n.value), n.lineno) for n in nodes if isinstance(n, ast.Constant)):
            path = package.paths.get(package.local(text))
            if path and path.name != "__init__.py":  # a table of packages is the plugin look-up itself
                yield text, "by name", line


def graph(pairs: Iterable[tuple[str, str]]) -> Graph:
    """Who asks for whom, whoever asks for itself left out."""
    found: Graph = {}
    for source, target in pairs:
        found.setdefault(source, set()).update({target} - {source})
        found.setdefault(target, set())
    return found


def ways(of: Graph, start: str) -> dict[str, list[str]]:
    """The shortest way to each node that a node reaches; one to itself where it stands in a circle."""
    found: dict[str, list[str]] = {}
    todo = [[start]]
    for way in todo:
        new = {to: [*way, to] for to in sorted(of[way[-1]]) if to not in found}
        found |= new
        todo += new.values()
    return found


def circles(of: Graph) -> list[list[str]]:
    """Groups of nodes each of which reaches all others, largest first."""
    reached = {node: set(ways(of, node)) for node in of}
    groups = {tuple(sorted(m for m in reached[n] if n in reached[m])) for n in of if n in reached[n]}
    return sorted(map(list, groups), key=lambda group: (-len(group), group))


def floors(of: Graph) -> int:
    """How many nodes the longest chain has; a circle counts as one."""
    one = {n: group[0] for group in circles(of) for n in group}
    flat = graph((one.get(a, a), one.get(b, b)) for a in of for b in (a, *of[a]))
    high: dict[str, int] = {}
    while len(high) < len(flat):
        high |= {n: 1 + max((high[to] for to in flat[n]), default=0) for n in flat if flat[n] <= high.keys()}
    return max(high.values(), default=1)


def parameters(function: Any) -> Iterator[str]:
    """The names that a function takes, self and cls left out."""
    a = function.args
    every = [*a.posonlyargs, *a.args, *filter(None, [a.vararg]), *a.kwonlyargs, *filter(None, [a.kwarg])]
    return (p.arg for n, p in enumerate(every) if n or p.arg not in ("self", "cls"))


def handed_on(function: Any, name: str) -> bool:
    """Whether a parameter is used, and only as a plain argument of calls."""
    nodes = [n for statement in function.body for n in ast.walk(statement)]
    calls = [n for n in nodes if isinstance(n, ast.Call)]
    passed = {id(a) for c in calls for a in (*c.args, *(k.value for k in c.keywords if k.arg))}
    uses = [id(n) for n in nodes if isinstance(n, ast.Name) and n.id == name]
    return bool(uses) and passed.issuperset(uses)


def measure(package: Package) -> dict[str, Any]:
    """All figures. Lengths are in lines, circles by their sizes; each kind of arrow joins those above it."""
    functions = [(n, f) for n, tree in package.trees.items() for f in ast.walk(tree) if isinstance(f, DEFS)]
    lengths = [(f.end_lineno or 0) - f.lineno + 1 for _, f in functions]
    wide = [(len([*parameters(f)]), f"{package.paths[n].as_posix()}:{f.lineno} {f.name}") for n, f in functions]
    taken, handed = sum(n for n, _ in wide), sum(handed_on(f, p) for _, f in functions for p in parameters(f))
    biggest = max(package.lines, key=lambda name: package.lines[name])
    found: dict[str, Any] = {
        "files": len(package.paths),
        "lines": sum(package.lines.values()),
        "biggest file": package.paths[biggest].as_posix(),
        "lines of it": package.lines[biggest],
        "functions": len(functions),
        "function length, median": statistics.median(lengths),
        "function length, p95": round(statistics.quantiles(lengths, n=20)[-1]),
        "parameters": taken,
        "only handed on": handed,
        "share only handed on": round(handed / taken, 3),
        "rooms": len({name.split(".")[0] for name in package.paths}),
        "widest functions": [f"{n:3} {where}" for n, where in sorted(wide, key=lambda w: (-w[0], w[1]))[:10]],
    }
    for n, kind in enumerate(KINDS, 1):
        some = [a for a in package.arrows if a.kind in KINDS[:n]]
        rooms = graph((a.source.split(".")[0], a.target.split(".")[0]) for a in some)
        files = graph((a.source, target) for a in some for target in package.opened(a))
        found[f"{'+ ' * (n > 1)}{kind}"] = {
            "asks": sum(a.kind == kind for a in some),
            "floors": floors(rooms),
            "arrows between rooms": sum(map(len, rooms.values())),
            "circles between rooms": [len(group) for group in circles(rooms)],
            "circles between files": [len(group) for group in circles(files)],
        }
    at = {(a.source, target): f"{a.at} ({a.kind})" for a in package.arrows for target in package.opened(a)}
    loops = [min((ways(files, n)[n] for n in group), key=len) for group in circles(files)]
    found["a shortest loop of each circle"] = [" > ".join(at[step] for step in pairwise(w)) for w in loops]
    return {**found, "circles between files": [" ".join(group) for group in circles(files)]}


def place(room: str) -> int:
    """Where a room stands in the order. Exits where it has no place yet."""
    if room not in ORDER:
        sys.exit(f"{room} has no place in ORDER of docs/structure.py. Give it one there and in tests/test_house.py.")
    return ORDER.index(room)


def tree(package: Package) -> str:
    """The file tree as Markdown: packages as headings, a line a file."""
    blocks = []
    for folder, names in package.folders().items():
        blocks += [f"{'####' if '.' in folder else '###'} `{folder.replace('.', '/') or package.root}/`"]
        blocks += [shorten(package.sentence(folder), 120, placeholder=" …")]
        lines = (f"* `{package.paths[name].name}` {package.sentence(name)}" for name in names)
        blocks += ["\n".join(shorten(line, 120, placeholder=" …") for line in lines)]
    return re.sub("`[^`]*`|<", lambda m: m[0].replace("<", "\\<", m[0] == "<"), "\n\n".join(filter(None, blocks)))


EDGE, WIDE, PITCH = 24, 510, 46  # pixels: the boxes' left edge and width, and from column to column
STYLE = """<style>
text { font: 12.5px ui-sans-serif, system-ui, -apple-system, "Segoe UI", Helvetica, Arial, sans-serif; fill: #24292f }
.title { font-size: 20px; font-weight: 600 } .name { font-size: 16px; font-weight: 600 } .family { font-weight: 600 }
.small { font-size: 11.5px } .quiet { fill: #59636e } .end { text-anchor: end }
.middle { text-anchor: middle; stroke: #f6f7f9; stroke-width: 5px; paint-order: stroke }
.count { font-size: 11.5px; font-weight: 600; fill: #ffffff; text-anchor: middle }
</style>"""


def tag(kind: str, said: object = "", **marks: object) -> str:
    """An element of SVG; `look` names its classes in STYLE."""
    marks = {name.replace("look", "class").replace("_", "-"): value for name, value in marks.items()}
    words = (
        f'{name}="{value:g}"' if isinstance(value, float) else f'{name}="{value}"' for name, value in marks.items()
    )
    return f"<{kind} {' '.join(words)}>{escape(str(said))}</{kind}>"


def tint(room: str, light: float = 0.4) -> str:
    """A room's colour, from blue at the ground round to green at the door."""
    return "#" + "".join(f"{round(255 * c):02x}" for c in hls_to_rgb((0.6 + 0.07 * place(room)) % 1, light, 0.45))


def box(package: Package, room: str, top: float) -> tuple[float, list[str]]:
    """The height and the drawing of a room: its name, number of files and purpose, and its packages."""
    folders = {folder: names for folder, names in package.folders().items() if folder.split(".")[0] == room}
    files, said = (
        sum(map(len, folders.values())) or 1,
        shorten(package.sentence(room).replace("`", ""), 74, placeholder=" …"),
    )
    left, right = EDGE + 20, EDGE + WIDE - 14
    drawn = [
        tag("text", room + ("/" if folders else ".py"), x=left, y=top + 23, look="name"),
        tag("text", f"{files} file{'s' * (files > 1)}", x=right, y=top + 22, look="small quiet end"),
        tag("text", said, x=left, y=top + 43, look="quiet"),
    ]
    x, height = left, 54.0 if said else 34.0
    for folder in (f for f in folders if f != room):
        label, family = folder.partition(".")[2].replace(".", "/"), folder in package.families.values()
        width = round(7.4 * len(label) + 42)
        if x + width > right:
            x, height = left, height + 28
        fill, y = tint(room, 0.92) if family else "#ffffff", top + height
        drawn += [
            tag("rect", x=x, y=y, width=width, height=22, rx=11 if family else 3, fill=fill, stroke=tint(room)),
            tag("text", label, x=x + 10, y=y + 15, look="small family" if family else "small"),
            tag("text", len(folders[folder]), x=x + width - 9, y=y + 15, look="small quiet end"),
        ]
        x += width + 7
    height += 32 if x > left else 0
    frame = tag("rect", x=EDGE, y=top, width=WIDE, height=height, rx=6, fill="#ffffff", stroke="#c9ced4")
    return height, [frame, tag("rect", x=EDGE, y=top, width=7, height=height, rx=3, fill=tint(room)), *drawn]


def draw(package: Package) -> str:
    """The rooms as SVG, the ground at the top: a room asks for those whose columns its line meets."""
    rooms = sorted({name.split(".")[0] for name in package.paths}, key=place)
    met = Counter((s.split(".")[0], t.split(".")[0]) for s, t in {(a.source, a.target) for a in package.arrows})
    asked = [r for r in reversed(rooms) if any(t == r != s for s, t in met)]
    column = {room: EDGE + WIDE + 58 + PITCH * n for n, room in enumerate(asked)}
    boxes, into, out, y = list[str](), dict[str, float](), dict[str, float](), 92.0
    for room in rooms:
        height, drawn = box(package, room, y)
        boxes, into[room], out[room], y = boxes + drawn, y + 13, y + height - 13, y + height + 16
    start, lines, marks = EDGE + WIDE, list[str](), list[str]()
    for room in rooms:
        targets = [t for t in asked if (room, t) in met and t != room]
        far = max((column[t] for t in targets), default=start)
        lines.append(tag("path", d=f"M{start} {out[room]:g}H{far}", stroke="#b3bac2", stroke_width=1.5))
        for t in targets:
            back, size = place(t) > place(room), 9 + min(met[room, t], 150) ** 0.5 / 2.2
            spot = {"cx": column[t], "cy": out[room], "r": round(size, 1), "fill": "#ff0000" if back else tint(t)}
            marks += [tag("circle", **spot), tag("text", met[room, t], x=column[t], y=out[room] + 4, look="count")]
    for t in asked:
        ends = [into[t], *(out[s] for s, to in met if to == t != s)]
        way = f"M{column[t]} {max(ends):g}V{min(ends):g}M{column[t]} {into[t]:g}H{start + 11}"
        lines.append(tag("path", d=way, stroke=tint(t), stroke_width=2.5, stroke_linecap="round"))
        marks.append(tag("path", d=f"M{start + 3} {into[t]:g}l10 -5v10z", fill=tint(t)))
        marks.append(tag("text", t, x=column[t], y=into[t] - 7, look="small middle"))
    width, height = max(column.values(), default=start) + 48, y + 14
    title = tag("text", f"The rooms of {package.root}/", x=EDGE, y=40, look="title")
    key = [
        "A room's line meets the columns of the rooms that it imports from; the number counts pairs of files.",
        "Arrows point up; a red number points back down. Round labels are families, whose members are found by name.",
    ]
    words = [title, *(tag("text", line, x=EDGE, y=60 + 17 * n, look="small quiet") for n, line in enumerate(key))]
    sheet = tag("rect", x=0.5, y=0.5, width=width - 1, height=height - 1, rx=10, fill="#f6f7f9", stroke="#d0d7de")
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height:g}" width="{width}" fill="none">'
    return "\n".join([head, STYLE, sheet, *words, *lines, *boxes, *marks, "</svg>"]) + "\n"


def updated(document: Path, package: Package) -> str:
    """A Markdown file with the tree as it is now between its two marks."""
    before, mark, rest = document.read_text(encoding="utf-8").partition("<!-- tree -->\n")
    _, end, after = rest.partition("<!-- /tree -->")
    if not end:
        sys.exit(f"{document} has no lines <!-- tree --> and <!-- /tree --> to write the tree between.")
    return f"{before}{mark}\n{tree(package)}\n\n{end}{after}"


def shown(figures: dict[str, Any]) -> Iterator[str]:
    """The figures as lines of text, those that have a value for each kind of arrow as a table."""
    yield from (f"{name:26}{value}" for name, value in figures.items() if not isinstance(value, dict | list))
    kinds = {name: value for name, value in figures.items() if isinstance(value, dict)}
    yield "\n" + " " * 26 + "".join(f"{kind:>17}" for kind in kinds)
    for row in next(iter(kinds.values())):
        cells = (value[row] for value in kinds.values())
        texts = (" ".join(map(str, c)) or "none" if isinstance(c, list) else str(c) for c in cells)
        yield f"{row:26}" + "".join(f"{text:>17}" for text in texts)
    for name, value in figures.items():
        if isinstance(value, list):
            yield from (f"\n{name}", *(f"    {line}" for line in value or ["none"]))


def main() -> None:
    """Does what the command line asks for. Exits with 1 where a check finds a file that is not up to date."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("package", nargs="?", type=Path, default=DOCS.parent / "headstart", metavar="PACKAGE_DIR")
    parser.add_argument("--measure", action="store_true", help="print the figures")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    parser.add_argument("--tree", action="store_true", help="print the file tree as Markdown")
    parser.add_argument("--draw", type=Path, metavar="SVG", help="write the picture of the rooms")
    parser.add_argument("--update", type=Path, metavar="MARKDOWN", help="write the tree between this file's two marks")
    parser.add_argument("--check", action="store_true", help="exit with 1 where picture or tree are not up to date")
    asked = parser.parse_args()
    package = Package(asked.package)
    if asked.json or asked.measure:
        figures = measure(package)
        print(json.dumps(figures, indent=2) if asked.json else "\n".join(shown(figures)))
    if asked.tree:
        print(tree(package))
    if asked.draw:
        asked.draw.write_text(draw(package), encoding="utf-8")
    if asked.update:
        asked.update.write_text(updated(asked.update, package), encoding="utf-8")
    if asked.check:
        picture, document = DOCS / "rooms.svg", DOCS / "architecture.md"
        fresh = {picture: draw(package), document: updated(document, package)}
        old = [f"docs/{p.name}" for p, new in fresh.items() if not p.exists() or p.read_text(encoding="utf-8") != new]
        if old:
            sys.exit(f"{' and '.join(old)}: not what the source says now. `make docs` writes them anew; commit that.")


if __name__ == "__main__":
    main()
