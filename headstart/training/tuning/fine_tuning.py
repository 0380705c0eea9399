"""The training that several methods share: fine-tuning of blocks, and tuning of adapters on them."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np
import torch

from headstart.core.features import Features
from headstart.core.plan import OpenAbove
from headstart.core.task import Objective
from headstart.training.heads.cross_validation import hold_out
from headstart.training.tuning.head_warmup import warm_up_head
from headstart.training.tuning.optim import recipe_of
from headstart.training.tuning.trainer import Finish, TrainingData, run_training
from headstart.training.tuning.tuned import Tuned, fit_probe_head, open_learner

L2_SP_LABELS = 50  # a class, below which weights are pulled toward the borrowed ones


def fine_tune(
    method: Any, train: Features, val: Features, objective: Objective, above: OpenAbove, rng: np.random.Generator,
    finish: Finish = lambda learner, data, start: {},
) -> Tuned:  # fmt: skip
    """Trains what `method.modify` lets learn above the cut, under a head that is warmed up or fitted first.

    method: a Stepwise of training/shared_settings.py
    finish: what is still to be done to the learner after the training, given what learned as it was before; gives notes
    """
    train, val = hold_out(train, val, objective, rng)  # before a head is fitted: it must not know what judges it
    learner, embeddings = open_learner(above, objective, train)
    if method.draws_weights:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(int(rng.integers(2**31)))
            method.modify(learner)
    else:
        method.modify(learner)
    few = len(train) / max(1, objective.width) < L2_SP_LABELS
    recipe = recipe_of(method, l2_sp=method.l2_sp if few else 0.0, unfreezing=method.unfreezing)
    if method.starts_from_probe:
        notes: dict = {"probe": fit_probe_head(learner, embeddings, train, objective, rng)}
    else:
        seed = int(rng.integers(2**31))
        notes = {"acquainted": warm_up_head(learner, embeddings, train.y, objective, recipe, seed)}
    data, seed = TrainingData(train, val, objective, train, embeddings), int(rng.integers(2**31))
    return run_training(learner, data, recipe, asdict(method), seed, finish=lambda *end: notes | finish(*end))
