"""What teachers give for stored views: each view is embedded once by each teacher and kept in the feature cache."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from headstart.backbones.cards import find_card
from headstart.core import digest
from headstart.core.backbone import Backbone
from headstart.core.errors import PlanError, SourceError, Stopped
from headstart.core.plugins import member
from headstart.core.run import Emit
from headstart.features.augmentation import Policy
from headstart.features.cache import maintenance, store
from headstart.features.cache.segments import CacheEntry
from headstart.features.cache.writer import ShelfWriter
from headstart.features.runner import start_engine
from headstart.pretraining.contracts import Corpus, TeacherTargets
from headstart.pretraining.image_corpus import ImageCorpus
from headstart.pretraining.pretrain_plan import PretrainPlan

CHUNK = 128  # views embedded between two events of progress


@dataclass(frozen=True, slots=True, eq=False)
class StoredViews:
    """Views 1 to `count` of every image, in this order: all of view 1, then all of view 2 …"""

    images: ImageCorpus
    count: int
    policy: Policy
    seed: int

    def digests(self) -> list[str]:
        """What each view's row is kept by."""
        numbers = range(1, self.count + 1)
        return [digest.of_bytes(f"{d}/{number}".encode()) for number in numbers for d in self.images.digests]

    def draw(self, i: int, side: int) -> np.ndarray:
        """(side, side, 3) uint8, the i-th of them."""
        number, image = divmod(i, len(self.images))
        return self.images.view(image, 1 + number, self.policy, self.seed, side)

    def of_card(self, card: Backbone) -> Backbone:
        """The teacher's card with these views in its preprocessing, so that its shelf of the cache is theirs alone."""
        blended_with = self.images.digest() if self.policy.mix else ""
        drawn = (("policy", tuple(asdict(self.policy).items())), ("seed", self.seed), ("with", blended_with))
        spec = card.preprocess
        return replace(card, preprocess=replace(spec, settings=(*spec.settings, ("views", drawn))))


def add_teacher_targets(corpus: Corpus, kind: str, plan: PretrainPlan, pretext: Any, root: Path, emit: Emit) -> Corpus:
    """The corpus with what each teacher of the plan gives for every stored view.

    kind: of the data.  Raises SourceError for a teacher that cannot read them, PlanError where none is wanted.
    """
    if not plan.teachers:
        return corpus
    if corpus.images is None:
        raise SourceError(f"Teachers see pictures; these data are {kind}s.")
    wanted = member("pretexts", plan.pretext).TEACHERS
    if not wanted:
        raise PlanError(f"{plan.pretext} learns without teachers: headstart pretrain DATA --pretext {plan.pretext}")
    views = StoredViews(corpus.images, pretext.views, pretext.policy_of(), plan.seed)
    if wanted == "models":
        targets = [_logits_of_model(Path(name), kind, views, root, emit) for name in plan.teachers]
        return replace(corpus, teachers=tuple(targets))
    cards = [find_card(name, root) for name in plan.teachers]
    for card in cards:
        _check_teacher(card, kind)
    return replace(corpus, teachers=tuple(compute_teacher_targets(card, views, root, emit) for card in cards))


def _check_teacher(card: Backbone, kind: str) -> None:
    """Raises SourceError when a teacher cannot be shown views of these data."""
    if kind not in member("preprocess", card.preprocess.kind).SERVES or card.preprocess.kind != "image":
        raise SourceError(f"The teacher {card.name} reads {card.preprocess.kind}; these data are {kind}s.")


def _logits_of_model(folder: Path, kind: str, views: StoredViews, root: Path, emit: Emit) -> TeacherTargets:
    """The logits of a fitted model for every view, on the embeddings of its own backbone."""
    from headstart.deployment.model_folder import load

    model, _ = load(folder, root)
    _check_teacher(model.backbone, kind)
    if model.objective.link != "softmax":
        raise SourceError(f"The teacher {folder} does not tell classes apart; a classifier is expected.")
    embeddings = compute_teacher_targets(model.backbone, views, root, emit).rows
    return TeacherTargets(str(folder), model.fitted.scores(embeddings))


def compute_teacher_targets(
    card: Backbone, views: StoredViews, root: Path, emit: Emit = lambda event, facts: None
) -> TeacherTargets:
    """The embeddings of one teacher for every view, at the teacher's own input size.

    Raises Stopped when the teacher's weights did not stay as they were.
    """
    shelf = store.Shelf(root, views.of_card(card), card.cut(len(card.blocks)))
    digests = views.digests()
    missing = shelf.missing(digests)
    if missing:
        _embed_views(card, views, [(i, digests[i]) for i in missing], shelf, root, emit)
        shelf.compact()
        maintenance.evict(root, store.size_limit(), keep=(shelf.key,))
    return TeacherTargets(card.name, shelf.rows(digests), member("backbones", card.family).classifier(card))


def _embed_views(
    card: Backbone, views: StoredViews, missing: Sequence[tuple[int, str]], shelf: store.Shelf, root: Path, emit: Emit
) -> None:
    """Puts the rows of the missing views, (position, digest) each, on the shelf."""
    emit("opening", {"backbone": card.name, "todo": len(missing), "cached": 0})
    side = int(card.preprocess["input_size"][1])  # type: ignore[index]
    extractor = start_engine(card, card.cut(len(card.blocks)), len(missing), root)
    with ThreadPoolExecutor(2) as pool, ShelfWriter(shelf, "teach", len(missing), emit) as writer:
        for first in range(0, len(missing), CHUNK):
            chunk = missing[first : first + CHUNK]
            rows = extractor.rows(list(pool.map(lambda item: views.draw(item[0], side), chunk)))
            writer.add([CacheEntry(name, row) for (_, name), row in zip(chunk, rows, strict=True)])
    receipt = extractor.receipt()
    shelf.save_receipt(receipt)
    if receipt.moved:
        raise Stopped(f"The teacher {card.name} changed while it was asked: {', '.join(receipt.moved[:3])}.")
