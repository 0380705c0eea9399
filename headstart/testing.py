"""The contracts between the parts, executable: run them over your own member as we run them over ours.

Each raises AssertionError that says which promise is broken.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import fields, is_dataclass, replace
from types import ModuleType
from typing import Any

import numpy as np

from headstart.backbones.network import open_above
from headstart.core.backbone import Backbone, Preprocess, restore
from headstart.core.errors import HeadstartError, Unreadable
from headstart.core.features import Features
from headstart.core.plan import Above, Method
from headstart.core.plugins import member
from headstart.core.result import Finding
from headstart.core.settings import own_name
from headstart.core.task import Objective
from headstart.features.runner import start_engine
from headstart.workflows.planner import method_of


def check_method(module: ModuleType, objective: Objective, train: Features, val: Features, backbone: Backbone) -> None:
    """It learns, from a seed alone, without touching its inputs, and comes back from its state with equal scores.

    train, val: features that the objective can be learned from
    """
    method: Any = module.Settings()
    assert is_dataclass(module.Settings), "Settings is a frozen dataclass"
    assert len(fields(method)) <= 8, "a method has at most 8 settings"
    cut = method.cut(backbone)
    assert 0 <= cut.at <= len(backbone.blocks), "the cut lies inside the backbone"
    x, y = train.x.copy(), train.y.copy()
    fitted, again = (_fit(method, objective, train, val) for _ in range(2))
    assert np.array_equal(x, train.x) and np.array_equal(y, train.y), "fit changed its inputs"
    scores = fitted.scores(train.x)
    assert scores.shape == (len(train), objective.width), f"scores are (n, {objective.width})"
    assert np.isfinite(scores).all(), "scores are finite"
    assert np.array_equal(scores, again.scores(train.x)), "the same seed gave other scores"
    assert np.allclose(scores[:3], fitted.scores(train.x[:3]), rtol=1e-4, atol=1e-5), "a row's scores depend on others"
    state = fitted.state()
    assert all(isinstance(a, np.ndarray) and a.dtype.kind in "fiu" for a in state.values()), "the state is arrays"
    assert np.array_equal(module.restore(state).scores(train.x), scores), "restore(state()) gives other scores"
    json.dumps(fitted.notes, default=float)
    flat = np.zeros_like(scores)
    assert objective.score(scores, train.y) > objective.score(flat, train.y), "it learned nothing from learnable data"


def check_tuner(module: ModuleType, backbone: Backbone, train: Features, val: Features, objective: Objective) -> None:
    """The same of a method that trains in steps below the top: few steps, from a seed alone, back from its state.

    train, val: what left the cut of `module.Settings()` on `backbone`
    """
    method: Any = replace(module.Settings(), steps=6, **{own_name(module.Settings, "batch_size"): 8})
    assert is_dataclass(module.Settings) and len(fields(method)) <= 8, "Settings is a frozen dataclass of at most 8"
    cut = method.cut(backbone)

    def above() -> Above:
        return open_above(backbone, cut)

    def fit():
        return method.fit(train, val, objective, above=above, rng=np.random.default_rng(7))

    fitted, again = fit(), fit()
    scores = fitted.scores(train.x)
    assert scores.shape == (len(train), objective.width), f"scores are (n, {objective.width})"
    assert np.isfinite(scores).all(), "scores are finite"
    assert np.allclose(scores, again.scores(train.x), rtol=1e-4, atol=1e-5), "the same seed gave other scores"
    state = fitted.state()
    assert all(isinstance(a, np.ndarray) and a.dtype.kind in "fiu" for a in state.values()), "the state is arrays"
    back = module.restore(state, above).scores(train.x)
    assert np.allclose(back, scores, rtol=1e-4, atol=1e-5), "restore(state()) gives other scores"
    assert np.allclose(fitted.scores(train.x[:3]), scores[:3], rtol=1e-3, atol=1e-4), "a row's scores depend on others"
    json.dumps(fitted.notes, default=float)
    assert not fitted.notes.get("frozen_above", {}).get("moved"), "something frozen above the cut moved"


def _fit(method: Method, objective: Objective, train: Features, val: Features):
    def above():
        raise AssertionError("a method that trains only a head must not open the network")

    return method.fit(train, val, objective, above=above, rng=np.random.default_rng(7))


def check_backbone(name: str, raws: Sequence[bytes | str]) -> None:
    """The card survives JSON, rows are finite, of the card's width, the same in any grouping, and nothing moves.

    raws: a few readable inputs
    """
    family, _, local = name.partition(":")
    module = member("backbones", family)
    card: Backbone = module.card(local).with_files(module.files(local))
    assert restore(json.loads(json.dumps(card.facts()))) == card, "the card does not survive JSON"
    hash(card)
    assert card.name.split("?")[0] == name.split("?")[0], "the card bears another name than it was asked for by"
    assert card.weights.startswith("sha256:"), "weights are named by their digest"
    assert card.blocks, "there is at least one block"
    assert all(path.is_file() for path in module.files(local)), "files() names what does not exist"
    prepare = member("preprocess", card.preprocess.kind)
    units = [some[0] for some in prepare.prepare(raws, card.preprocess)]
    running = start_engine(card, card.cut(len(card.blocks)))
    rows = running.rows(units)
    assert rows.shape == (len(units), card.width) and rows.dtype == np.float32, f"rows are (n, {card.width}) float32"
    assert np.isfinite(rows).all(), "rows are finite"
    one_by_one = np.concatenate([running.rows([unit]) for unit in units])
    scale = max(float(np.abs(rows).max()), 1e-6)
    assert np.abs(rows - one_by_one).max() <= 1e-4 * scale, "a row depends on what it was batched with"
    theirs = module.reference(card, lambda: list(raws))
    assert theirs is None or theirs.shape == rows.shape, f"the library's own rows are (n, {card.width}), or None"
    receipt = running.receipt()
    assert not receipt.moved and receipt.digest_before == receipt.digest_after, "the frozen part moved"


def check_preprocess(module: ModuleType, raws: Sequence, settings: Preprocess) -> None:
    """Units come in order, the same every time; nonsense is Unreadable with a reason, never an exception.

    raws: readable inputs of its kind
    """
    assert module.SERVES, "SERVES names the kinds of data it reads"
    looked = module.look(raws, settings)
    prepared = module.prepare(raws, settings)
    for (units, preview), again in zip(looked, prepared, strict=True):
        assert not isinstance(units, Unreadable), f"a readable input was refused: {units}"
        assert all(np.array_equal(a, b) for a, b in zip(units, again, strict=True)), "look and prepare differ"
        assert isinstance(preview, bytes), "a preview is bytes"
        assert all(module.weigh(u) > 0 for u in units), "every unit has a weight"
        assert 0 <= module.beyond(units) <= 1, "beyond is a share"
    assert module.batch([units[0] for units in prepared], settings), "batch gives what the stem takes"
    empty = b"" if isinstance(raws[0], bytes) else ""
    (refused,) = module.prepare([empty], settings)
    assert isinstance(refused, Unreadable) and str(refused), "an empty input is Unreadable and says why"


def check_objective(module: ModuleType, labels: Sequence) -> None:
    """It knows its labels, survives JSON, and its metrics lie inside their intervals and reward the truth."""
    assert module.fits(labels), "fits(labels) is true of its own labels"
    objective: Objective = module.of(labels)
    assert module.restore(json.loads(json.dumps(objective.facts()))) == objective, "it does not survive JSON"
    y = objective.encode(labels)
    assert len(y) == len(labels) == len(objective.strata(labels))
    targets = objective.targets(y)
    assert targets.shape == (len(labels), objective.width), "targets are (n, width)"
    truth = targets * (1 if objective.link == "identity" else 8)
    rng = np.random.default_rng(0)
    noise = rng.standard_normal(truth.shape).astype(np.float32)
    assert objective.score(truth, y) > objective.score(noise, y), "the truth scores best"
    for metric in objective.measure(noise, y, rng):
        assert metric.low - 1e-9 <= metric.value <= metric.high + 1e-9, f"{metric.name} lies outside of its interval"
        assert metric.n == len(labels)
    assert len(objective.decode(truth)) == len(labels)
    json.dumps(objective.details(noise, y))


def check_reader(module: ModuleType, source: object, task: str | None = None) -> None:
    """It takes its source, names every example once, and hashes what it hands out."""
    from headstart.core import digest
    from headstart.data import contents

    assert module.reads(source), "reads(source) is true of its own source"
    reading = module.read(source, label=None, input=None, kind=None)
    again = module.read(source, label=None, input=None, kind=None)
    assert reading.examples == again.examples, "two readings differ"
    for part, examples in reading.examples.items():
        assert len({e.id for e in examples}) == len(examples), f"ids of part {part!r} are not unique"
        for example in examples[:5]:
            content = contents.read_content(example)
            assert example.digest == digest.of_bytes(content.encode() if isinstance(content, str) else content)


def check_guard(module: ModuleType, planted: object, clean: object) -> None:
    """It sees the planted bug, says what to do, and is silent on the clean twin."""
    assert isinstance(planted, module.watches) and isinstance(clean, module.watches), "both are of the type it watches"
    found: list[Finding] = list(module.look(planted))
    assert found, "the planted bug was not seen"
    assert all(f.message and f.level in ("note", "warn", "stop") for f in found), "a finding says what was seen"
    assert all(f.guard == module.__name__.rsplit(".", 1)[-1] for f in found), "a finding bears its guard's name"
    assert not list(module.look(clean)), "it cries wolf on the clean twin"


def check_settings(name: str) -> None:
    """An unknown setting is refused with the nearest spelling."""
    first = fields(member("methods", name).Settings)[0].name
    try:
        method_of(name, {first + "x": "1"})
    except HeadstartError as error:
        assert first in str(error), "the nearest spelling is not named"
    else:
        raise AssertionError("an unknown setting was taken")
