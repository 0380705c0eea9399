"""The house stays a house: packages in one order, no circle, families apart, small files, and a light cached path."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from headstart.core.plugins import FAMILIES, names

ROOT = Path(__file__).parents[1] / "headstart"
# An import may only point to the left.
ORDER = ("core", "data", "backbones", "features", "training", "evaluation", "reporting", "deployment", "pretraining",
         "workflows", "cli")  # fmt: skip
TOP = {"__init__.py", "__init__.pyi", "__main__.py", "py.typed", "testing.py", "weights", *ORDER}
FILES = sorted(ROOT.rglob("*.py"))
TESTS = sorted(Path(__file__).parent.rglob("*.py"))
HEAVY = ("torch", "timm", "transformers", "PIL", "scipy", "sklearn", "onnxruntime", "datasets", "pyarrow", "matplotlib")


def dotted(file: Path) -> str:
    return ".".join(("headstart", *file.relative_to(ROOT).with_suffix("").parts)).removesuffix(".__init__")


MODULES = {dotted(file): file for file in FILES}


def imports(module: str) -> Iterator[str]:
    """Modules that one imports: at its top, inside a function, or for its types."""
    for node in ast.walk(ast.parse(MODULES[module].read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "headstart":
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                yield whole if whole in MODULES else str(node.module)


def looked_up(module: str) -> Iterator[str]:
    """Members that one asks for by name: all of a family where the name is not written there."""
    for node in ast.walk(ast.parse(MODULES[module].read_text())):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") in ("member", "members"):
            said = [a.value for a in node.args if isinstance(a, ast.Constant)]
            package = f"{FAMILIES[said[0]]}." if said else "nothing"  # whoever named the family has the arrow
            yield from (m for m in MODULES if m.startswith(package + "".join(said[1:])))


@cache
def graph() -> dict[str, set[str]]:
    return {module: {*imports(module), *looked_up(module)} - {"headstart", module} for module in MODULES}


def place(module: str) -> int:
    """Where a module's package stands in the order; what lies beside the packages may import all of them."""
    package = [*module.split("."), ""][1]
    return ORDER.index(package) if package in ORDER else len(ORDER)


def circle(arrows: dict[str, set[str]]) -> str:
    """One circle in words, "" where there is none."""
    done: set[str] = set()

    def walk(at: str, path: tuple[str, ...]) -> str:
        if at in path:
            return " -> ".join((*path[path.index(at) :], at))
        if at in done:
            return ""
        found = next((c for to in sorted(arrows.get(at, ())) if (c := walk(to, (*path, at)))), "")
        done.add(at)
        return found

    return next((c for start in sorted(arrows) if (c := walk(start, ()))), "")


def test_nothing_lies_beside_the_packages():
    assert {p.name for p in ROOT.iterdir()} - {"__pycache__"} == TOP


def test_imports_point_to_the_left():
    wrong = [f"{m} needs {to}" for m, needs in graph().items() for to in needs if place(to) > place(m)]
    assert not wrong, wrong


def test_members_do_not_need_members_of_another_family():
    def family(module: str) -> str:
        return next((f for f, package in FAMILIES.items() if module.startswith(package + ".")), "")

    wrong = [
        f"{m} imports {to}"
        for m in MODULES
        for to in imports(m)
        if family(m) and family(to) and family(m) != family(to)
    ]
    assert not wrong, wrong


def test_no_circle_of_files():
    assert not circle(graph())


@pytest.mark.parametrize("parent", sorted({dotted(f) for f in FILES if f.name == "__init__.py"}))
def test_no_circle_of_packages(parent):
    """Between what lies directly in one package: its files and its own packages."""
    inside = parent + "."

    def child(module: str) -> str:
        return module.removeprefix(inside).split(".")[0]

    arrows: dict[str, set[str]] = {}
    for m, needs in graph().items():
        if m.startswith(inside):
            arrows.setdefault(child(m), set()).update(child(to) for to in needs if to.startswith(inside))
    assert not circle({a: to - {a} for a, to in arrows.items()})


@pytest.mark.parametrize("file", FILES, ids=lambda f: str(f.relative_to(ROOT)))
def test_files_and_functions_stay_small(file):
    text = file.read_text()
    assert text.count("\n") <= 300, "a file has at most 300 lines"
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef):
            assert node.end_lineno - node.lineno < 80, f"{node.name} has at most 80 lines"


def test_test_files_stay_small():
    long = [file.name for file in TESTS if file.read_text(encoding="utf-8").count("\n") > 400]
    assert not long, f"a test file has at most 400 lines: {long}"


def test_no_test_module_imports_another():
    """What several need is a fixture in a conftest.py or a builder in tests/support/."""
    tests = {file.stem for file in TESTS if file.stem.startswith("test_") or file.stem == "conftest"}
    wrong = []
    for file in TESTS:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import | ast.ImportFrom) else []
            parts = {part for name in (*names, getattr(node, "module", None) or "") for part in name.split(".")}
            wrong += [f"{file.name} imports {name}" for name in tests & parts]
    assert not wrong, wrong


def test_tests_lie_as_the_package_does():
    folders = {file.parent.name for file in TESTS if file.name.startswith("test_")}
    assert folders == {*ORDER, "tests"}


def wakes(code: str) -> set[str]:
    probe = f"import sys; {code}; print(*(m for m in {(*HEAVY, 'numpy')!r} if m in sys.modules))"
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_importing_the_package_wakes_nothing():
    assert wakes("import headstart") == set()


def test_importing_every_member_wakes_nothing_heavy():
    # Pretexts train networks: torch stands at their top, and only the verbs that train open them.
    light = tuple(f for f in FAMILIES if f != "pretexts")
    code = f"from headstart.core.plugins import members; [list(members(f)) for f in {light!r}]; "
    code += "import headstart.workflows.fit"
    assert wakes(code) <= {"numpy"}


def test_every_family_has_members():
    assert all(names(family) for family in FAMILIES)
