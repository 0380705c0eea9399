"""The house stays a house: arrows point down, files stay small, and the cached path never wakes a heavy library."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from headstart.find import FAMILIES, names

ROOT = Path(__file__).parents[1] / "headstart"
FLOORS = [
    {"errors", "digest", "result", "features", "files", "wording", "intervals", "calibrate", "losses"},
    {"task", "backbone", "find", "head", "ahead", "machine", "batches", "vino"},
    {"glance", "ledger", "hamming", "jaccard", "pretext", "loop", "optim", "views", "pictures", "trunk"}
    | {
        "plan",
        "guard",
        "raw",
        "split",
        "folds",
        "cache",
        "housekeeping",
        "cards",
        "segments",
        "hub",
        "network",
        "chain",
        "encoder",
    }
    | {
        "linear",
        "softmax",
        "streamed",
        "codes",
        "pixels",
        "columns",
        "sheet",
        "parts",
        "wordpiece",
        "static",
        "runtime",
        "unpack",
    }
    | {"readers", "preprocess", "objectives", "backbones", "engines"},
    {
        "methods",
        "guards",
        "run",
        "read",
        "meaning",
        "planner",
        "engine",
        "running",
        "extract",
        "measure",
        "artifact",
        "witness",
        "inputs",
        "answer",
        "contest",
    }
    | {
        "augment",
        "delta",
        "untrusted",
        "tune",
        "paces",
        "lesson",
        "levels",
        "ranging",
        "gains",
        "forgetting",
        "peftly",
        "pairing",
    }
    | {"pretexts", "gathering", "teachers", "students", "publish", "catalogue"}
    | {"writings", "vocabulary", "text_students", "distil_static", "webpage"}
    | {
        "reference",
        "cleaning",
        "grouping",
        "near",
        "similarity",
        "curve",
        "untrained",
        "quadrant",
        "ground",
        "telling",
        "record",
        "verdict",
        "reporting",
        "demo",
    }
    | {"heads", "rebuilt", "ported", "sketch", "looked", "formats", "libraries", "portable", "snippets", "held"},
    {
        "flow",
        "checking",
        "advising",
        "comparing",
        "making",
        "making_static",
        "testing",
        "shipping",
        "carding",
        "sharing",
    },
    {
        "__init__",
        "cli",
        "cli_making",
        "cli_compare",
        "cli_check",
        "cli_plan",
        "cli_ship",
        "cli_share",
        "cli_web",
        "findings",
        "screen",
        "show",
        "estimators",
    },
]
FLOOR = {room: n for n, rooms in enumerate(FLOORS) for room in rooms}
FILES = sorted(ROOT.rglob("*.py"))
HEAVY = ("torch", "timm", "transformers", "PIL", "scipy", "sklearn", "onnxruntime", "datasets", "pyarrow", "matplotlib")


def room(module: str) -> str:
    return module.split(".")[1] if "." in module else "__init__"


def arrows():
    for file in FILES:
        me = file.relative_to(ROOT).with_suffix("").parts
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "headstart":
                targets = [node.module] if node.module != "headstart" else [f"headstart.{a.name}" for a in node.names]
                yield from ((me, t, file) for t in targets if t != "headstart.__version__")


def test_every_file_has_a_floor():
    assert {f.relative_to(ROOT).with_suffix("").parts[0] for f in FILES} <= set(FLOOR)


def test_imports_point_down():
    wrong = [f"{f.relative_to(ROOT)} imports {t}" for me, t, f in arrows() if FLOOR[room(t)] > FLOOR[me[0]]]
    assert not wrong, wrong


def test_members_do_not_import_members_of_another_family():
    wrong = [
        f"{f.relative_to(ROOT)} imports {t}"
        for me, t, f in arrows()
        if me[0] in FAMILIES and room(t) in FAMILIES and room(t) != me[0]
    ]
    assert not wrong, wrong


def test_no_circles_within_a_floor():
    graph: dict[str, set[str]] = {}
    for file in FILES:
        me = ".".join(file.relative_to(ROOT).with_suffix("").parts)
        for node in ast.parse(file.read_text()).body:
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("headstart."):
                graph.setdefault(me, set()).add(node.module.removeprefix("headstart."))
            elif isinstance(node, ast.ImportFrom) and node.module == "headstart":
                graph.setdefault(me, set()).update(a.name for a in node.names)

    def walk(at: str, path: tuple[str, ...]):
        assert at not in path, " -> ".join((*path, at))
        for to in graph.get(at, ()):
            walk(to, (*path, at))

    for start in graph:
        walk(start, ())


@pytest.mark.parametrize("file", FILES, ids=lambda f: str(f.relative_to(ROOT)))
def test_files_and_functions_stay_small(file):
    text = file.read_text()
    assert text.count("\n") <= 300, "a file has at most 300 lines"
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef):
            assert node.end_lineno - node.lineno < 80, f"{node.name} has at most 80 lines"


def wakes(code: str) -> set[str]:
    probe = f"import sys; {code}; print(*(m for m in {(*HEAVY, 'numpy')!r} if m in sys.modules))"
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_importing_the_package_wakes_nothing():
    assert wakes("import headstart") == set()


def test_importing_every_member_wakes_nothing_heavy():
    # Pretexts train networks: torch stands at their top, and only the verbs that train open them.
    light = tuple(f for f in FAMILIES if f != "pretexts")
    code = f"from headstart.find import members; [list(members(f)) for f in {light!r}]; import headstart.flow"
    assert wakes(code) <= {"numpy"}


def test_every_family_has_members():
    assert all(names(family) for family in FAMILIES)
