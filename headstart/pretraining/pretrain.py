"""Making something to borrow: `distill` from teachers, `pretrain` by a pretext. The sibling of flow.py."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from headstart.backbones.catalogue import find_card
from headstart.core import digest
from headstart.core.backbone import Backbone
from headstart.core.errors import PlanError, SourceError, missing_extra
from headstart.core.plugins import member, names
from headstart.core.run import Run, fresh
from headstart.core.settings import settings_of
from headstart.core.version import __version__
from headstart.features.cache import store
from headstart.pretraining import publish
from headstart.pretraining.contracts import Corpus, Found, Making, Teaching
from headstart.pretraining.corpus import corpus_of, found
from headstart.pretraining.student import begin, finish, probed
from headstart.pretraining.teacher_targets import teach

CHECKPOINT = "checkpoint.safetensors"
SAID = 5.0  # seconds between two words of progress
SAVED = 60.0  # seconds of training that a kill may cost


@dataclass(frozen=True, slots=True, eq=False)
class Made:
    """A run folder, the backbone in it (`own:<folder>/backbone`), and how it was made."""

    folder: Path
    card: Backbone
    facts: dict


def distill(
    sources: Sequence[object],
    *,
    teachers: Sequence[str],
    student: str = "auto",
    into: str | Path | None = None,
    settings: dict[str, str] | None = None,
    pretext: str = "features",
    steps: int = 4000,
    rate: float = 2e-3,
    side: int = 128,
    seed: int = 0,
    input: str | None = None,
    probe: object = None,
    restart: bool = False,
    statistics: bool = False,
    root: Path | None = None,
    echo: Callable[[dict], None] | None = None,
) -> Made:
    """Teaches a small network to see what larger ones see, on pictures or texts without labels.

    sources: folders, tables, hub data sets; of those with parts, only the training part.  teachers: backbones
    student: an architecture of timm, or "static": vectors of tokens, for texts.  settings: of the pretext, as text
    side: pixels of its input.  input: the column of tables
    probe: labelled data on which a linear probe is scored now and then.  restart: forget an unfinished run in `into`
    statistics: whether the backbone gives the floor's hand-made numbers of a picture too, beside the network's
    Raises SourceError where nothing can be read or a teacher reads something else, PlanError for settings that clash.
    """
    if not teachers:
        raise PlanError("A student needs a teacher: --teacher NAME, for example --teacher timm:resnet50.")
    plan = {"pretext": pretext, "student": student, "settings": settings or {}, "steps": steps, "rate": rate}
    plan |= {"side": side, "seed": seed, "teachers": list(teachers), "input": input, "label": None}
    if statistics:
        plan["statistics"] = True
    if student == "static":
        from headstart.pretraining import distill_static

        folder = Path(into) if into is not None else fresh(Path("runs"), "distill-static")
        return Made(folder, *distill_static.make(sources, plan, folder, root or store.default_root(), echo))
    return _make("distill", sources, plan, into, probe, restart, root or store.default_root(), echo)


def pretrain(
    sources: Sequence[object],
    *,
    pretext: str,
    student: str = "auto",
    into: str | Path | None = None,
    settings: dict[str, str] | None = None,
    steps: int = 4000,
    rate: float = 1e-3,
    side: int = 128,
    seed: int = 0,
    input: str | None = None,
    label: str | None = None,
    probe: object = None,
    restart: bool = False,
    root: Path | None = None,
    echo: Callable[[dict], None] | None = None,
) -> Made:
    """Trains a network on unlabelled data alone, from random weights or on from a borrowed backbone.

    pretext: a file in pretexts/.  student: an architecture, or "family:name" of a backbone to go on from
    input, label: columns of tables; the label is a picture's caption, which only the pretext "contrastive" reads
    The others as in `distill`; so are the errors.
    """
    plan = {"pretext": pretext, "student": student, "settings": settings or {}, "steps": steps, "rate": rate}
    plan |= {"side": side, "seed": seed, "teachers": [], "input": input, "label": label}
    return _make("pretrain", sources, plan, into, probe, restart, root or store.default_root(), echo)


def _make(
    verb: str,
    sources: Sequence[object],
    plan: dict,
    into: str | Path | None,
    probe: object,
    restart: bool,
    root: Path,
    echo: Callable[[dict], None] | None,
) -> Made:
    try:
        from headstart.training.tuning import loop
    except ImportError as error:
        raise missing_extra(error.name or "torch", "torch", f"headstart {verb}") from error
    folder = Path(into) if into is not None else fresh(Path("runs"), f"{verb}-{plan['pretext']}")
    run, resumed = _run(folder, plan, restart, echo, loop.peek)
    began = time.perf_counter()
    with run.stage("read"):
        module = member("pretexts", plan["pretext"])
        pretext = settings_of(module, plan["settings"])
        data = found(sources, module.SERVES, plan.get("input"), plan.get("label"))
        plan = {**plan, "data": digest.of_value(sorted(e.digest for e in data.examples))}
        if resumed and resumed["plan"].get("data") != plan["data"]:
            raise PlanError(
                f"{folder} holds an unfinished run on other data. Name those of then to go on, --restart to begin "
                "anew, or another --into."
            )
        told = {"kind": data.kind, "n": {"unlabelled": len(data.examples)}, "notes": list(data.notes)}
        run.emit("task", {**told, "objective": plan["pretext"]})
        making = begin(plan, module, pretext, data, folder / "work", root)
        corpus = corpus_of(data, folder / "work", plan, pretext, making, run.emit)
    with run.stage("teach"):
        corpus = _taught(corpus, pretext, plan, data, root, run)
    with run.stage("train"):
        figures = _train(run, loop, pretext, making, corpus, plan, probe, resumed)
    with run.stage("save"):
        facts = _facts(verb, plan, data, corpus, figures, run, time.perf_counter() - began)
        card = finish(making, folder / "backbone", facts)
        if plan.get("statistics"):
            card = publish.beside(folder / "backbone")
        shutil.rmtree(folder / "work", ignore_errors=True)
        (folder / CHECKPOINT).unlink(missing_ok=True)
    run.emit("made", {"backbone": f"own:{folder}/backbone", **facts["figures"]})
    return Made(folder, card, facts)


def _run(
    folder: Path, plan: dict, restart: bool, echo: Callable[[dict], None] | None, peek: Callable[[Path], dict | None]
) -> tuple[Run, dict | None]:
    """The run's folder, and where an unfinished run in it stood.

    Raises PlanError when that one had other settings.
    """
    kept = peek(folder / CHECKPOINT) if (folder / CHECKPOINT).is_file() and not restart else None
    if kept is None:
        run, where = Run.start(folder, echo), None
    else:
        changed = [f"{k}: {kept['plan'].get(k)!r} then, {v!r} now" for k, v in plan.items() if kept["plan"].get(k) != v]
        if changed:
            raise PlanError(
                f"{folder} holds an unfinished run with other settings ({'; '.join(changed)}). Type those of then to "
                "go on, --restart to begin anew, or another --into."
            )
        run, where = Run(folder, echo), kept
    run.emit("start", {"source": f"{plan['pretext']}: {plan['student']}", "version": __version__})
    if where:
        run.emit("resumed", {"step": where["step"]})
    return run, where


def _taught(corpus: Corpus, pretext, plan: dict, data: Found, root: Path, run: Run) -> Corpus:
    """The corpus with what each teacher says of every view."""
    if not plan["teachers"]:
        return corpus
    if corpus.pictures is None:
        raise SourceError(f"Teachers see pictures; these data are {data.kind}s.")
    how = (corpus.pictures, pretext.views, pretext.policy_of(), plan["seed"], root, run.emit)
    taught = member("pretexts", plan["pretext"]).TEACHERS
    if not taught:
        raise PlanError(
            f"{plan['pretext']} learns without teachers: headstart pretrain DATA --pretext {plan['pretext']}"
        )
    if taught == "models":
        return replace(corpus, teachers=tuple(_answers(Path(name), data.kind, root, how) for name in plan["teachers"]))
    cards = [find_card(name, root) for name in plan["teachers"]]
    for card in cards:
        _fits(card, data.kind)
    return replace(corpus, teachers=tuple(teach(card, *how) for card in cards))


def _fits(card: Backbone, kind: str) -> None:
    """Raises SourceError when a teacher cannot be shown views of these data."""
    if kind not in member("preprocess", card.preprocess.kind).SERVES or card.preprocess.kind != "image":
        raise SourceError(f"The teacher {card.name} reads {card.preprocess.kind}; these data are {kind}s.")


def _answers(folder: Path, kind: str, root: Path, how: tuple) -> Teaching:
    """What a fitted model says of every view: its scores, on the rows of its own backbone."""
    from headstart.deployment.model_folder import load

    model, _ = load(folder, root)
    _fits(model.backbone, kind)
    if model.objective.link != "softmax":
        raise SourceError(f"The teacher {folder} does not tell classes apart; a classifier is expected.")
    rows = teach(model.backbone, *how).rows
    return Teaching(str(folder), model.fitted.scores(rows))


def _train(
    run: Run, loop, pretext, making: Making, corpus: Corpus, plan: dict, probe: object, resumed: dict | None
) -> dict:
    """Steps to the end; gives the figures for the card."""
    learner = pretext.learner(making.student, corpus).to(loop.device())
    from headstart.training.tuning.optim import adamw, cosine

    optimizer = adamw(learner, plan["rate"], 0.02)
    start = 0
    if resumed:
        loop.load(run.folder / CHECKPOINT, learner, optimizer)
        start = int(resumed["step"])
    total, losses, scores = plan["steps"], [], list((resumed or {}).get("scores", []))
    said = saved = began = time.perf_counter()
    learner.train()
    for step in loop.steps(
        learner,
        lambda i: pretext.draw(making.student, corpus, i),
        optimizer,
        cosine(plan["rate"], total),
        total,
        start=start,
    ):
        losses.append(step.loss)
        now, last, done = time.perf_counter(), step.index + 1 == total, step.index + 1
        if now - said > SAID or last:
            speed = (done - start) * pretext.batch / (now - began)
            mean = sum(losses[-50:]) / len(losses[-50:])
            run.emit(
                "step",
                {"done": done, "total": total, "loss": round(mean, 5), "rate": step.rate, "speed": round(speed, 1)},
            )
            said = now
        if probe is not None and (last or done % max(1, total // 10) == 0):
            scores.append({"step": done, "accuracy": probed(making, probe, plan["seed"])})
            run.emit("probe", scores[-1])
            learner.train()
        if now - saved > SAVED and not last:
            loop.save(run.folder / CHECKPOINT, learner, optimizer, {"plan": plan, "step": done, "scores": scores})
            saved = time.perf_counter()
    tail = losses[-50:]
    return {"loss": round(sum(tail) / max(1, len(tail)), 5), "probe": scores, "steps": total}


def _facts(verb: str, plan: dict, data: Found, corpus: Corpus, figures: dict, run: Run, seconds: float) -> dict:
    shown = [f"{name} ({n:,})" for name, n in data.counts.items()]
    words = ["headstart", verb, *data.counts, *(f"--teacher {t}" for t in plan["teachers"])]
    words += ["--student", plan["student"], "--pretext", plan["pretext"], "--steps", str(plan["steps"])]
    words += ["--rate", str(plan["rate"]), "--side", str(plan["side"]), "--seed", str(plan["seed"])]
    words += [f"--set {k}={v}" for k, v in plan["settings"].items()] + ["--statistics"] * plan.get("statistics", False)
    words += [f"--{k} {plan[k]}" for k in ("input", "label") if plan.get(k)]
    return {
        "verb": verb,
        "version": __version__,
        "command": " ".join(words),
        "objective": plan["pretext"],
        "thrown_away": "the text tower and both projections" if data.kind == "pair" else "what stood above its rows",
        "teachers": [t.name for t in corpus.teachers],
        "data": data.counts,
        "data_shown": f"{', '.join(shown)} by {plan['pretext']}",
        "licence": "apache-2.0",
        "plan": plan,
        "figures": figures,
        "seconds": {k: round(v, 1) for k, v in {**run.seconds, "total": seconds}.items()},
        "aside": len(corpus.pictures.aside) if corpus.pictures else 0,
    }


def pretexts() -> list[str]:
    """Names of what can be trained by."""
    return names("pretexts")


def facts_of(made: Made) -> dict:
    """As JSON: the folder, the backbone's name, and how it was made."""
    return {
        "folder": str(made.folder),
        "backbone": f"own:{made.folder}/backbone",
        "width": made.card.width,
        **asdict(made.card),
        "made": made.facts,
    }
