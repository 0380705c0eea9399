"""Members of other packages: found by entry point, called by the name they register, old import paths and all."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

METHOD = '''
"""Prototypes: the class whose mean is nearest."""

from dataclasses import dataclass, field

import numpy as np

from headstart.features import Features
from headstart.plan import Fitted


@dataclass(frozen=True)
class Settings:
    """shrink: of the means toward the mean of all."""

    shrink: float = 0.0

    @property
    def joins(self):
        return True

    def cut(self, backbone):
        return backbone.cut(len(backbone.blocks))

    def fit(self, train, val, objective, *, above, rng):
        assert isinstance(train, Features)
        x, y = np.concatenate([train.x, val.x]), np.concatenate([train.y, val.y])
        means = np.stack([x[y == c].mean(0) for c in range(objective.width)])
        return Prototypes((1 - self.shrink) * means + self.shrink * x.mean(0))


@dataclass(frozen=True, eq=False)
class Prototypes:
    means: np.ndarray
    notes: dict = field(default_factory=dict)

    def scores(self, x):
        return (x @ self.means.T - 0.5 * (self.means**2).sum(1)).astype(np.float32)

    def state(self):
        return {"means": self.means.astype(np.float32)}

    def files(self):
        return {}


def restore(state, above=None):
    return Prototypes(state["means"])
'''
GUARD = '''
"""Few: fewer examples than anyone should trust."""

from headstart.result import Finding
from headstart.task import Task

watches = Task


def look(task):
    if len(task.examples) < 1000:
        yield Finding("few_examples", "note", f"{len(task.examples)} examples are few.", "label more", {})
'''


@pytest.fixture
def plugin(tmp_path) -> Path:
    """A folder with an installed package that brings a method and a guard, written before the modules moved."""
    site = tmp_path / "site"
    facts = site / "outsider-1.0.dist-info"
    facts.mkdir(parents=True)
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: outsider\nVersion: 1.0\n")
    (facts / "entry_points.txt").write_text(
        "[headstart.methods]\nprototype = outsider_means\n\n[headstart.guards]\nfew_examples = outsider_few\n"
    )
    (site / "outsider_means.py").write_text(METHOD)
    (site / "outsider_few.py").write_text(GUARD)
    return site


def run(site: Path, *words: object) -> subprocess.CompletedProcess:
    line = [sys.executable, "-m", "headstart", *map(str, words)]
    path = os.pathsep.join([str(site), *([os.environ["PYTHONPATH"]] if "PYTHONPATH" in os.environ else [])])
    return subprocess.run(line, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": path})


def test_a_method_and_a_guard_of_another_package(plugin, tmp_path):
    texts = tmp_path / "texts.csv"
    rows = [f"{'red apple' if n % 2 else 'fast train'} number {n},{'fruit' if n % 2 else 'rail'}" for n in range(60)]
    texts.write_text("message,team\n" + "\n".join(rows) + "\n")
    fit = run(
        plugin, "fit", texts, "--method", "prototype", "--set", "shrink=0.1", "--into", tmp_path / "run", "--json"
    )
    assert fit.returncode == 0, fit.stderr
    result = json.loads(fit.stdout)
    assert (result["plan"]["method"], result["plan"]["settings"]) == ("prototype", {"shrink": 0.1})
    assert "few_examples" in {f["guard"] for f in result["findings"]}
    assert json.loads((tmp_path / "run" / "model" / "card.json").read_text())["method"] == "prototype"
    told = run(plugin, "predict", tmp_path / "run", "a red apple", "--json")
    assert json.loads(told.stdout)["predictions"][0]["label"] == "fruit", told.stderr
    methods = json.loads(run(plugin, "methods", "--json").stdout)["methods"]
    assert next(m for m in methods if m["name"] == "prototype")["about"].startswith("Prototypes")
    refused = run(plugin, "fit", texts, "--method", "prototype", "--set", "shrinc=1", "--into", tmp_path / "b")
    assert refused.returncode == 2 and "Did you mean 'shrink'" in refused.stderr
    without = run(tmp_path, "predict", tmp_path / "run", "a red apple")
    assert without.returncode == 2 and "prototype" in without.stderr


def test_a_plugin_that_cannot_be_imported_is_named_with_its_package(plugin, tmp_path):
    (plugin / "outsider_few.py").write_text("from headstart.result import Nothing\n")
    texts = tmp_path / "texts.csv"
    texts.write_text("message,team\n" + "".join(f"word {n},{'xy'[n % 2]}\n" for n in range(60)))
    done = run(plugin, "fit", texts, "--into", tmp_path / "run")
    assert done.returncode == 2 and "'few_examples' of guards, which the package outsider brings" in done.stderr


@pytest.mark.filterwarnings("ignore:headstart:DeprecationWarning")
def test_what_the_contracts_named_is_found_under_its_old_name():
    from headstart.artifact import Model
    from headstart.extract import Running
    from headstart.plan import trains
    from headstart.portable import Said, Written
    from headstart.pretext import Corpus, Student
    from headstart.raw import Reading

    from headstart.features import join, picked

    assert all((Model, Running, join, picked, trains, Said, Written, Corpus, Student, Reading))


def test_old_import_paths_warn_and_name_the_new_ones():
    import headstart.core.result

    with pytest.warns(DeprecationWarning, match=r"headstart.result is now headstart.core.result"):
        from headstart.result import Finding
    with pytest.warns(DeprecationWarning, match=r"headstart.core.features.Features"):
        from headstart.features import Features  # noqa: F401
    assert Finding is headstart.core.result.Finding
    with pytest.raises(ImportError):
        import headstart.nothing
