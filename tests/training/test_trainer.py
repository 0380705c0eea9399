"""How training goes: what learns first, what is caught as it goes wrong, what is kept, and too little memory."""

import numpy as np
import pytest
import torch

from headstart.backbones.cards import find_card
from headstart.backbones.network import open_above
from headstart.core.errors import HeadstartError, PlanError
from headstart.core.features import Ragged
from headstart.core.plugins import member
from headstart.data.objectives.classes import Classes
from headstart.data.objectives.number import Number
from headstart.workflows import fit as workflow
from tests.support.two_classes import features_at_cut, two_class_examples

pytest.importorskip("timm")
pytest.importorskip("transformers")


def test_a_head_of_many_classes_learns_alone_first_and_not_to_its_end(vision, tmp_path):
    """Nothing below it moves; of few classes, and of numbers, nothing at all."""
    from headstart.training.tuning import checkpoints, head_warmup, optim, tuned
    from headstart.training.tuning import learner as upper

    card = find_card(vision, tmp_path)
    cut = card.cut(len(card.blocks) - 1)
    train, _ = features_at_cut(vision, "image", cut, tmp_path)
    many = Classes(tuple("abcdef"))
    for objective, batch, y in (
        (many, 4, train.y * 3),
        (many, 6, train.y),
        (Number(0.0, 1.0), 1, train.y[:, None] * 1.0),
    ):
        learner, rows = tuned.open_learner(lambda: open_above(card, cut), objective, train)
        learner.body.requires_grad_(True)
        before = checkpoints.copy_trained(learner)
        steps = head_warmup.warm_up_head(learner, rows, y, objective, optim.Recipe(60, batch), 0)
        moved = {
            name for name, tensor in checkpoints.copy_trained(learner).items() if not torch.equal(tensor, before[name])
        }
        assert moved == ({"head.weight", "head.bias"} if steps else set()) and (steps > 0) == (batch == 4)
        if steps:
            loss = objective.loss(
                torch.from_numpy(upper.forward_in_batches(learner, train.x, learner)), torch.from_numpy(y)
            )
            assert 0.3 < loss / np.log(6) < 0.8 and steps <= 64 * 6 // 4


def test_training_bugs_are_caught_as_they_happen(vision, tmp_path, monkeypatch):
    """A rate that is far too high is warned of; a rate of nothing and a norm that follows the batches stop the run."""
    from headstart.core.errors import Stopped

    some, _ = two_class_examples("image", 60)
    source = ([e.content for e in some], [e.label for e in some])

    def fit(name: str, method: str = "finetune", **settings: str):
        asked = {"steps": "20", "views": "0", **settings}
        return workflow.fit(source, into=tmp_path / name, backbone=vision, method=method, settings=asked).result

    guards = [f["guard"] for f in fit("hot", learning_rate="1.0")["findings"]]
    assert "rate" in guards
    assert not {"rate", "idle", "drift"} & {f["guard"] for f in fit("fine")["findings"]}
    with pytest.raises(Stopped, match="idle"):
        fit("cold", learning_rate="1e-60")

    def careless(self, learner) -> None:  # something writes to what is said to be frozen
        def write(*_) -> None:
            learner.body[-1].rest[0].weight.data.add_(0.01)

        learner.body.requires_grad_(True)
        learner.head.register_forward_hook(write)
        for parameter in learner.body[-1].rest.parameters():
            parameter.requires_grad_(False)

    monkeypatch.setattr(member("methods", "finetune").Settings, "modify", careless)
    with pytest.raises(Stopped, match="drift"):
        fit("moved")


def test_training_that_only_harms_leaves_the_start(vision, tmp_path):
    """Under a fitted head at a ruinous rate; what did learn on the way is not called idle."""
    some, _ = two_class_examples("image", 480)
    source = ([e.content for e in some], [e.label for e in some])
    settings = {"learning_rate": "1.0", "steps": "10", "views": "0"}
    head = workflow.fit(source, into=tmp_path / "run", backbone=vision, method="lpft", settings=settings).result["head"]
    assert head["held"] >= 60 and head["kept"].startswith("the start") and not head["idle"]
    assert head["checks"][0]["step"] == 0 and head["checks"][0]["loss"] == min(c["loss"] for c in head["checks"])


