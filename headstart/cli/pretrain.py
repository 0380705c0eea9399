"""The verbs that make a backbone, and the list of those worth borrowing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from headstart.cli.flags import Json, Quiet, flags_of
from headstart.cli.screen import show
from headstart.core.errors import HeadstartError
from headstart.pretraining.pretrain_plan import DistillOptions, PretextOptions, RunOptions, StudentOptions

if TYPE_CHECKING:
    from headstart.pretraining.pretrain import PretrainResult

Data = Annotated[
    list[str], typer.Argument(help="Folders, tables or hub:owner/name, several if you like. No labels needed.")
]


@flags_of(DistillOptions, StudentOptions, RunOptions)
def distill(
    data: Data,
    options: dict,
    teacher: Annotated[
        list[str],
        typer.Option(help="A backbone that teaches, or a fitted model's folder; several by commas or repeated."),
    ],
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

    teachers = [name for typed in teacher for name in typed.split(",") if name]
    _show(workflow.distill(data, teachers=teachers, echo=_echo(quiet), **options), as_json)


@flags_of(PretextOptions, StudentOptions, RunOptions)
def pretrain(
    data: Data,
    options: dict,
    pretext: Annotated[str, typer.Option(help="simclr or contrastive (photos), masked or nexttoken (texts).")],
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Train a network on your unlabelled photos or texts alone, from scratch or on from a borrowed backbone.

    \b
    headstart pretrain photos/ --pretext simclr --student resnet18
    headstart pretrain letters.csv --pretext masked
    """
    from headstart.pretraining import pretrain as workflow

    _show(workflow.pretrain(data, pretext=pretext, echo=_echo(quiet), **options), as_json)


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
    from headstart.cli.summaries import backbone_table

    if kind not in (None, "image", "text"):
        raise HeadstartError(f"backbones {kind}: image or text is expected.")
    entries = [e for e in catalogue.list_backbones() if kind in (None, e.kind)]
    rows = [{**asdict(e), "here": catalogue.is_cached(e.name)} for e in entries]
    show({"backbones": rows}, lambda facts: backbone_table(facts["backbones"]), as_json)


def _echo(quiet: bool):
    from headstart.cli.progress import TerminalProgress

    return None if quiet else TerminalProgress().event


def _show(result: PretrainResult, as_json: bool) -> None:
    from headstart.cli.summaries import pretraining_summary
    from headstart.pretraining.pretrain import result_facts

    show(result_facts(result), pretraining_summary, as_json)
