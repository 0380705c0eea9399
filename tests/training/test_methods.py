"""Methods that train above a cut: each keeps its contract on a vision and on a text backbone, small ones with random
weights, and every parameter learns at the rate that it should."""

import numpy as np
import pytest
import torch

from headstart import testing
from headstart.backbones.catalogue import find_card
from headstart.backbones.network import open_above
from headstart.core.errors import PlanError
from headstart.core.features import Features
from headstart.core.plugins import member, names
from headstart.core.task import Example
from headstart.deployment import predict
from headstart.features.extract import embed
from headstart.workflows import fit
from headstart.workflows.planner import budgeted, method_of, priced

pytest.importorskip("torch")
pytest.importorskip("timm")
pytest.importorskip("transformers")

TUNERS = [n for n in names("methods") if hasattr(member("methods", n).Settings(), "steps")]
OBJECTIVE = member("objectives", "classes").of(["left", "right"])


def examples(kind: str, n: int = 32) -> tuple[list[Example], np.ndarray]:
    """Pictures that are bright on one side, or texts of letters of one half of the alphabet; some have windows."""
    import io

    from PIL import Image

    from headstart.core.digest import of_bytes

    rng = np.random.default_rng(0)
    y = np.arange(n) % 2
    found: list[Example] = []
    for i, side in enumerate(y):
        if kind == "image":
            picture = rng.integers(0, 90, (48, 48, 3), dtype=np.uint8)
            picture[:, 24 * side : 24 * side + 24] += 120
            buffer = io.BytesIO()
            Image.fromarray(picture).save(buffer, "PNG")
            content: bytes | str = buffer.getvalue()
        else:
            letters = "abcdefghijklm" if side else "nopqrstuvwxyz"
            content = " ".join(rng.choice(list(letters), 3 + i % 9))
        raw = content if isinstance(content, bytes) else content.encode()
        found.append(Example(str(i), content, of_bytes(raw), OBJECTIVE.decode(np.eye(2)[[side]])[0]))
    return found, y.astype(np.int64)


def crossed(name: str, kind: str, cut, tmp_path, views: int = 0) -> tuple[Features, Features]:
    """What left that cut, as a part to learn from and one to choose by."""
    from headstart.features.cached_views import views_of

    card = find_card(name, tmp_path)
    some, y = examples(kind)
    x = embed(some, card, cut, tmp_path).x
    more = views_of(some, card, cut, views, 0, tmp_path)
    whole = Features(x, y, tuple(e.id for e in some), (), more)
    return whole.rows(np.arange(0, 24)), whole.rows(np.arange(24, 32))


@pytest.mark.parametrize("kind", ["image", "text"])
@pytest.mark.parametrize("name", TUNERS)
def test_methods_that_train(name, kind, request, tmp_path):
    backbone = request.getfixturevalue({"image": "vision", "text": "text"}[kind])
    module, card = member("methods", name), find_card(backbone, tmp_path)
    try:
        train, val = crossed(
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
    some, _ = examples(kind, 60)
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
    groups = optim.rates(learner, optim.Recipe(10, rate=1e-4, head=1e-3, decay=0.5, weight=0.1))
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
    learner.learns = tuple(n for n, _ in learner.body.named_parameters())
    recipe = optim.Recipe(100, thaw=0.5)
    optimizer = torch.optim.AdamW(optim.rates(learner, recipe), lr=1.0)
    awake = []
    for done in (0, 20, 35, 60):
        optim.thaw(learner, done, recipe)
        awake.append(sum(p.requires_grad for p in learner.body.parameters()))
        loss = sum(p.square().sum() for p in learner.parameters() if p.requires_grad)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
    assert awake[0] == 0 and awake == sorted(awake) and awake[-1] == len(learner.learns)
    assert int(optimizer.state[learner.head.weight]["step"]) == 4, "the head's state was lost on the way"


def test_a_budget_is_in_steps(vision, tmp_path):
    def steps(count: int, budget: str = "normal", **settings: str) -> int:
        return budgeted(method_of("finetune", settings), settings, count, budget)[0].steps

    assert steps(50) < steps(1000) <= 500 == steps(10_000)
    assert steps(10_000, "quick") == 200 and steps(10_000, "thorough") == 1500
    assert steps(10_000, steps="7") == 7
    with pytest.raises(PlanError, match="quick, normal"):
        steps(10, "endless")


def test_views_are_as_many_as_the_cache_holds(vision, tmp_path, monkeypatch):
    card, method = find_card(vision, tmp_path), member("methods", "full").Settings()
    cut = method.cut(card)  # 12,288 bytes a photo
    assert priced(method, card, cut, 100, 70)[0].views == method.views
    monkeypatch.setenv("HEADSTART_CACHE_GB", "0.0022")
    fewer, said = priced(method, card, cut, 100, 70)
    assert fewer.views == 1 and "would not fit" in said[0]
    monkeypatch.setenv("HEADSTART_CACHE_GB", "0.001")
    with pytest.raises(PlanError, match="HEADSTART_CACHE_GB"):
        priced(method, card, cut, 100, 70)


def test_the_cut_cache_gives_what_the_whole_network_gives(vision, text, tmp_path):
    from headstart.training.tuning.learner import Learner, passed

    for name, kind in ((vision, "image"), (text, "text")):
        card = find_card(name, tmp_path)
        some, _ = examples(kind)
        top = embed(some, card, card.cut(len(card.blocks)), tmp_path).x
        for at in range(len(card.blocks)):
            cut = card.cut(at)
            learner = Learner(open_above(card, cut), 2)
            rows = passed(learner, embed(some, card, cut, tmp_path).x, learner.rows)
            assert np.allclose(rows, top, atol=5e-3), f"{kind}: half precision at cut {at} moved a row"


@pytest.mark.parametrize("name", ["finetune", "lora", "auto", "scratch"])
@pytest.mark.parametrize("labels", ["tags", "number"])
def test_other_labels_than_classes(name, labels, vision, tmp_path):
    card, module = find_card(vision, tmp_path), member("methods", name)
    some, y = examples("image")
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
    with pytest.raises(PlanError, match="rank=two cannot be read as a whole number"):
        method_of("lora", {"rank": "two"})