def test_a_loss_near_nothing_that_rises_a_little_has_not_run_away():
    from headstart.training.loss_diagnosis import diagnose_losses

    converged, calm = [0.01] * 10, [0.7] * 10
    assert diagnose_losses([*converged, *[0.02] * 80, 0.3, *[0.02] * 9])[0] == ""
    assert diagnose_losses([*calm, *[0.6] * 80, *[0.9] * 10])[0] == "rose"
    assert diagnose_losses([*calm, 5.0, *[0.6] * 89])[0] == "spike"


def test_a_rate_that_blows_up_is_rolled_back_and_the_one_that_holds_is_named(hub, tmp_path):
    """A rate 500 times too high: the weights of the calm step are kept, and a range test from the start is quoted."""
    from headstart.data.demo.photos import write_photos
    from headstart.workflows import fit as workflow

    source = write_photos(tmp_path / "some", 100)
    name = "timm:hf-hub:headstart-test/mobilenetv2_100.tf_in1k"
    settings = {"learning_rate": "0.5", "steps": "30", "views": "0", "blocks": "1"}
    outcome = workflow.fit(
        source, into=tmp_path / "run", backbone=name, method="finetune", settings=settings, root=tmp_path / "cache"
    )
    (found,) = (f for f in outcome.result["findings"] if f["guard"] == "rate")
    assert 1e-7 < found["evidence"]["holds"] < 0.05 and "--set learning_rate=" in found["fix"]
    assert "where the loss was least" in found["message"]


def test_a_batch_that_memory_does_not_hold_goes_in_parts_to_the_same_end(vision, text, tmp_path, monkeypatch):
    """Photos and texts of several windows; a processor says in words alone that memory is at its end."""
    from contextlib import nullcontext

    from headstart.training.tuning import learner as upper
    from headstart.training.tuning import loop
    from headstart.training.tuning.losses import TrainingLoss, objective_loss

    monkeypatch.setattr(loop, "mixed_precision", lambda learner: lambda batch: nullcontext())
    objective = Classes(("a", "b", "c"))
    for name, units in ((vision, None), (text, [[5], [3, 8], [2], [8, 8, 4]])):
        card = find_card(name, tmp_path)
        at = len(card.blocks) - 1
        dice = np.random.default_rng(0)
        y = np.array([0, 1, 2, 1])
        if units is None:
            x = dice.standard_normal((4, *card.blocks[at - 1].shape)).astype(np.float16)
        else:
            items = tuple(dice.standard_normal((sum(w), card.width)).astype(np.float16) for w in units)
            x = Ragged(items, tuple(map(tuple, units)))
        batch = {**upper.collate(x, np.arange(4)), "y": y}
        slopes = []
        for most in (99, 1):
            torch.manual_seed(0)
            learner = upper.Learner(open_above(card, card.cut(at)), 3)
            torch.nn.init.normal_(learner.head.weight)
            lesson = TrainingLoss(learner, objective_loss(objective, 0.1), 0.0)
            whole = learner.forward

            def forward(some, most=most, whole=whole):
                if len(some["y"]) > most:
                    raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes")
                return whole(some)

            monkeypatch.setattr(learner, "forward", forward)
            optimizer = torch.optim.SGD(learner.parameters(), lr=0.0)
            step = next(
                loop.steps(lesson, lambda index, b=batch: b, optimizer, lambda i: 0.0, 1, split=upper.split_batch)
            )
            slopes.append((step.loss, learner.head.weight.grad.clone(), step.micro_batches))
        assert slopes[1][2] == 4 and slopes[0][2] == 1
        assert slopes[1][0] == pytest.approx(slopes[0][0], rel=1e-5)
        assert torch.allclose(slopes[0][1], slopes[1][1], rtol=1e-4, atol=1e-6)
        with pytest.raises(PlanError, match="Memory does not hold a batch"):
            next(loop.steps(lesson, lambda index, b=batch: b, optimizer, lambda i: 0.0, 1))


