"""Training above a cut: AdamW with warm-up and a cosine, early stopping, checkpoint averaging, and its notes."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch

from headstart.core.features import Features
from headstart.core.statistics import linear_cka
from headstart.core.task import Objective
from headstart.training.heads.temperature_scaling import calibrate
from headstart.training.loss_diagnosis import diagnose_losses
from headstart.training.tuning import checkpoints, loop, lr_range_test
from headstart.training.tuning.checkpoints import Weights, copy_trained, load_trained
from headstart.training.tuning.learner import Learner, collate, count_parameters, forward_in_batches, split_batch
from headstart.training.tuning.losses import BatchLoss, TrainingLoss, objective_loss
from headstart.training.tuning.optim import Recipe, cosine_schedule, fused_adamw, parameter_groups, unfreeze_blocks
from headstart.training.tuning.tuned import Tuned, trained_tensors

CHECKS = 10  # evaluations on the validation set during training
DRIFT_SAMPLE = 256  # examples whose embeddings are compared with those before training
PROGRESS_SECONDS = 0.5  # between two reports of progress
PLOT_POINTS = 200  # of the loss curve, at most


@dataclass(frozen=True, slots=True, eq=False)
class TrainingData:
    """What a training sees.

    train, val: to learn from, and to choose the checkpoint by; val may be empty
    reference:  examples whose drift is measured.  embeddings: (n, d) of them, before training
    """

    train: Features
    val: Features
    objective: Objective
    reference: Features
    embeddings: np.ndarray


Finish = Callable[[Learner, TrainingData, Weights], dict]


def run_training(
    learner: Learner, data: TrainingData, recipe: Recipe, settings: dict, seed: int, *, loss: BatchLoss | None = None,
    finish: Finish = lambda learner, data, start: {},
) -> Tuned:  # fmt: skip
    """Trains everything that asks for gradients, and the head.

    settings: of the method, from which its network is built again
    loss: in place of the objective's; then there is no val
    finish: what is still to be done to the learner after the training, given what learned as it was before; gives notes
    With a val: the best checkpoint, or the mean of the best three where that is better; logits are divided by the
    temperature that fits it. Without: the last step, uncalibrated.
    """
    learner.trainable = tuple(n for n, p in learner.body.named_parameters() if p.requires_grad)
    start = copy_trained(learner)
    frozen = {name: t.detach().clone() for name, t in _frozen_tensors(learner).items()}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        notes = _train(learner, data, recipe, seed, loss, start)
    notes |= finish(learner, data, start)
    moved = [name for name, t in _frozen_tensors(learner).items() if not torch.equal(t, frozen[name])]
    temperature, log_loss = 1.0, None
    if len(data.val) and data.objective.link != "identity":
        calibration = calibrate(forward_in_batches(learner, data.val.x, learner), data.val.y, data.objective.link)
        temperature, log_loss = calibration.temperature, calibration.loss
    learned = trained_tensors(learner)
    notes |= {
        "rows": len(data.train),
        "held": len(data.val),
        "temperature": temperature,
        "log_loss": log_loss,
        "drift": _drift(learner, data),
        "added": max(0, count_parameters(learner) - learner.base_parameters),
        "learned": sum(t.numel() for t in learned.values()) + count_parameters(learner.head),
        "learning_tensors": len(learned),
        "frozen_above": {"tensors": len(frozen), "moved": moved[:20]},
    }
    return Tuned(learner, settings, temperature, notes)


def _train(
    learner: Learner, data: TrainingData, recipe: Recipe, seed: int, loss: BatchLoss | None, start: Weights
) -> dict:
    """The steps; leaves the learner with the weights to keep. Gives notes. start: what learns, before training"""
    training_loss = TrainingLoss(learner, loss or objective_loss(data.objective, recipe.label_smoothing), recipe.l2_sp)
    learner.batch_norm = recipe.batch_norm
    draw = _batches(learner, data.train, recipe.batch_size, seed)
    tested: dict = {}
    if recipe.find_learning_rate:
        factor, curve = lr_range_test.find_learning_rate(training_loss, draw, parameter_groups(learner, recipe))
        rate, head = factor * recipe.learning_rate, factor * recipe.head_learning_rate
        recipe = replace(recipe, learning_rate=rate, head_learning_rate=head)
        tested = {"range": curve, "rate": recipe.learning_rate}
    optimizer = fused_adamw(parameter_groups(learner, recipe))
    schedule = cosine_schedule(1.0, recipe.steps, recipe.warmup)
    split = split_batch if loss is None else None  # the loss of pairs is not a sum over examples
    check_every = max(1, recipe.steps // CHECKS)
    best = checkpoints.BestCheckpoints(learner, data.val, data.objective, start) if len(data.val) else None
    calmest = checkpoints.CalmestCheckpoint(start)
    progress, micro_batches = _Progress(learner, recipe), 1
    losses: list[float] = []

    learner.train()
    unfreeze_blocks(learner, 0, recipe)
    for step in loop.steps(training_loss, draw, optimizer, schedule, recipe.steps, spare_cores=0, split=split):
        done = step.index + 1
        losses.append(step.loss)
        if step.micro_batches > micro_batches:
            micro_batches = step.micro_batches
            learner.say("memory", {"parts": micro_batches, "batch": recipe.batch_size})
        unfreeze_blocks(learner, done, recipe)
        progress.report(done, losses, step.learning_rate)
        if best and (done % check_every == 0 or done == recipe.steps):
            best.evaluate(done)
            if best.is_stale():
                break  # early stopping
        elif not best and done % check_every == 0:
            calmest.evaluate(learner, done, losses[-check_every:])
    learner.eval()
    unfreeze_blocks(learner, recipe.steps, recipe)

    unchanged = [name for name, t in copy_trained(learner).items() if torch.equal(t, start[name])]
    kept = best.restore() if best else "the last step"
    if diagnose_losses(losses)[0]:  # it diverged
        if not recipe.find_learning_rate:
            tested |= {"holds": _stable_learning_rate(learner, training_loss, draw, recipe, start)}
        if not best:
            load_trained(learner, calmest.weights)
            kept = f"step {calmest.step}, where the loss was least before it ran away"
    return {
        "steps": len(losses),
        "checks": best.history if best else [],
        "kept": kept,
        "idle": unchanged,
        "losses": _smooth_curve(losses),
        "train_seconds": round(time.perf_counter() - progress.began, 3),
        "parts": micro_batches,
    } | tested


def _batches(learner: Learner, train: Features, batch_size: int, seed: int) -> Callable[[int], loop.Batch]:
    """Step -> its batch with labels; one epoch sees the plain features, the next an augmented view, and so on."""
    pad = learner.pad
    views = (train.x, *train.views)

    def draw(step: int) -> loop.Batch:
        index, epoch = loop.epoch_batch(len(train), batch_size, step, seed)
        return {**collate(views[epoch % len(views)], index, pad), "y": train.y[index]}

    return draw


class _Progress:
    """Reports the loss, the learning rate and the examples a second, every PROGRESS_SECONDS."""

    def __init__(self, learner: Learner, recipe: Recipe):
        self._learner, self._recipe = learner, recipe
        self.began = self._reported = time.perf_counter()

    def report(self, done: int, losses: list[float], learning_rate: float) -> None:
        """After `done` steps."""
        now, total = time.perf_counter(), self._recipe.steps
        if now - self._reported <= PROGRESS_SECONDS and done != total:
            return
        speed = round(done * self._recipe.batch_size / (now - self.began), 1)
        mean = round(float(np.mean(losses[-20:])), 5)
        facts = {"done": done, "total": total, "loss": mean, "rate": learning_rate, "speed": speed}
        self._learner.say("step", facts)
        self._reported = now


def _stable_learning_rate(
    learner: Learner, training_loss: TrainingLoss, draw: Callable, recipe: Recipe, start: Weights
) -> float:
    """The topmost block's learning rate by a range test from the start; the learner stays as it is."""
    weights = copy_trained(learner)
    load_trained(learner, start)
    try:
        head = recipe.head_learning_rate / recipe.learning_rate
        relative = replace(recipe, learning_rate=1.0, head_learning_rate=head)
        return lr_range_test.find_learning_rate(training_loss, draw, parameter_groups(learner, relative))[0]
    finally:
        load_trained(learner, weights)


def _frozen_tensors(learner: Learner) -> dict[str, torch.Tensor]:
    """Everything above the cut that must stay as it is."""
    learned = {id(t) for t in trained_tensors(learner).values()}
    tensors = (*learner.body.named_parameters(), *learner.body.named_buffers())
    return {name: t for name, t in tensors if id(t) not in learned and not name.endswith("num_batches_tracked")}


def _drift(learner: Learner, data: TrainingData) -> float:
    """1 less the linear CKA of embeddings before and after; 1 is nothing left of them."""
    n = len(data.reference)
    sample = np.linspace(0, n - 1, min(DRIFT_SAMPLE, n)).astype(np.int64)
    after = forward_in_batches(learner, data.reference.x[sample], learner.embed)
    return 1.0 - linear_cka(data.embeddings[sample], after)


def _smooth_curve(losses: list[float]) -> list[float]:
    """Means of at most PLOT_POINTS stretches."""
    stretches = np.array_split(losses, min(PLOT_POINTS, len(losses))) if losses else []
    return [round(float(np.mean(stretch)), 5) for stretch in stretches]
