"""The verbs `distill` and `pretrain`: a backbone is trained on unlabelled data and saved in the run's folder."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from headstart.core import digest
from headstart.core.backbone import Backbone
from headstart.core.errors import PlanError, missing_extra
from headstart.core.files import remove, remove_folder
from headstart.core.options import flat_keywords
from headstart.core.plugins import member, names
from headstart.core.run import Run, unused_path
from headstart.core.schema import check, items, number, record, whole
from headstart.core.settings import own_value, settings_of
from headstart.core.version import __version__
from headstart.features.cache import store
from headstart.pretraining import pretrain_plan, publish
from headstart.pretraining.contracts import Corpus, Student, UnlabelledData
from headstart.pretraining.corpus import build_corpus, read_unlabelled
from headstart.pretraining.pretrain_plan import DistillOptions, PretextOptions, PretrainPlan, RunOptions, StudentOptions
from headstart.pretraining.student import init_student, linear_probe_accuracy, save_student, seeded_torch
from headstart.pretraining.teacher_targets import add_teacher_targets

CHECKPOINT = "checkpoint.safetensors"
PROGRESS_SECONDS = 5.0  # between two events of progress
CHECKPOINT_SECONDS = 60.0  # of training that a kill may cost
LOSS_STEPS = 50  # that a reported loss is the mean of
PROBES = 10  # in a run
WEIGHT_DECAY = 0.02
SCORE = record({"step": whole(0, 1 << 40), "accuracy": number(-1e300, 1.0)})
CHECKPOINT_RULE = record(
    {"plan": pretrain_plan.RULE, "step": whole(0, 1 << 40)}, {"scores": items(SCORE, 1 << 20)}, others=True
)


@dataclass(frozen=True, slots=True, eq=False)
class PretrainResult:
    """A run folder, the card of the backbone in it (`own:<folder>/backbone`), and how it was made."""

    folder: Path
    card: Backbone
    facts: dict


@dataclass(frozen=True, slots=True, eq=False)
class Checkpoint:
    """Where an unfinished run stood: steps done, and the scores of its linear probes."""

    plan: PretrainPlan
    step: int
    scores: tuple[dict, ...]


def distill_with(
    sources: Sequence[object], teaching: DistillOptions, student: StudentOptions, options: RunOptions
) -> PretrainResult:
    """Trains a small network to give what larger ones give, on images or texts without labels.

    sources: folders, tables, hub data sets; of those with parts, only the training part
    Raises SourceError where nothing can be read or a teacher reads something else, PlanError for settings that clash.
    """
    if not teaching.teachers:
        raise PlanError("A student needs a teacher: --teacher NAME, for example --teacher timm:resnet50.")
    plan = pretrain_plan.make_plan(teaching, student)
    if plan.student == "static":
        from headstart.pretraining import distill_static

        folder = _folder(options, "distill-static")
        root = options.root or store.default_root()
        return PretrainResult(folder, *distill_static.distill_static(sources, plan, folder, root, options.echo))
    return _train_backbone("distill", sources, plan, options)


def pretrain_with(
    sources: Sequence[object], pretext: PretextOptions, student: StudentOptions, options: RunOptions
) -> PretrainResult:
    """Trains a network on unlabelled data alone, from random weights or on from a borrowed backbone.

    sources, and errors, as in `distill`
    """
    if not pretext.pretext:
        raise PlanError(f"There is no pretext. Name one with --pretext: {', '.join(names('pretexts'))}.")
    return _train_backbone("pretrain", sources, pretrain_plan.make_plan(pretext, student), options)


distill = flat_keywords(distill_with, "distill")
pretrain = flat_keywords(pretrain_with, "pretrain")


def result_facts(result: PretrainResult) -> dict:
    """As JSON: the folder, the backbone's name, and how it was made."""
    return {
        "folder": str(result.folder),
        "backbone": f"own:{result.folder}/backbone",
        "width": result.card.width,
        **asdict(result.card),
        "made": result.facts,
    }


def _folder(options: RunOptions, name: str) -> Path:
    return Path(options.into) if options.into is not None else unused_path(Path("runs"), name)


def _train_backbone(verb: str, sources: Sequence[object], plan: PretrainPlan, options: RunOptions) -> PretrainResult:
    try:
        import headstart.training.tuning.loop  # noqa: F401
    except ImportError as error:
        raise missing_extra(error.name or "torch", "torch", f"headstart {verb}") from error
    folder, root = _folder(options, f"{verb}-{plan.pretext}"), options.root or store.default_root()
    run, checkpoint = _open_run(folder, root, plan, options.restart, options.echo)
    if options.into is None:
        run.elsewhere = lambda: _folder(options, f"{verb}-{plan.pretext}")
    began = time.perf_counter()
    with run:
        with seeded_torch(plan.seed):
            with run.stage("read"):
                module = member("pretexts", plan.pretext)
                pretext = settings_of(module, dict(plan.settings))
                data = read_unlabelled(sources, module.SERVES, plan.input, plan.label)
                plan = replace(plan, data=digest.of_value(sorted(e.digest for e in data.examples)))
                if checkpoint and checkpoint.plan.data != plan.data:
                    raise PlanError(
                        f"{folder} holds an unfinished run on other data. Name those of then to go on, --restart to "
                        "begin anew, or another --into."
                    )
                run.open(resume=checkpoint is not None)
                folder, work = run.folder, run.folder / "work"
                counts = {"kind": data.kind, "n": {"unlabelled": len(data.examples)}, "notes": list(data.notes)}
                run.emit("task", {**counts, "objective": plan.pretext})
                student = init_student(plan, module, pretext, data, work, root)
                corpus = build_corpus(data, work, plan, pretext, student.spec, run.emit)
            with run.stage("teach"):
                corpus = add_teacher_targets(corpus, data.kind, plan, pretext, root, run.emit)
            with run.stage("train"):
                figures = _train(run, pretext, student, corpus, plan, options.probe, checkpoint)
        with run.stage("save"):
            facts = _provenance(verb, plan, data, corpus)
            seconds = {**run.seconds, "total": time.perf_counter() - began}
            facts |= {"figures": figures, "seconds": {name: round(value, 1) for name, value in seconds.items()}}
            facts["aside"] = len(corpus.images.aside) if corpus.images else 0
            card = save_student(student, folder / "backbone", facts)
            if plan.statistics:
                card = publish.append_floor_features(folder / "backbone")
            remove_folder(work)
            remove(folder / CHECKPOINT)
        run.emit("made", {"backbone": f"own:{folder}/backbone", **figures})
        return PretrainResult(folder, card, facts)


