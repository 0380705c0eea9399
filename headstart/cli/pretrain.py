"""The verbs that make something to borrow, and the list of what there is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from headstart.core.errors import HeadstartError

Data = Annotated[
    list[str], typer.Argument(help="Folders, tables or hub:owner/name, several if you like. No labels needed.")
]
Into = Annotated[Path | None, typer.Option(help="The run's folder. An unfinished run in it goes on where it stood.")]
Set = Annotated[list[str] | None, typer.Option(help="A setting of the pretext, as KEY=VALUE; may be repeated.")]
Steps = Annotated[int, typer.Option(help="Optimizer steps.", min=1)]
Rate = Annotated[float, typer.Option(help="Learning rate at its height.")]
Side = Annotated[int, typer.Option(help="Pixels of the student's input, a multiple of 32.")]
Seed = Annotated[int, typer.Option(help="Weights, views and batches are drawn from it.")]
Input = Annotated[str | None, typer.Option(help="The column of tables with the texts, images or paths.")]
Probe = Annotated[
    str | None, typer.Option(help="Labelled data on which a linear probe is scored ten times on the way.")
]
Restart = Annotated[bool, typer.Option("--restart", help="Forget an unfinished run in the folder.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing but the result.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout; progress goes to stderr.")]


def add_to(app: typer.Typer) -> None:
    """Adds the verbs to the command line."""
    for verb in (distill, pretrain, backbones):
        app.command()(verb)


def distill(
    data: Data,
    teacher: Annotated[list[str], typer.Option(help="A backbone that teaches; several by commas or repeated.")],
    student: Annotated[
        str, typer.Option(help="What learns: an architecture of timm for photos, static for texts.")
    ] = "auto",
    into: Into = None,
    pretext: Annotated[
        str, typer.Option(help="features: say what the teachers say. logits: a fitted model's answers.")
    ] = "features",
    set: Set = None,
    steps: Steps = 4000,
    rate: Rate = 2e-3,
    side: Side = 128,
    seed: Seed = 0,
    input: Input = None,
    probe: Probe = None,
    statistics: Annotated[
        bool, typer.Option("--statistics", help="Give the floor's hand-made numbers of a photo too.")
    ] = False,
    restart: Restart = False,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Teach a small network what larger ones see, on photos or texts without labels.

    \b
    headstart distill photos/ --teacher timm:resnet50.a1_in1k --student mobilenetv4_conv_small
    headstart fit labelled/ --backbone own:runs/distill-features
    headstart distill letters.csv --student static --teacher transformers:sentence-transformers/all-MiniLM-L6-v2
    """
    from headstart.pretraining import pretrain as workflow

    teachers = [name for some in teacher for name in some.split(",") if name]
    made = workflow.distill(
        data, teachers=teachers, student=student, into=into, settings=pairs(set), pretext=pretext, steps=steps,
        rate=rate, side=side, seed=seed, input=input, probe=probe, restart=restart, statistics=statistics,
        echo=_echo(quiet),
    )  # fmt: skip
    _told(made, as_json)


def pretrain(
    data: Data,
    pretext: Annotated[str, typer.Option(help="simclr or contrastive (photos), masked or nexttoken (texts).")],
    student: Annotated[
        str, typer.Option(help="What learns: an architecture, or FAMILY:NAME of a backbone to go on from.")
    ] = "auto",
    into: Into = None,
    set: Set = None,
    steps: Steps = 4000,
    rate: Rate = 1e-3,
    side: Side = 128,
    seed: Seed = 0,
    input: Input = None,
    label: Annotated[str | None, typer.Option(help="contrastive: the column with the captions.")] = None,
    probe: Probe = None,
    restart: Restart = False,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Train a network on your unlabelled photos or texts alone, from scratch or on from a borrowed backbone.

    \b
    headstart pretrain photos/ --pretext simclr --student resnet18
    headstart pretrain letters.csv --pretext masked
    """
    from headstart.pretraining import pretrain as workflow

    made = workflow.pretrain(
        data, pretext=pretext, student=student, into=into, settings=pairs(set), steps=steps, rate=rate, side=side,
        seed=seed, input=input, label=label, probe=probe, restart=restart, echo=_echo(quiet),
    )  # fmt: skip
    _told(made, as_json)


def backbones(
    kind: Annotated[str | None, typer.Argument(help="image or text; both by default.")] = None,
    as_json: Json = False,
) -> None:
    """List backbones worth borrowing: what comes with Headstart, and a dozen of the hub by their real names.

    \b
    headstart backbones
    headstart fit photos/ --backbone timm:convnext_tiny.in12k_ft_in1k
    """
    from dataclasses import asdict

    from headstart.backbones import catalogue
    from headstart.cli.summaries import listed

    if kind not in (None, "image", "text"):
        raise HeadstartError(f"backbones {kind}: image or text is expected.")
    some = [e for e in catalogue.entries() if kind in (None, e.kind)]
    rows = [{**asdict(e), "here": catalogue.cached(e.name)} for e in some]
    typer.echo(json.dumps({"backbones": rows}) if as_json else listed(rows))


def pairs(texts: list[str] | None) -> dict[str, str]:
    """KEY=VALUE texts as a dict. Raises HeadstartError for one without a sign of equality."""
    found = {}
    for text in texts or []:
        key, equals, value = text.partition("=")
        if not equals or not key:
            raise HeadstartError(f"--set {text}: KEY=VALUE is expected, as in --set weights=balanced.")
        found[key.strip()] = value.strip()
    return found


def _echo(quiet: bool):
    from headstart.cli.progress import Screen

    return None if quiet else Screen().event


def _told(made, as_json: bool) -> None:
    from headstart.cli.summaries import made_of
    from headstart.pretraining.pretrain import facts_of

    facts = facts_of(made)
    typer.echo(json.dumps(facts, default=str) if as_json else made_of(facts))
