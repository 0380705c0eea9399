"""Zero-shot: a picture is of the class whose name, put into a sentence, is nearest to it. Nothing learns.

Labels only judge. For backbones that learned pictures with their captions. Source: Radford et al. 2021, section 3.1.4.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from headstart.core.backbone import Backbone, Cut
from headstart.core.errors import PlanError
from headstart.core.features import Features
from headstart.core.head import Head
from headstart.core.plan import OpenAbove, Traits
from headstart.core.plugins import member
from headstart.core.task import Objective
from headstart.training.heads.linear import check_rows

ONE = ("a photo of a {}.",)
# The seven that carry most of their eighty on ImageNet. Source: openai/CLIP, Prompt_Engineering_for_ImageNet.ipynb.
SEVERAL = (
    "itap of a {}.",
    "a bad photo of the {}.",
    "a origami {}.",
    "a photo of the large {}.",
    "a {} in a video game.",
    "art of the {}.",
    "a photo of the small {}.",
)
TEMPLATES = {"one": ONE, "several": SEVERAL}
INFERENCE_BATCH = 8_192


@dataclass(frozen=True, slots=True)
class Settings:
    """The sentences that stand for each class.

    templates: "one", "a photo of a {}."; "several", the mean of seven; or your own, with {} for the class's name and |
               between several
    labels: what the classes are called there, in their order, with commas between; empty = their own names
    """

    traits: ClassVar[Traits] = Traits(best_for="no labels at all: classes that words can name, on a clip: backbone")
    trains_on_validation: ClassVar[bool] = False  # it learns from neither part

    templates: str = "one"
    labels: tuple[str, ...] = ()

    def cut(self, backbone: Backbone) -> Cut:
        """At the top. Raises PlanError where the backbone knows no words for what it sees."""
        if getattr(member("backbones", backbone.family), "words", None) is None:
            raise PlanError(
                f"{backbone.name} never saw words beside its pictures, so a class's name tells it nothing. Borrow one "
                "that learned both, for example --backbone clip:laion/CLIP-ViT-B-32-laion2B-s34B-b79K or "
                "clip:google/siglip2-base-patch16-224; or take --method centroid, which needs a label or two a class."
            )
        return backbone.cut(len(backbone.blocks))

    def fit(
        self, train: Features, val: Features, objective: Objective, *, above: OpenAbove, rng: np.random.Generator
    ) -> ClassEmbeddings:
        """Names in sentences through the text tower; the labels of train and val are not looked at.

        Raises PlanError for tags and numbers, and where names say nothing or are two to one.
        """
        if objective.link != "softmax":
            raise PlanError(
                "zeroshot weighs the names of classes against each other, and these labels are no classes: a likeness "
                "alone does not say whether a tag is on, nor how large a number is. Take --method probe."
            )
        check_rows(train)
        templates, labels = _templates(self.templates), _labels(objective.facts()["names"], self.labels)
        card = above().card
        provider: Any = member("backbones", card.family)
        texts = [template.replace("{}", label) for label in labels for template in templates]
        embeddings = _normalize(provider.words(card, texts)).reshape(len(labels), len(templates), -1)
        factor, offset = provider.scale(card)
        notes = {"templates": list(templates), "labels": list(labels), "scale": factor, "offset": offset, "learned": 0}
        return ClassEmbeddings(_normalize(embeddings.mean(1)).astype(np.float32), factor, offset, notes)


@dataclass(frozen=True, slots=True, eq=False)
class ClassEmbeddings:
    """Logits by the cosine similarity to the text embedding of each class.

    words: (k, d) float32, rows of length 1.  factor, offset: of the backbone's own scores of a picture and a text
    """

    words: np.ndarray
    factor: float
    offset: float
    notes: dict = field(default_factory=dict)

    def scores(self, x: np.ndarray) -> np.ndarray:
        """(n, d) -> (n, k) float32: the backbone's own scores, for a softmax over the classes.

        SigLIP's were made for a sigmoid each; as one of the classes is true, they too are weighed against each other.
        """
        words = self.words.astype(np.float64).T
        starts = range(0, len(x), INFERENCE_BATCH)
        parts = [_normalize(x[i : i + INFERENCE_BATCH]) @ words * self.factor + self.offset for i in starts]
        return np.concatenate(parts).astype(np.float32) if parts else np.zeros((0, len(self.words)), np.float32)

    def head(self) -> Head:
        """One matrix on rows of length 1."""
        words = self.words.astype(np.float64).T * self.factor
        return Head(((words, np.full(words.shape[1], self.offset)),), unit=True)

    def state(self) -> dict[str, np.ndarray]:
        """The words as vectors: the text tower is not needed again."""
        return {"words": self.words, "scale": np.array([self.factor, self.offset], np.float64)}

    def files(self) -> dict[str, bytes]:
        """None."""
        return {}


def restore(state: dict[str, np.ndarray], above: object = None) -> ClassEmbeddings:
    """From its `state()`, without notes. above: not needed"""
    factor, offset = (float(v) for v in state["scale"])
    return ClassEmbeddings(state["words"], factor, offset)


def _normalize(x: np.ndarray) -> np.ndarray:
    """Rows of length 1, float64."""
    wide = x.astype(np.float64)
    return wide / np.maximum(np.linalg.norm(wide, axis=-1, keepdims=True), 1e-12)


def _templates(setting: str) -> tuple[str, ...]:
    """The sentences that a setting stands for. Raises PlanError where a name has no place in one."""
    templates = TEMPLATES.get(setting) or tuple(text.strip() for text in setting.split("|"))
    lacking = next((text for text in templates if "{}" not in text), None)
    if lacking is not None:
        raise PlanError(
            f"templates={setting} is not possible: {lacking!r} has no {{}} for the name of a class. It is one of "
            f"{', '.join(TEMPLATES)}, or a sentence of your own: --set templates='a satellite photo of {{}}.'"
        )
    return templates


def _labels(names: Sequence[str], given: tuple[str, ...]) -> tuple[str, ...]:
    """What each class is called in a sentence: its name with plain spaces, or what was given in its place.

    Raises PlanError where too few or too many were given, two are the same, or none holds a letter.
    """
    if given and len(given) != len(names):
        raise PlanError(
            f"labels names {len(given)} classes and there are {len(names)}: {', '.join(names[:10])}. Name each, in "
            "this order, with commas between."
        )
    plain = tuple(" ".join(name.replace("_", " ").replace("-", " ").split()) for name in names)
    labels = tuple(" ".join(text.split()) for text in given) or plain
    duplicate = next((i for i, text in enumerate(labels) if text in labels[:i]), None)
    if duplicate is not None:
        other = names[labels.index(labels[duplicate])]
        raise PlanError(
            f"The classes {other!r} and {names[duplicate]!r} are both called {labels[duplicate]!r}: words cannot tell "
            "them apart. Say what each is: --set labels=…, with commas between."
        )
    if not given and not any(letter.isalpha() for text in labels for letter in text):
        raise PlanError(
            f"The classes are called {', '.join(names[:5])}, which does not say what they look like. Say it in this "
            "order, with commas between: --set labels='cat,dog'."
        )
    return labels