def _open_run(
    folder: Path, root: Path, plan: PretrainPlan, restart: bool, echo: Callable[[dict], None] | None
) -> tuple[Run, Checkpoint | None]:
    """The run of this folder, and where it stood if it is unfinished.

    Raises PlanError when an unfinished one has other settings, ArtifactError when its checkpoint is damaged.
    """
    checkpoint = None if restart else _read_checkpoint(folder / CHECKPOINT)
    if checkpoint is None:
        run = Run.start(folder, root, echo)
    else:
        changed = plan.differences(checkpoint.plan)
        if changed:
            raise PlanError(
                f"{folder} holds an unfinished run with other settings ({'; '.join(changed)}). Type those of then to "
                "go on, --restart to begin anew, or another --into."
            )
        run = Run(folder, root, echo)
    run.emit("start", {"source": f"{plan.pretext}: {plan.student}", "version": __version__})
    if checkpoint:
        run.emit("resumed", {"step": checkpoint.step})
    return run, checkpoint


def _read_checkpoint(file: Path) -> Checkpoint | None:
    """None where there is none. Raises ArtifactError for a damaged one."""
    from headstart.training.tuning.loop import read_checkpoint_facts

    facts = read_checkpoint_facts(file)
    if facts is None:
        return None
    check(facts, CHECKPOINT_RULE, str(file), "Begin the run anew with --restart.")
    plan = pretrain_plan.restore(facts["plan"], member("pretexts", facts["plan"]["pretext"]).Settings)
    return Checkpoint(plan, facts["step"], tuple(facts.get("scores", ())))


def _train(
    run: Run, pretext: Any, student: Student, corpus: Corpus, plan: PretrainPlan, probe: Any, start: Checkpoint | None
) -> dict:
    """Takes the steps that are left; gives the loss and the probes' scores, for the card."""
    from headstart.training.tuning import loop, optim

    learner = pretext.learner(student, corpus).to(loop.default_device())
    optimizer = optim.adamw(learner, plan.rate, WEIGHT_DECAY)
    first, total, scores = 0, plan.steps, []
    if start:
        loop.load_checkpoint(run.folder / CHECKPOINT, learner, optimizer)
        first, scores = start.step, list(start.scores)
    losses: deque[float] = deque(maxlen=LOSS_STEPS)
    schedule = optim.cosine_schedule(plan.rate, total)
    shown = saved = began = time.perf_counter()
    draw = partial(pretext.draw, student, corpus)
    learner.train()
    for step in loop.steps(learner, draw, optimizer, schedule, total, start=first):
        losses.append(step.loss)
        now, done = time.perf_counter(), step.index + 1
        last = done == total
        if now - shown > PROGRESS_SECONDS or last:
            speed = (done - first) * own_value(pretext, "batch_size") / (now - began)
            facts = {"done": done, "total": total, "loss": _mean(losses), "rate": step.learning_rate}
            run.emit("step", {**facts, "speed": round(speed, 1)})
            shown = now
        if probe is not None and (last or done % max(1, total // PROBES) == 0):
            scores.append({"step": done, "accuracy": linear_probe_accuracy(student, probe, plan.seed)})
            run.emit("probe", scores[-1])
            learner.train()
        if now - saved > CHECKPOINT_SECONDS and not last:
            stored = {"plan": plan.facts(), "step": done, "scores": scores}
            loop.save_checkpoint(run.folder / CHECKPOINT, learner, optimizer, stored)
            saved = time.perf_counter()
    return {"loss": _mean(losses), "probe": scores, "steps": total}


def _mean(losses: Sequence[float]) -> float:
    return round(sum(losses) / max(1, len(losses)), 5)


def _provenance(verb: str, plan: PretrainPlan, data: UnlabelledData, corpus: Corpus) -> dict:
    """How the backbone was made, for its card; the command repeats it."""
    words = ["headstart", verb, *data.counts, *(f"--teacher {teacher}" for teacher in plan.teachers)]
    words += [f"--{name} {getattr(plan, name)}" for name in ("student", "pretext", "steps", "rate", "side", "seed")]
    words += [f"--set {name}={value}" for name, value in plan.settings.items()]
    words += ["--statistics"] * plan.statistics
    words += [f"--{name} {getattr(plan, name)}" for name in ("input", "label") if getattr(plan, name)]
    shown = ", ".join(f"{name} ({n:,})" for name, n in data.counts.items())
    return {
        "verb": verb,
        "version": __version__,
        "command": " ".join(words),
        "objective": plan.pretext,
        "thrown_away": "the text tower and both projections" if data.kind == "pair" else "what stood above its rows",
        "teachers": [teacher.name for teacher in corpus.teachers],
        "data": data.counts,
        "data_shown": f"{shown} by {plan.pretext}",
        "licence": "apache-2.0",
        "plan": plan.facts(),
    }
