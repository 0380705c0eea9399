"""The trainings that several methods share: fine-tuning of blocks, tuning of adapters, and training from scratch.

`method` is the settings of one: of a class in training/shared_settings.py, which opens these inside its functions.
Imports torch when it is imported.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import numpy as np
import torch

from headstart.core.features import Features
from headstart.core.plan import Above
from headstart.core.task import Objective
from headstart.training.heads.cross_validation import hold_out
from headstart.training.tuning.head_warmup import warm_up_head
from headstart.training.tuning.optim import Recipe
from headstart.training.tuning.trainer import TrainingData, run_training
from headstart.training.tuning.tuned import Tuned, fit_probe_head, open_learner

HEAD_FACTOR = 10.0  # times the topmost block's learning rate is the head's
FITTED_HEAD_FACTOR = 2.0  # and a fitted head's, which has little left to learn
L2_SP, L2_SP_LABELS = 0.01, 50  # strength of the pull toward the borrowed weights, for fewer labels a class


def fine_tune(
    method: Any,
    train: Features,
    val: Features,
    objective: Objective,
    above: Callable[[], Above],
    rng: np.random.Generator,
) -> Tuned:
    """Trains the blocks above the cut, the lower the slower, under a head that is warmed up or fitted first.

    method: a FineTuning
    """
    train, val = hold_out(train, val, objective, rng)  # before a head is fitted: it must not know what judges it
    learner, embeddings = open_learner(above, objective, train)
    method.modify(learner)
    learning_rate = method.learning_rate or 1.0
    few = len(train) / max(1, objective.width) < L2_SP_LABELS
    recipe = Recipe(
        method.steps,
        method.batch_size,
        learning_rate,
        head_learning_rate=(FITTED_HEAD_FACTOR if method.starts_from_probe else HEAD_FACTOR) * learning_rate,
        layer_decay=method.layer_decay,
        l2_sp=L2_SP if few else 0.0,
        label_smoothing=method.label_smoothing,
        batch_norm=method.batch_norm,
        unfreezing=method.unfreezing,
        find_learning_rate=not method.learning_rate,
    )
    if method.starts_from_probe:
        notes: dict = {"probe": fit_probe_head(learner, embeddings, train, objective, rng)}
    else:
        seed = int(rng.integers(2**31))
        notes = {"acquainted": warm_up_head(learner, embeddings, train.y, objective, recipe, seed)}
    data = TrainingData(train, val, objective, train, embeddings)
    return run_training(learner, data, recipe, asdict(method), int(rng.integers(2**31)), finish=lambda: notes)


def tune_adapters(
    method: Any,
    train: Features,
    val: Features,
    objective: Objective,
    above: Callable[[], Above],
    rng: np.random.Generator,
) -> Tuned:
    """Trains what `method.modify` lets learn, and the head, all at one learning rate. method: an AdapterTuning"""
    train, val = hold_out(train, val, objective, rng)
    learner, embeddings = open_learner(above, objective, train)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(rng.integers(2**31)))
        method.modify(learner)
    learning_rate = method.learning_rate or 1.0
    recipe = Recipe(
        method.steps,
        method.batch_size,
        learning_rate,
        head_learning_rate=learning_rate,
        layer_decay=1.0,
        label_smoothing=method.label_smoothing,
        find_learning_rate=not method.learning_rate,
    )
    seed = int(rng.integers(2**31))
    notes = {"acquainted": warm_up_head(learner, embeddings, train.y, objective, recipe, seed)}
    data = TrainingData(train, val, objective, train, embeddings)
    return run_training(learner, data, recipe, asdict(method), int(rng.integers(2**31)), finish=lambda: notes)


def train_from_scratch(
    method: Any,
    train: Features,
    val: Features,
    objective: Objective,
    above: Callable[[], Above],
    rng: np.random.Generator,
) -> Tuned:
    """Trains a network with random weights, all of it at one learning rate. method: a FromScratch"""
    weights_seed = int(rng.integers(2**31))
    learner, embeddings = open_learner(
        above, objective, train, lambda learner: method.initialize(learner, weights_seed)
    )
    recipe = Recipe(
        method.steps,
        method.batch_size,
        method.learning_rate,
        head_learning_rate=method.learning_rate,
        layer_decay=1.0,
        weight_decay=method.weight_decay,
        label_smoothing=method.label_smoothing,
        batch_norm="adapt",
    )
    seed = int(rng.integers(2**31))
    learn_from, val = hold_out(train, val, objective, rng)
    data = TrainingData(learn_from, val, objective, train, embeddings)
    return run_training(learner, data, recipe, asdict(method), seed)
