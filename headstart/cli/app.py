"""The verbs. Flags are the arguments of the public functions; every verb takes --json; exit_codes.py has the codes."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Annotated

import typer

from headstart.cli.exit_codes import DONE, FOUND, MISTAKE, STOPPED, SUMMARY
from headstart.cli.flags import Base, Json, Quiet, flags_of
from headstart.cli.screen import prepare_streams, show, show_csv, show_error
from headstart.core.disk_errors import disk_errors_in_words
from headstart.core.errors import HeadstartError, Stopped
from headstart.core.messages import printable_facts
from headstart.core.options import BackboneOptions, DataOptions, MethodOptions, OutputOptions, TrainingOptions
from headstart.core.version import __version__

# Verbs of the other files, in the order of the help.
VERBS = {
    "plan": ("plan",),
    "check": ("check",),
    "compare": ("compare", "methods"),
    "pretrain": ("distill", "pretrain", "backbones"),
    "share": ("card", "push", "pull"),
    "export": ("export",),
    "web": ("runtime", "unpack"),
}
app = typer.Typer(
    help="Transfer learning for photos and texts: borrow a network, get a classifier and an honest number.",
    epilog=SUMMARY,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback(invoke_without_command=True)
def _start(version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False) -> None:
    if version:
        typer.echo(f"headstart {__version__}")
        raise typer.Exit


@app.command()
@flags_of(OutputOptions, BackboneOptions, MethodOptions, DataOptions, TrainingOptions)
def fit(
    options: dict,
    data: Annotated[
        str | None,
        typer.Argument(
            metavar="DATA", help="A folder of class folders, a CSV, JSONL or Parquet table, or hub:owner/name."
        ),
    ] = None,
    config: Annotated[
        Path | None, typer.Option(help="plan.toml of an earlier run, which is repeated; other flags take its place.")
    ] = None,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Learn from labelled photos or texts; judge on what was held out; write a model folder and a report.

    \b
    headstart fit photos/ --backbone timm:mobilenetv3_large_100
    headstart fit tickets.csv --label team --input message
    headstart fit --config runs/photos/plan.toml
    """
    from headstart.cli.progress import TerminalProgress
    from headstart.cli.summaries import fit_summary
    from headstart.workflows import fit as workflow

    outcome = workflow.fit(data, config=config, echo=None if quiet else TerminalProgress().event, **options)
    show({**outcome.result, "folder": str(outcome.folder)}, fit_summary, as_json)


@app.command()
def predict(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A run folder, a model folder, or a page's FILE.zip.")],
    inputs: Annotated[
        list[str], typer.Argument(help="Files, folders, globs, tables, texts, or - for one a line on stdin.")
    ],
    input: Annotated[str | None, typer.Option(help="The column of a table with the texts, images or paths.")] = None,
    base: Base = None,
    encoding: Annotated[str | None, typer.Option(help="Of files of text, as cp1252 or shift_jis.")] = None,
    files: Annotated[bool, typer.Option("--files", help="Words and lines are names of files, never texts.")] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV with one column of probability a class.")] = False,
    as_json: Json = False,
) -> None:
    """Answer for new photos or texts; what cannot be read says why, the rest is answered.

    \b
    headstart predict runs/photos new/*.jpg
    headstart predict runs/tickets "where is my parcel?"
    cat questions.txt | headstart predict runs/tickets - --csv
    """
    from headstart.cli.summaries import prediction_table
    from headstart.deployment import predict as workflow

    found = workflow.predict(
        folder, inputs, input=input, lines=_lines(encoding), base=base, encoding=encoding, files=files, arguments=True
    )
    rows = [a.facts() for a in found]
    if as_csv:
        show_csv(_csv(rows))
    else:
        show({"predictions": rows}, lambda facts: prediction_table(facts["predictions"]), as_json)
    if all(r["error"] for r in rows):
        raise typer.Exit(2)


@app.command()
def report(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A run folder.")],
    png: Annotated[bool, typer.Option("--png", help="Write the plots as PNG files too.")] = False,
    as_json: Json = False,
) -> None:
    """Write report.html and the plots of a run again.

    \b
    headstart report runs/photos --png
    """
    from headstart.reporting import fit_page

    written, *pictures = fit_page.report(folder, png=png)
    facts = {"report": str(written), "plots": [str(p) for p in pictures]}
    show(facts, lambda facts: "\n".join([facts["report"], *facts["plots"]]), as_json)


