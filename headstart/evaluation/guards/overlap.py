"""The backbone was trained on the very classes of the task: with few labels its score says little about new classes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import numpy as np

from headstart.core.observations import Surveyed
from headstart.core.plugins import member, name_of
from headstart.core.result import Finding

watches = Surveyed
MOST = 2000  # rows of a part that the old classifier is asked about
SHARE = 0.2  # of the task's classes that are known before it is worth a word
# Everyday words for what ImageNet names by its kinds (WordNet's hypernyms, the few that people sort photos by).
KINDS = {
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


def look(value: Surveyed) -> Iterator[Finding]:
    """Notes which classes of the task the backbone was trained to name, and how often its old classifier names them
    rightly without a single label."""
    classes = value.plan.backbone.source_classes
    if not classes or name_of(value.task.objective) != "classes" or value.task.kind != "image":
        return
    known = _known(classes)
    names = [str(name) for name in value.task.objective.facts()["names"]]
    found = {name: hit for name in names if (hit := _hit(name, known))}
    if len(found) < SHARE * len(names):
        return
    shown = ", ".join(f"{name} ({hit[0]})" for name, hit in list(found.items())[:4])
    source = value.plan.backbone.pretrained_on or "its pretraining"
    message = f"{len(found)} of {len(names)} classes are among those that {source} taught the backbone: {shown}."
    evidence: dict[str, Any] = {"classes": {name: hit[0] for name, hit in found.items()}}
    asked = _unlabelled(value, names, found)
    if asked is not None:
        right, count, chance = asked
        evidence |= {"zero_shot": right, "n": count, "chance": chance}
        message += (
            f" Without one of your labels its old classifier already tells {right:.0%} of {count:,} examples of them "
            f"(the commonest class: {chance:.0%})."
        )
    message += " Few-shot results are inflated: expect less on classes that it has never met."
    fix = "judge a method for new kinds of things on classes that are not in the pretraining"
    yield Finding("overlap", "note", message, fix, evidence)


def _unlabelled(value: Surveyed, names: list[str], found: dict[str, list[str]]) -> tuple[float, int, float] | None:
    """(accuracy, n, share of the commonest class) of the original classifier on the classes that it knows.

    A task's class scores as the best of the source classes that are kinds of it. None where the backbone came without
    its classifier, or it knows fewer than two of the classes.
    """
    card = value.plan.backbone
    head = member("backbones", card.family).classifier(card)
    if head is None or len(head[0]) != len(card.source_classes) or len(found) < 2:
        return None
    rows, y = (np.concatenate([getattr(p, what)[:MOST] for p in value.parts.values() if len(p)]) for what in "xy")
    at = {written: i for i, written in enumerate(card.source_classes)}
    mine = [names.index(name) for name in found]
    kept = np.isin(y, mine)
    if not kept.any():
        return None
    scores = rows[kept] @ head[0].T + head[1]
    best = np.stack([scores[:, [at[written] for written in hit]].max(1) for hit in found.values()], axis=1)
    right = float((np.array(mine)[best.argmax(1)] == y[kept]).mean())
    return right, int(kept.sum()), float(np.bincount(y[kept]).max() / kept.sum())


def _known(classes: tuple[str, ...]) -> dict[str, list[str]]:
    """Words and whole names of the backbone's classes -> the classes as they are written there."""
    known: dict[str, list[str]] = {}
    for written in classes:
        for synonym in written.split(","):
            words = _words(synonym)
            for key in dict.fromkeys([" ".join(words), *words[-1:]]):  # "tabby cat" is a cat
                if key and written not in known.setdefault(key, []):
                    known[key].append(written)
    return known


def _hit(name: str, known: dict[str, list[str]]) -> list[str]:
    """The source classes that are kinds of the task's class `name`."""
    words = _words(name)
    if not words:
        return []
    whole = " ".join(words)
    kinds = KINDS.get(whole, "").split()
    return list(dict.fromkeys(written for w in (whole, *kinds) for written in known.get(w, ())))


def _words(name: str) -> list[str]:
    """Lower-case words in the singular; numbers are no names."""
    words = re.findall(r"[a-z]+", name.lower())
    return [
        w[:-3] + "y" if w.endswith("ies") else w[:-1] if w.endswith("s") and not w.endswith("ss") else w for w in words
    ]
