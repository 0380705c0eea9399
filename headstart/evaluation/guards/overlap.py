"""The pretraining had the task's own classes: few-shot scores say little about new classes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import numpy as np

from headstart.core.observations import DataSurvey
from headstart.core.plugins import member, name_of
from headstart.core.result import Finding

watches = DataSurvey
MAX_ROWS = 2000  # of a split, for the original classifier
MIN_SHARE_KNOWN = 0.2  # of the task's classes
# Everyday class names whose hyponyms are ImageNet classes (WordNet, the few that people sort photos by).
HYPONYMS = {
    "airplane": "airliner warplane aircraft plane",
    "aeroplane": "airliner warplane aircraft plane",
    "automobile": "car cab convertible limousine jeep racer minivan wagon",
    "car": "cab convertible limousine jeep racer minivan wagon automobile",
    "bird": "hen cock finch brambling goldfinch junco bunting robin jay magpie eagle vulture owl grouse peacock parrot "
    "macaw hummingbird toucan duck goose flamingo heron pelican albatross penguin ostrich",
    "boat": "canoe speedboat lifeboat yawl trimaran catamaran fireboat gondola",
    "deer": "impala gazelle hartebeest",
    "dog": "retriever terrier spaniel shepherd hound beagle poodle collie corgi husky pug chihuahua mastiff sheepdog",
    "horse": "sorrel",
    "insect": "ant bee beetle fly dragonfly grasshopper cricket mantis cicada ladybug",
    "monkey": "baboon macaque langur marmoset capuchin",
    "plane": "airliner warplane aircraft airplane",
    "ship": "liner boat warship schooner",
    "snake": "boa python cobra mamba viper rattlesnake",
    "truck": "pickup trailer",
}


def look(value: DataSurvey) -> Iterator[Finding]:
    """Notes which classes were in the pretraining, and the zero-shot accuracy of the original classifier on them."""
    classes = value.plan.backbone.source_classes
    if not classes or name_of(value.task.objective) != "classes" or value.task.kind != "image":
        return
    source_index = _source_class_index(classes)
    names = [str(name) for name in value.task.objective.facts()["names"]]
    known = {name: sources for name in names if (sources := _matching_source_classes(name, source_index))}
    if len(known) < MIN_SHARE_KNOWN * len(names):
        return
    shown = ", ".join(f"{name} ({sources[0]})" for name, sources in list(known.items())[:4])
    source = value.plan.backbone.pretrained_on or "its pretraining"
    message = f"{len(known)} of {len(names)} classes are among those that {source} taught the backbone: {shown}."
    evidence: dict[str, Any] = {"classes": {name: sources[0] for name, sources in known.items()}}
    zero_shot = _zero_shot_accuracy(value, names, known)
    if zero_shot is not None:
        accuracy, count, chance = zero_shot
        evidence |= {"zero_shot": accuracy, "n": count, "chance": chance}
        message += (
            f" Without one of your labels its old classifier already tells {accuracy:.0%} of {count:,} examples of "
            f"them (the commonest class: {chance:.0%})."
        )
    message += " Few-shot results are inflated: expect less on classes that it has never met."
    fix = "judge a method for new kinds of things on classes that are not in the pretraining"
    yield Finding("overlap", "note", message, fix, evidence)


def _zero_shot_accuracy(
    value: DataSurvey, names: list[str], known: dict[str, list[str]]
) -> tuple[float, int, float] | None:
    """(accuracy, n, share of the majority class) of the original classifier on the classes of its pretraining.

    A class of the task scores as the best of its source classes. None where the backbone came without a classifier, or
    fewer than two classes are known.
    """
    backbone = value.plan.backbone
    head = member("backbones", backbone.family).classifier(backbone)
    if head is None or len(head[0]) != len(backbone.source_classes) or len(known) < 2:
        return None
    rows, y = (np.concatenate([getattr(p, field)[:MAX_ROWS] for p in value.parts.values() if len(p)]) for field in "xy")
    column = {source: i for i, source in enumerate(backbone.source_classes)}
    classes = [names.index(name) for name in known]
    rows_known = np.isin(y, classes)
    if not rows_known.any():
        return None
    scores = rows[rows_known] @ head[0].T + head[1]
    best_score = np.stack([scores[:, [column[source] for source in hit]].max(1) for hit in known.values()], axis=1)
    accuracy = float((np.array(classes)[best_score.argmax(1)] == y[rows_known]).mean())
    return accuracy, int(rows_known.sum()), float(np.bincount(y[rows_known]).max() / rows_known.sum())


def _source_class_index(classes: tuple[str, ...]) -> dict[str, list[str]]:
    """Words and whole names of the backbone's classes -> the classes as the backbone writes them."""
    index: dict[str, list[str]] = {}
    for source in classes:
        for synonym in source.split(","):
            words = _singular_words(synonym)
            for key in dict.fromkeys([" ".join(words), *words[-1:]]):  # "tabby cat" is a cat
                if key and source not in index.setdefault(key, []):
                    index[key].append(source)
    return index


def _matching_source_classes(name: str, index: dict[str, list[str]]) -> list[str]:
    """The source classes that are the task's class `name` or a hyponym of it."""
    words = _singular_words(name)
    if not words:
        return []
    phrase = " ".join(words)
    hyponyms = HYPONYMS.get(phrase, "").split()
    return list(dict.fromkeys(source for w in (phrase, *hyponyms) for source in index.get(w, ())))


def _singular_words(name: str) -> list[str]:
    """Lower-case words in the singular; numbers are no names."""
    words = re.findall(r"[a-z]+", name.lower())
    return [
        w[:-3] + "y" if w.endswith("ies") else w[:-1] if w.endswith("s") and not w.endswith("ss") else w for w in words
    ]
