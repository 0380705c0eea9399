"""`distill --student static`: static token embeddings out of a sentence encoder. The algorithm: static_training.py."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

from headstart.backbones.cards import find_card
from headstart.core.backbone import Backbone
from headstart.core.errors import PlanError, import_extra
from headstart.core.run import Run
from headstart.core.settings import settings_of
from headstart.core.version import __version__
from headstart.pretraining import publish, static_training
from headstart.pretraining.corpus import read_unlabelled
from headstart.pretraining.pretrain_plan import PretrainPlan


def distill_static(
    sources: Sequence[object], plan: PretrainPlan, folder: Path, root: Path, echo: Callable[[dict], None] | None
) -> tuple[Backbone, dict]:
    """The card of the backbone in `folder`/backbone, and how it was made.

    Raises PlanError for several teachers or an unknown setting, SourceError where there are no texts.
    """
    import_extra("torch", "text", "headstart distill")
    if len(plan.teachers) != 1:
        raise PlanError(f"Static vectors have one teacher; {len(plan.teachers)} were named.")
    settings = settings_of(static_training, {"seed": str(plan.seed), **plan.settings})
    with Run.start(folder, root, echo) as run:
        run.emit("start", {"source": "static vectors", "version": __version__})
        began = time.perf_counter()
        with run.stage("read"):
            teacher = find_card(plan.teachers[0], root)
            data = read_unlabelled(sources, ("text",), plan.input)
            run.open()
            n = {"unlabelled": len(data.examples)}
            run.emit("task", {"kind": "text", "n": n, "notes": list(data.notes), "objective": "static vectors"})
        with run.stage("train"):
            static = static_training.distill_vectors(
                [str(e.content) for e in data.examples], teacher, root, settings, run
            )
        loss = run.last("step", "loss")
        with run.stage("save"):
            counts = ", ".join(f"{name} ({n:,})" for name, n in data.counts.items())
            words = ["headstart distill", *data.counts, f"--teacher {teacher.name} --student static --seed {plan.seed}"]
            words += [f"--set {name}={value}" for name, value in plan.settings.items()]
            facts = {
                "verb": "distill",
                "version": __version__,
                "command": " ".join(words),
                "objective": "static",
                "teachers": [teacher.name],
                "data": data.counts,
                "data_shown": f"the vectors that {teacher.name.rpartition('/')[2]} gives for {counts}",
                "licence": "apache-2.0",
                "plan": plan.facts(),
                "figures": {"loss": loss, "probe": [], "steps": run.last("step", "total")},
                "seconds": {**run.seconds, "total": time.perf_counter() - began},
            }
            card = publish.save_static_backbone(folder / "backbone", static, facts)
        run.emit("made", {"backbone": f"own:{folder}/backbone", "loss": loss})
    return card, facts
