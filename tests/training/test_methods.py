"""Methods that train above a cut: each keeps its contract on a vision and on a text backbone, small ones with random
weights, and every parameter learns at the rate that it should."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest
import torch

from headstart import testing
from headstart.backbones.cards import find_card
from headstart.backbones.network import open_above
from headstart.core.errors import PlanError
from headstart.core.features import Features
from headstart.core.plan import Traits, trains_on_validation, traits_of
from headstart.core.plugins import member, names
from headstart.core.settings import own_name
from headstart.deployment import predict
from headstart.features.extract import embed
from headstart.workflows import fit
from headstart.workflows.planner import fit_views_to_cache, method_of, with_steps
from tests.support.two_classes import OBJECTIVE, features_at_cut, two_class_examples

pytest.importorskip("torch")
pytest.importorskip("timm")
pytest.importorskip("transformers")

TUNERS = [n for n in names("methods") if hasattr(member("methods", n).Settings(), "steps")]


@pytest.mark.parametrize("kind", ["image", "text"])
@pytest.mark.parametrize("name", TUNERS)
def test_methods_that_train(name, kind, request, tmp_path):
    backbone = request.getfixturevalue({"image": "vision", "text": "text"}[kind])
    module, card = member("methods", name), find_card(backbone, tmp_path)
    try:
        train, val = features_at_cut(
            backbone, kind, module.Settings().cut(card), tmp_path, getattr(module.Settings(), "views", 0)
        )
        testing.check_tuner(module, card, train, val, OBJECTIVE)
    except PlanError as refusal:
        assert kind == "text", f"{name} refuses images: {refusal}"
        pytest.skip(f"{name} declines texts: {refusal}")


@pytest.mark.parametrize(
    ("kind", "method"), [("image", "finetune"), ("image", "full"), ("text", "lpft"), ("text", "full")]
)
def test_what_was_measured_is_what_is_predicted(kind, method, request, tmp_path):
    backbone = request.getfixturevalue({"image": "vision", "text": "text"}[kind])
    some, _ = two_class_examples(kind, 60)
    source = ([e.content for e in some], [e.label for e in some])
    settings = {"steps": "8", **({"views": "1"} if kind == "image" else {})}
    outcome = fit.fit(source, into=tmp_path / "run", backbone=backbone, method=method, settings=settings)
    assert {"probe", "knn"} <= outcome.result["baselines"].keys()
    assert outcome.result["details"]["versus"]["probe"]["n"] == outcome.result["metrics"]["accuracy"]["n"]
    lost = outcome.result["head"]["forgetting"]
    assert lost["drop"] == pytest.approx(lost["before"] - lost["after"]) and 0 <= lost["after"] <= 1
    assert (tmp_path / "run" / "report.html").is_file()
    rows = (tmp_path / "run" / "predictions.csv").read_text().splitlines()[1:]
    asked = {line.split(",")[0]: line.split(",") for line in rows}
    contents = {e_id: e for e_id, e in zip([str(i) for i in range(60)], some, strict=True)}
    judged = [name for name in asked if name.rpartition(":")[2].rpartition("/")[2] in contents]
    assert judged
    answers = predict.predict(
        tmp_path / "run", [contents[n.rpartition(":")[2].rpartition("/")[2]].content for n in judged]
    )
    for name, answer in zip(judged, answers, strict=True):
        assert answer.label == asked[name][2] and answer.confidence == pytest.approx(float(asked[name][3]), abs=2e-3)


def test_every_parameter_learns_at_one_rate_and_lower_blocks_slower(vision, tmp_path):
    from headstart.training.tuning import optim
    from headstart.training.tuning.learner import Learner

    card = find_card(vision, tmp_path)
    learner = Learner(open_above(card, card.cut(2)), 2)
    learner.body.requires_grad_(True)
    recipe = optim.Recipe(10, learning_rate=1e-4, head_learning_rate=1e-3, layer_decay=0.5, weight_decay=0.1)
    groups = optim.parameter_groups(learner, recipe)
    rate = {id(p): g["scale"] for g in groups for p in g["params"]}
    everything = [p for g in groups for p in g["params"]]
    learns = [p for p in learner.parameters() if p.requires_grad]
    assert len(everything) == len({id(p) for p in everything}) == len(learns)
    top = len(learner.body) - 2
    for name, parameter in learner.body.named_parameters():
        assert rate[id(parameter)] == pytest.approx(1e-4 * 0.5 ** max(0, top - int(name.split(".")[0])))
    assert all(rate[id(p)] == 1e-3 for p in learner.head.parameters())
    decays = {id(p): g["weight_decay"] for g in groups for p in g["params"]}
    assert all((decays[id(p)] > 0) == (p.ndim > 1 and len(p) > 1) for p in learns), "vectors do not decay"


def test_gradual_unfreezing_keeps_the_optimizer_of_what_learns_already(vision, tmp_path):

    from headstart.backbones.network import open_above
    from headstart.training.tuning import optim
    from headstart.training.tuning.learner import Learner

    card = find_card(vision, tmp_path)
    learner = Learner(open_above(card, card.cut(1)), 2)
    learner.body.requires_grad_(True)
    learner.trainable = tuple(n for n, _ in learner.body.named_parameters())
    recipe = optim.Recipe(100, unfreezing=0.5)
    optimizer = torch.optim.AdamW(optim.parameter_groups(learner, recipe), lr=1.0)
    awake = []
    for done in (0, 20, 35, 60):
        optim.unfreeze_blocks(learner, done, recipe)
        awake.append(sum(p.requires_grad for p in learner.body.parameters()))
        loss = sum(p.square().sum() for p in learner.parameters() if p.requires_grad)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
    assert awake[0] == 0 and awake == sorted(awake) and awake[-1] == len(learner.trainable)
    assert int(optimizer.state[learner.head.weight]["step"]) == 4, "the head's state was lost on the way"


def test_a_budget_is_in_steps(vision, tmp_path):
    def steps(count: int, budget: str = "normal", **settings: str) -> int:
        return with_steps(method_of("finetune", settings), settings, count, budget)[0].steps

    assert steps(50) < steps(1000) <= 500 == steps(10_000)
    assert steps(10_000, "quick") == 200 and steps(10_000, "thorough") == 1500
    assert steps(10_000, steps="7") == 7
    with pytest.raises(PlanError, match="quick, normal"):
        steps(10, "endless")


def test_views_are_as_many_as_the_cache_holds(vision, tmp_path, monkeypatch):
    card, method = find_card(vision, tmp_path), member("methods", "full").Settings()
    cut = method.cut(card)  # 12,288 bytes a photo
    assert fit_views_to_cache(method, card, cut, 100, 70)[0].views == method.views
    monkeypatch.setenv("HEADSTART_CACHE_GB", "0.0022")
    fewer, said = fit_views_to_cache(method, card, cut, 100, 70)
    assert fewer.views == 1 and "would not fit" in said[0]
    monkeypatch.setenv("HEADSTART_CACHE_GB", "0.001")
    with pytest.raises(PlanError, match="HEADSTART_CACHE_GB"):
        fit_views_to_cache(method, card, cut, 100, 70)


def test_the_cut_cache_gives_what_the_whole_network_gives(vision, text, tmp_path):
    from headstart.training.tuning.learner import Learner, forward_in_batches

    for name, kind in ((vision, "image"), (text, "text")):
        card = find_card(name, tmp_path)
        some, _ = two_class_examples(kind)
        top = embed(some, card, card.cut(len(card.blocks)), tmp_path).x
        for at in range(len(card.blocks)):
            cut = card.cut(at)
            learner = Learner(open_above(card, cut), 2)
            rows = forward_in_batches(learner, embed(some, card, cut, tmp_path).x, learner.embed)
            assert np.allclose(rows, top, atol=5e-3), f"{kind}: half precision at cut {at} moved a row"


@pytest.mark.parametrize("name", ["finetune", "lora", "auto", "scratch"])
@pytest.mark.parametrize("labels", ["tags", "number"])
def test_other_labels_than_classes(name, labels, vision, tmp_path):
    card, module = find_card(vision, tmp_path), member("methods", name)
    some, y = two_class_examples("image")
    given = [("left",) if side else ("left", "right") for side in y] if labels == "tags" else [float(v) for v in y]
    objective = member("objectives", labels).of(given)
    x = embed(some, card, module.Settings().cut(card), tmp_path).x
    whole = Features(x, objective.encode(given), tuple(e.id for e in some))
    testing.check_tuner(module, card, whole.rows(np.arange(24)), whole.rows(np.arange(24, 32)), objective)


def test_what_cannot_be_trained_says_what_to_type(tmp_path):
    texts = ([f"{word} {i}" for i in range(30) for word in ("good", "bad")], ["x", "y"] * 30)
    with pytest.raises(PlanError, match=r"no network.*--backbone transformers:"):
        fit.fit(texts, into=tmp_path / "a", method="finetune", kind="text")
    with pytest.raises(PlanError, match=r"no learning rate to find.*--method finetune"):
        fit.fit(texts, into=tmp_path / "b", find_rate=True, kind="text")
    for method in ("wise", "mlp", "contrast", "scratch"):  # a rate of 0 would have trained nothing, in silence
        with pytest.raises(PlanError, match=r"no learning rate to find"):
            fit.fit(texts, into=tmp_path / "c", find_rate=True, kind="text", method=method)
    with pytest.raises(PlanError, match=r"mlp: learning_rate=0.0 trains nothing"):
        fit.fit(texts, into=tmp_path / "d", method="mlp", settings={"learning_rate": 0}, kind="text")
    with pytest.raises(PlanError, match="rank=two cannot be read as a whole number"):
        method_of("lora", {"rank": "two"})


@dataclass(frozen=True)
class FormerSettings:
    """A method of another package, written for Headstart 0.1: former names, `joins` and `longer`, no traits."""

    longer: ClassVar[float] = 3.0
    steps: int = 0
    batch: int = 16
    rate: float = 1e-3
    joins: ClassVar[bool] = True


def test_a_method_that_was_written_for_the_former_contract_is_understood():
    """It is given its steps, joins validation to training, and is taken for a method of any kind."""
    method = with_steps(FormerSettings(), {}, 1000, "normal")[0]
    assert method.steps == 3 * with_steps(method_of("finetune", {}), {}, 1000, "normal")[0].steps
    assert trains_on_validation(method) and not trains_on_validation(method_of("finetune", {}))
    assert own_name(FormerSettings, "learning_rate") == "rate"
    assert traits_of(method) == Traits(step_factor=3.0)