def test_saving_memory_changes_no_gradient(vision, tmp_path):
    from headstart.training.tuning import learner as upper

    card = find_card(vision, tmp_path)
    x = np.random.default_rng(0).standard_normal((3, *card.blocks[2].shape)).astype(np.float16)
    found = []
    for checkpointing in (False, True):
        learner = upper.Learner(open_above(card, card.cut(3), gradient_checkpointing=checkpointing), 2)
        learner.body.requires_grad_(True)
        learner.embed({"x": torch.from_numpy(x)}).square().sum().backward()
        found.append(torch.cat([p.grad.flatten() for p in learner.body.parameters() if p.grad is not None]))
    assert len(found[0]) > 1000 and torch.allclose(*found, rtol=1e-5, atol=1e-6)


def test_saving_memory_goes_with_half_precision(text, tmp_path, monkeypatch):
    """What is computed again on the way back takes the same kind of attention as on the way there."""
    from headstart.training.tuning import learner as upper
    from headstart.training.tuning import loop
    from headstart.training.tuning.losses import TrainingLoss, objective_loss

    monkeypatch.setattr(loop.hardware, "processor_info", lambda: ("", frozenset({"avx512_bf16"})))
    card = find_card(text, tmp_path)
    at = len(card.blocks) - 1
    tokens = np.random.default_rng(0).standard_normal((4, 5, card.width)).astype(np.float16)
    x = Ragged(tuple(tokens), ((5,),) * 4)
    batch = {**upper.collate(x, np.arange(4)), "y": np.array([0, 1, 1, 0])}
    slopes = []
    for checkpointing in (False, True):
        torch.manual_seed(0)
        learner = upper.Learner(open_above(card, card.cut(at), gradient_checkpointing=checkpointing), 2)
        learner.body.requires_grad_(True)
        torch.nn.init.normal_(learner.head.weight)
        lesson = TrainingLoss(learner, objective_loss(Classes(("a", "b")), 0.1), 0.0)
        optimizer = torch.optim.SGD(learner.parameters(), lr=0.0)
        next(loop.steps(lesson, lambda index: batch, optimizer, lambda i: 0.0, 1))
        slopes.append(torch.cat([p.grad.flatten() for p in learner.body.parameters() if p.grad is not None]))
    assert len(slopes[0]) > 1000 and torch.allclose(*slopes, rtol=1e-3, atol=1e-5)


def test_half_precision_is_for_matrices_where_the_processor_has_no_more(monkeypatch):
    """Kernels are slower in it on such a processor; where there is AMX both are faster, and elsewhere neither."""
    from headstart.training.tuning import loop

    kernels = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3), torch.nn.Flatten(), torch.nn.Linear(8, 2))
    matrices = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3), torch.nn.Flatten(), torch.nn.Linear(8, 200))
    said = {"avx2": (False, False), "avx512_bf16": (False, True), "avx512_bf16 amx_bf16": (True, True)}
    for flags, wanted in said.items():
        monkeypatch.setattr(loop.hardware, "processor_info", lambda flags=flags: ("", frozenset(flags.split())))
        halved = []
        for it in (kernels, matrices):
            with loop.mixed_precision(it)({}):
                halved.append(torch.is_autocast_enabled("cpu"))
        assert tuple(halved) == wanted


def test_a_probe_that_auto_kept_is_not_called_training():
    from headstart.evaluation.verdict import verdict
    from tests.support.run_samples import SAMPLES

    versus = {"probe": {"verdict": "cannot tell", "p": 0.5, "difference": -0.003}}
    result = {**SAMPLES["six"], "findings": []}
    result["details"] = {**result["details"], "versus": versus, "per_class": []}
    assert "ship --method probe" in verdict(result)
    kept = verdict({**result, "head": {**result["head"], "race": {"winner": "probe"}}})
    assert "A plain probe answers" in kept and "--method probe" not in kept


@pytest.mark.parametrize(("asked", "said"), [("lora,nonsense", "nonsense"), ("knn", "in steps"), ("auto", "in steps")])
def test_a_race_of_what_cannot_be_raced_is_refused(asked, said, vision, tmp_path):
    some, _ = two_class_examples("image", 24)
    source = ([e.content for e in some], [e.label for e in some])
    with pytest.raises(HeadstartError, match=said):
        workflow.fit(source, into=tmp_path / "run", backbone=vision, method="auto", settings={"methods": asked})