@app.command()
def demo(
    into: Annotated[Path, typer.Option(help="Where the demo's data and runs go.")] = Path("demo"),
    photos: Annotated[int, typer.Option(help="How many photos to render.", min=60)] = 800,
    as_json: Json = False,
) -> None:
    """Render photos of metal parts with three kinds of defect, fit them, and a table of support tickets too.

    \b
    headstart demo --into demo
    """
    from headstart.cli.progress import TerminalProgress
    from headstart.cli.summaries import fit_summary
    from headstart.core.files import make_folder
    from headstart.data.demo.photos import write_photos as render
    from headstart.data.demo.tickets import write_tickets
    from headstart.workflows import fit as workflow

    screen = TerminalProgress()
    make_folder(into)
    screen.event({"event": "start", "source": f"rendering {photos} photos of metal parts into {into / 'photos'} …"})
    sources = {"photos": render(into / "photos", photos), "tickets": write_tickets(into)}
    results = {}
    for name, source in sources.items():
        outcome = workflow.fit(source, into=into / "runs" / name, echo=screen.event)
        results[name] = {**outcome.result, "folder": str(outcome.folder)}
        if not as_json:
            show(results[name], fit_summary, as_json)
    if as_json:
        typer.echo(json.dumps(results, default=str))


@app.command()
def cache(
    action: Annotated[str, typer.Argument(help="list, clear or verify.")] = "list",
    backbone: Annotated[str | None, typer.Option(help="Clear only what this backbone made.")] = None,
    as_json: Json = False,
) -> None:
    """Look at the cache of features and compiled networks, clear it, or check every number in it against its checksum.

    \b
    headstart cache
    headstart cache clear --backbone timm:resnet50
    headstart cache verify    # exits with 1 where something was damaged
    """
    from dataclasses import asdict

    from headstart.cli.summaries import cache_table
    from headstart.features.cache import maintenance, store

    root = store.default_root()
    if action == "list":
        rows = [asdict(h) for h in maintenance.list_items(root)]
        total = sum(r["bytes"] for r in rows)
        facts = {"root": str(root), "bytes": total, "shelves": rows}
        show(facts, lambda facts: cache_table(facts["shelves"], facts["bytes"], facts["root"]), as_json)
    elif action == "clear":
        freed = maintenance.clear(root, backbone)
        facts = {"root": str(root), "freed": freed}
        show(facts, lambda facts: f"Freed {facts['freed']:,} bytes in {facts['root']}.", as_json)
    elif action == "verify":
        from headstart.deployment.export import onnxruntime_web

        swept = [f"{path} was left by a killed process and is deleted." for path in maintenance.sweep(root)]
        problems = [*maintenance.verify(root), *onnxruntime_web.drop_damaged(root)]
        said = [*swept, *(problems or [f"All is well in {root}."])]
        facts = {"root": str(root), "problems": problems, "swept": swept}
        show(facts, lambda _: "\n".join(printable_facts(said)), as_json)
        if problems:
            raise typer.Exit(FOUND)
    else:
        raise HeadstartError(f"cache {action}: not known. Type one of: headstart cache list | clear | verify.")


def _lines(encoding: str | None) -> Iterator[str]:
    """The lines of stdin: as its mark says, or the user, or UTF-8, whatever the console."""
    from headstart.data.text_encoding import text_lines

    if hasattr(sys.stdin, "buffer"):
        yield from text_lines(sys.stdin.buffer, encoding)


def _csv(rows: list[dict]) -> list[list[object]]:
    names = next((list(r["probabilities"]) for r in rows if r["probabilities"]), [])
    table: list[list[object]] = [["input", "label", "confidence", "error", *(f"p({name})" for name in names)]]
    for r in rows:
        shares = [f"{r['probabilities'][name]:.6f}" for name in names] if r["probabilities"] else [""] * len(names)
        sure = "" if r["confidence"] is None else f"{r['confidence']:.6f}"
        table.append([r["id"], r["label"], sure, r["error"], *shares])
    return table


def add_verbs(verb: str = "") -> typer.Typer:
    """The command line with all verbs; given one of them, with no file opened that it does not stand in."""
    there = {command.callback.__name__ for command in app.registered_commands if command.callback}
    file_of_verb = next((file for file, verbs in VERBS.items() if verb in verbs), "main" if verb in there else "")
    for file, verbs in VERBS.items():
        if file_of_verb in ("", file) and not there.issuperset(verbs):
            module = import_module(f"headstart.cli.{file}")
            for name in verbs:
                app.command()(getattr(module, name))
    return app


def run() -> int:
    """The command `headstart`, in this process and without its signals. Gives the exit code."""
    prepare_streams()
    add_verbs(next((word for word in sys.argv[1:] if not word.startswith("-")), ""))
    try:
        disk_errors_in_words(app)(standalone_mode=True)
    except SystemExit as ended:  # how typer ends, also in order
        if isinstance(ended.__context__, BrokenPipeError):
            return _reader_has_gone()
        return ended.code if isinstance(ended.code, int) else DONE
    except HeadstartError as error:
        code = STOPPED if isinstance(error, Stopped) else MISTAKE
        facts = {"error": str(error), "kind": type(error).__name__, "exit": code}
        show_error("Stopped" if code == STOPPED else "Error", error, facts if "--json" in sys.argv else None)
        return code
    except BrokenPipeError:
        return _reader_has_gone()
    return DONE


def _reader_has_gone() -> int:
    """The reader of our output (head, less) has gone: not an error. Python would complain while flushing stdout."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return DONE
