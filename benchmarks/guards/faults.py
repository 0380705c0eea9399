"""Faults in how a network is run: each patches Headstart while it is open."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from unittest.mock import patch

import numpy as np


@contextmanager
def no_fault() -> Iterator[None]:
    yield


@contextmanager
def train_mode_below_cut() -> Iterator[None]:
    """The frozen part is left in train mode: BatchNorm follows the batches, dropout drops."""
    from headstart.backbones.network import Network

    whole = Network.below
    with patch.object(Network, "below", lambda self, cut: whole(self, cut).train()):
        yield


@contextmanager
def moving_weight() -> Iterator[None]:
    """Something goes on training what should be frozen."""
    from headstart.features.engines.torch import TorchExtractor

    whole = TorchExtractor.rows

    def rows(self, units):
        import torch

        found = whole(self, units)
        with torch.no_grad():
            next(p for p in self.module.parameters()).mul_(1.0001)
        return found

    with patch.object(TorchExtractor, "rows", rows):
        yield


def altered_pixels(change: Callable[[np.ndarray], np.ndarray]) -> Callable:
    """What enters the network is changed: (b, 3, h, w) normalised -> likewise."""

    @contextmanager
    def broken() -> Iterator[None]:
        from headstart.features.preprocess import image

        whole = image.batch
        with patch.object(image, "batch", lambda units, spec: {"pixels": change(whole(units, spec)["pixels"])}):
            yield

    return broken


def altered_resize(**settings: object) -> Callable:
    """Pictures are resized and cropped otherwise than the weights' card says."""

    @contextmanager
    def broken() -> Iterator[None]:
        from headstart.features.preprocess import image

        whole = image._resize_and_crop
        with patch.object(image, "_resize_and_crop", lambda picture, facts: whole(picture, {**facts, **settings})):
            yield

    return broken


@contextmanager
def shifted_tokens() -> Iterator[None]:
    """The tokenizer of another vocabulary: every token is a neighbour of the right one."""
    from headstart.features.preprocess import text

    whole = text._encode_windows

    def shifted(raw, spec, tokenizer, before, after):
        return [np.where(w > 999, w + 1, w).astype(np.int32) for w in whole(raw, spec, tokenizer, before, after)]

    with patch.object(text, "_encode_windows", shifted):
        yield


@contextmanager
def no_lowercasing() -> Iterator[None]:
    """Capitals reach a vocabulary that has none."""
    from headstart.features.preprocess import text

    whole = text._tokenizer.__wrapped__

    def bare(settings, files):
        from tokenizers.normalizers import NFC

        tokenizer, before, after = whole(settings, files)
        tokenizer.normalizer = NFC()
        return tokenizer, before, after

    with patch.object(text, "_tokenizer", bare):
        yield


@contextmanager
def all_frozen() -> Iterator[None]:
    """The freeze selector matched everything."""
    from headstart.training.methods import finetune

    whole = finetune.Settings.modify

    def modify(self, learner):
        whole(self, learner)
        learner.body.requires_grad_(False)

    with patch.object(finetune.Settings, "modify", modify):
        yield


@contextmanager
def batchnorm_follows_batches() -> Iterator[None]:
    """BatchNorm above the cut follows the batches although it should not."""
    from torch import nn

    from headstart.training.tuning.learner import Learner

    with patch.object(Learner, "train", nn.Module.train):
        yield
