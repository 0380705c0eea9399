"""`distill` for texts: static vectors of tokens out of a sentence encoder. The steps are in distil_static.py."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

from headstart.backbones.catalogue import find_card
from headstart.core.backbone import Backbone
from headstart.core.errors import PlanError, missing_extra
from headstart.core.run import Run
from headstart.core.settings import settings_of
from headstart.core.version import __version__
from headstart.pretraining import publish, static_training
from headstart.pretraining.corpus import found


def make(
    sources: Sequence[object], plan: dict, folder: Path, root: Path, echo: Callable[[dict], None] | None
) -> tuple[Backbone, dict]:
    """The card of the backbone in `folder`/backbone, and how it was made.

    plan: "teachers" (one name), "settings" as text, "seed", "input"
    Raises PlanError for several teachers or an unknown setting, SourceError where there are no texts.
    """
    try:
        import torch  # noqa: F401
    except ImportError as error:
        raise missing_extra("torch", "text", "headstart distill") from error
    if len(plan["teachers"]) != 1:
        raise PlanError(f"Static vectors have one teacher; {len(plan['teachers'])} were named.")
    settings = settings_of(static_training, {"seed": str(plan["seed"]), **plan["settings"]})
    run = Run.start(folder, echo)
    run.emit("start", {"source": "static vectors", "version": __version__})
    began = time.perf_counter()
    with run.stage("read"):
        teacher = find_card(plan["teachers"][0], root)
        data = found(sources, ("text",), plan.get("input"))
        n = {"unlabelled": len(data.examples)}
        run.emit("task", {"kind": "text", "n": n, "notes": list(data.notes), "objective": "static vectors"})
    with run.stage("train"):
        made = static_training.distil([str(e.content) for e in data.examples], teacher, root, settings, run)
    with run.stage("save"):
        shown = ", ".join(f"{name} ({n:,})" for name, n in data.counts.items())
        words = ["headstart distill", *data.counts, f"--teacher {teacher.name} --student static --seed {plan['seed']}"]
        words += [f"--set {k}={v}" for k, v in plan["settings"].items()]
        facts = {
            "verb": "distill",
            "version": __version__,
            "command": " ".join(words),
            "objective": "static",
            "teachers": [teacher.name],
            "data": data.counts,
            "data_shown": f"the vectors that {teacher.name.rpartition('/')[2]} gives for {shown}",
            "licence": "apache-2.0",
            "plan": plan,
            "figures": {"loss": run.last("step", "loss"), "probe": [], "steps": run.last("step", "total")},
            "seconds": {**run.seconds, "total": time.perf_counter() - began},
        }
        card = publish.vectors(folder / "backbone", made, facts)
    run.emit("made", {"backbone": f"own:{folder}/backbone", "loss": run.last("step", "loss")})
    return card, facts
