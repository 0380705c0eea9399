"""The backbone was trained on the very classes of the task: with few labels its score says little about new classes."""

from __future__ import annotations

import re
from collections.abc import Iterator

from headstart.find import name_of
from headstart.guard import Embedded
from headstart.result import Finding

watches = Embedded
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


def look(value: Embedded) -> Iterator[Finding]:
    """Notes which classes of the task the backbone was trained to name."""
    classes = value.plan.backbone.source_classes
    if not classes or name_of(value.task.objective) != "classes" or value.task.kind != "image":
        return
    known = _known(classes)
    names = [str(name) for name in value.task.objective.facts()["names"]]
    found = {name: hit for name in names if (hit := _hit(name, known))}
    if len(found) < SHARE * len(names):
        return
    shown = ", ".join(f"{name} ({hit})" for name, hit in list(found.items())[:4])
    source = value.plan.backbone.pretrained_on or "its pretraining"
    message = (
        f"{len(found)} of {len(names)} classes are among those that {source} taught the backbone: {shown}. Few-shot "
        "results are inflated: expect less on classes that it has never met."
    )
    fix = "judge a method for new kinds of things on classes that are not in the pretraining"
    yield Finding("overlap", "note", message, fix, {"classes": found})


def _known(classes: tuple[str, ...]) -> dict[str, str]:
    """Words and whole names of the backbone's classes -> the class as it is written there."""
    known: dict[str, str] = {}
    for written in classes:
        for synonym in written.split(","):
            words = _words(synonym)
            if words:
                known.setdefault(" ".join(words), written)
                known.setdefault(words[-1], written)  # "tabby cat" is a cat
    return known


def _hit(name: str, known: dict[str, str]) -> str:
    words = _words(name)
    if not words:
        return ""
    whole = " ".join(words)
    kinds = KINDS.get(whole, "").split()
    return next((known[w] for w in (whole, *kinds) if w in known), "")


def _words(name: str) -> list[str]:
    """Lower-case words in the singular; numbers are no names."""
    words = re.findall(r"[a-z]+", name.lower())
    return [
        w[:-3] + "y" if w.endswith("ies") else w[:-1] if w.endswith("s") and not w.endswith("ss") else w for w in words
    ]
