"""Training above a cut: how fast each part learns, when to look, what is kept at the end. For methods/.

Imports torch when it is imported: methods open it inside their functions.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from headstart.core.features import Features
from headstart.core.statistics import alike
from headstart.core.task import Objective
from headstart.training.heads import cross_validation
from headstart.training.heads.temperature_scaling import calibrate
from headstart.training.loss_diagnosis import course
from headstart.training.tuning import loop, lr_range_test, optim
from headstart.training.tuning.learner import Learner, arrays, halved, numbers, passed
from headstart.training.tuning.loop import turn
from headstart.training.tuning.optim import Recipe, cosine, fused
from headstart.training.tuning.tuned import Tuned, changed

CHECKS = 10  # looks at the held-out part during training
SOUP = 3  # best checks that are averaged. Source: Wortsman et al. 2022, "Model soups"
PATIENCE = 5  # checks without a gain that end the training
MEETINGS = 64  # of each class at most by a head that learns alone
HALFWAY = 0.4  # of its first loss, where that ends
SAMPLE = 256  # rows whose drift is measured
SAID = 0.5  # seconds between two words of progress

Loss = Callable[[Learner, dict[str, torch.Tensor]], torch.Tensor]


def learn(
    learner: Learner,
    rows: np.ndarray,
    train: Features,
    val: Features,
    objective: Objective,
    recipe: Recipe,
    settings: dict,
    rng: np.random.Generator,
    loss: Loss | None = None,
    finish: Callable[[], dict] = dict,
    hold: bool = True,
) -> Tuned:
    """Trains everything that asks for gradients, and the head.

    rows: (n, d) of `train` before anything learned.  settings: the method's, from which it is built again
    loss: of the learner on a batch, where it is not the objective's; then nothing is looked at on the way
    finish: what is still to be done to the learner after its training; gives notes
    hold: whether a part may be held out to choose by where none is given
    With a part to choose by: the best check, or the mean of the best three where that is better; scores are divided by
    the temperature that fits it. Without: the last step, uncalibrated.
    """
    seed = int(rng.integers(2**31))
    learn_from, held = cross_validation.parted(train, val, objective, rng) if hold else (train, val)
    learner.learns = tuple(n for n, p in learner.body.named_parameters() if p.requires_grad)
    begun = snapshot(learner)
    still = {k: v.detach().clone() for k, v in _frozen(learner).items()}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        watched = held if loss is None else held.rows(np.zeros(0, np.int64))
        found = _train(learner, learn_from, watched, objective, recipe, seed, loss, begun)
    found |= finish()
    moved = [name for name, tensor in _frozen(learner).items() if not torch.equal(tensor, still[name])]
    temperature, log_loss = 1.0, None
    if len(held) and objective.link != "identity":
        fitted = calibrate(passed(learner, held.x, learner), held.y, objective.link)
        temperature, log_loss = fitted.temperature, fitted.loss
    sample = np.linspace(0, len(train) - 1, min(SAMPLE, len(train))).astype(np.int64)
    now = passed(learner, train.x[sample], learner.rows)
    notes = {
        **found,
        "rows": len(learn_from),
        "held": len(held),
        "temperature": temperature,
        "log_loss": log_loss,
        "drift": 1.0 - alike(rows[sample], now),
        "added": max(0, numbers(learner) - learner.borrowed),
        "learned": sum(t.numel() for t in changed(learner).values())
        + sum(p.numel() for p in learner.head.parameters()),
        "learning_tensors": len(changed(learner)),
        "frozen_above": {"tensors": len(still), "moved": moved[:20]},
    }
    return Tuned(learner, settings, temperature, notes)


def _idle(learner: Learner, begun: dict[str, torch.Tensor]) -> list[str]:
    """Names of tensors that should have learned and are as they were, to the last bit."""
    return [name for name, tensor in snapshot(learner).items() if torch.equal(tensor, begun[name])]


def _frozen(learner: Learner) -> dict[str, torch.Tensor]:
    """Everything above the cut that must stay as it is."""
    learns = {id(t) for t in changed(learner).values()}
    held = (*learner.body.named_parameters(), *learner.body.named_buffers())
    return {name: t for name, t in held if id(t) not in learns and not name.endswith("num_batches_tracked")}


def _train(
    learner: Learner,
    train: Features,
    held: Features,
    objective: Objective,
    recipe: Recipe,
    seed: int,
    loss: Loss | None,
    begun: dict[str, torch.Tensor],
) -> dict:
    """Steps, and looks at `held` between them; leaves the learner with the weights to keep. Gives notes.

    begun: what learns, as it was. Where the loss ran away, a range test from there tells which rate would have held
    """
    lesson = Lesson(learner, loss or usual(objective, recipe.smooth), recipe.start)
    learner.norms = recipe.norms
    pad = int(str(dict(learner.card.preprocess.settings).get("pad", 0)))
    views = (train.x, *train.views)

    def draw(index: int) -> dict[str, np.ndarray]:
        chosen, lap = turn(len(train), recipe.batch, index, seed)
        return {**arrays(views[lap % len(views)], chosen, pad), "y": train.y[chosen]}

    tested: dict = {}
    if recipe.find:
        factor, curve = lr_range_test.found(lesson, draw, optim.rates(learner, recipe))
        recipe = replace(recipe, rate=factor * recipe.rate, head=factor * recipe.head)
        tested = {"range": curve, "rate": recipe.rate}
    optimizer = fused(optim.rates(learner, recipe))
    every = max(1, recipe.steps // CHECKS)
    kept = [(held_loss(learner, held, objective), begun)] if len(held) else []  # the start may stay the best
    checks: list[dict] = [{"step": 0, "loss": loss} for loss, _ in kept]
    calm: tuple[float, int, dict[str, torch.Tensor]] = (float("inf"), 0, begun)
    losses: list[float] = []
    said = began = time.perf_counter()
    learner.train()
    optim.thaw(learner, 0, recipe)
    pace, parts = cosine(1.0, recipe.steps, recipe.warm), 1
    split = halved if loss is None else None  # the loss of pairs is not a sum over examples
    for step in loop.steps(lesson, draw, optimizer, pace, recipe.steps, spare=0, split=split):
        losses.append(step.loss)
        if step.parts > parts:
            parts = step.parts
            learner.say("memory", {"parts": parts, "batch": recipe.batch})
        done, now = step.index + 1, time.perf_counter()
        optim.thaw(learner, done, recipe)
        if now - said > SAID or done == recipe.steps:
            speed = round(done * recipe.batch / (now - began), 1)
            mean = round(float(np.mean(losses[-20:])), 5)
            learner.say("step", {"done": done, "total": recipe.steps, "loss": mean, "rate": step.rate, "speed": speed})
            said = now
        if len(held) and (done % every == 0 or done == recipe.steps):
            found = held_loss(learner, held, objective)
            checks.append({"step": done, "loss": found})
            kept = sorted([*kept, (found, snapshot(learner))], key=lambda pair: pair[0])[:SOUP]
            if len(checks) > PATIENCE and min(c["loss"] for c in checks[-PATIENCE:]) > kept[0][0]:
                break
        elif not len(held) and done % every == 0 and float(np.mean(losses[-every:])) < calm[0]:
            calm = float(np.mean(losses[-every:])), done, snapshot(learner)
    learner.eval()
    optim.thaw(learner, recipe.steps, recipe)
    idle = _idle(learner, begun)  # before the start may be put back
    used = _keep(learner, kept, held, objective, begun) if kept else "the last step"
    if course(losses)[0]:
        tested |= _held_by(learner, lesson, draw, recipe, begun) if not recipe.find else {}
        if not kept:
            put(learner, calm[2])
            used = f"step {calm[1]}, where the loss was least before it ran away"
    seconds = round(time.perf_counter() - began, 3)
    return {
        "steps": len(losses),
        "checks": checks,
        "kept": used,
        "idle": idle,
        "losses": _thinned(losses),
        "train_seconds": seconds,
        "parts": parts,
    } | tested


def _held_by(learner: Learner, lesson: Lesson, draw: Callable, recipe: Recipe, begun: dict[str, torch.Tensor]) -> dict:
    """{"holds": the topmost block's rate by a range test from the start}; the learner stays as it is."""
    now = snapshot(learner)
    put(learner, begun)
    try:
        unit = replace(recipe, rate=1.0, head=recipe.head / recipe.rate)
        return {"holds": lr_range_test.found(lesson, draw, optim.rates(learner, unit))[0]}
    finally:
        put(learner, now)


def _thinned(losses: list[float], most: int = 200) -> list[float]:
    """At most so many means of stretches, for a plot."""
    return [round(float(np.mean(part)), 5) for part in np.array_split(losses, min(most, len(losses)))] if losses else []


def snapshot(learner: Learner) -> dict[str, torch.Tensor]:
    """Everything that learns, as it is now."""
    tensors = {f"body.{n}": t for n, t in changed(learner).items()}
    tensors |= {f"head.{n}": p for n, p in learner.head.named_parameters()}
    return {name: t.detach().clone() for name, t in tensors.items()}


def put(learner: Learner, state: dict[str, torch.Tensor]) -> None:
    """Tensors by name into the learner."""
    own = {**dict(learner.named_parameters()), **dict(learner.named_buffers())}
    with torch.no_grad():
        for name, tensor in state.items():
            own[name].copy_(tensor)


def _keep(learner: Learner, kept: list[tuple[float, dict]], held: Features, objective: Objective, begun: dict) -> str:
    """The mean of the best checks where it is better than the best of them. begun: the check before the first step"""
    best, state = kept[0]
    if len(kept) > 1:
        put(learner, {name: torch.stack([s[name] for _, s in kept]).mean(0) for name in state})
        if held_loss(learner, held, objective) <= best:
            return f"the mean of the best {len(kept)} checks"
    put(learner, state)
    return "the start, which no step bettered on the held-out part" if state is begun else "the best check"


def held_loss(learner: Learner, held: Features, objective: Objective) -> float:
    """The objective's mean loss on rows that do not train, in the precision of training: it only compares."""
    scores = torch.from_numpy(passed(learner, held.x, learner, roughly=True))
    return float(objective.loss(scores, torch.from_numpy(held.y)))


def usual(objective: Objective, smooth: float) -> Loss:
    """The objective's loss, with label smoothing for classes."""

    return lambda learner, batch: _smoothed(objective, learner(batch).float(), batch["y"], smooth)


def _smoothed(objective: Objective, scores: torch.Tensor, y: torch.Tensor, smooth: float) -> torch.Tensor:
    if objective.link == "softmax" and smooth:
        return F.cross_entropy(scores, y, label_smoothing=smooth)
    return objective.loss(scores, y)


def acquaint(learner: Learner, rows: np.ndarray, y: np.ndarray, objective: Objective, recipe: Recipe, seed: int) -> int:
    """Of more classes than a batch has examples the head learns alone first, until it is half-way; gives its steps.

    rows: (n, d) of what trains, before anything learned
    Such a head at zero meets each class rarely and sends noise into the blocks below until it knows them: flowers with
    ViT-tiny and 200 steps 83.2 % without this, 90.8 with, the probe 92.1. Of few classes it does harm: a head that has
    learned leaves the blocks less to learn (trec6 at 8 a class 2 points less after one pass, at 64 7 after twenty).
    Source: Howard and Gugger 2020, fastai's fine_tune, which freezes the rest for one pass.
    """
    if objective.link != "softmax" or objective.width <= recipe.batch:
        return 0
    x = ((torch.from_numpy(rows).float().to(learner.mean.device)) - learner.mean) * learner.gain
    labels = torch.from_numpy(y).to(x.device)
    most = MEETINGS * objective.width // recipe.batch
    optimizer = torch.optim.AdamW(learner.head.parameters(), lr=1e-3, weight_decay=recipe.weight)
    first, mean = 0.0, 0.0
    for step in range(most):
        picked, _ = turn(len(x), recipe.batch, step, seed)
        loss = _smoothed(objective, learner.head(x[picked]), labels[picked], recipe.smooth)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        first = first or float(loss.detach())
        mean = 0.8 * (mean or first) + 0.2 * float(loss.detach())
        if mean < HALFWAY * first:
            return step + 1
    return most


class Lesson(nn.Module):
    """The loss of a batch with its labels as "y", and the pull toward the start."""

    def __init__(self, learner: Learner, loss: Loss, start: float):
        super().__init__()
        self.learner, self._loss, self._pull = learner, loss, start
        self._start = [(p, p.detach().clone()) for p in learner.body.parameters() if p.requires_grad and start]

    def forward(self, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        """A scalar."""
        loss = self._loss(self.learner, batch)
        for parameter, start in self._start:
            loss = loss + 0.5 * self._pull * (parameter - start).square().sum()
        return loss
