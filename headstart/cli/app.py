"""The verbs. Flags are the arguments of the public functions; every verb takes --json.

Exit codes: 0 done, 2 the user's mistake, 3 a guard stopped the run.
"""

from __future__ import annotations

import json
import os
import sys
from importlib import import_module
from pathlib import Path
from typing import Annotated

import typer

from headstart.cli.flags import Json, Quiet, flags_of
from headstart.core.errors import HeadstartError, Stopped
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
    _print({**outcome.result, "folder": str(outcome.folder)}, fit_summary(outcome.result, str(outcome.folder)), as_json)


@app.command()
def predict(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A run folder, a model folder, or a page's FILE.zip.")],
    inputs: Annotated[
        list[str], typer.Argument(help="Files, folders, globs, tables, texts, or - for one a line on stdin.")
    ],
    input: Annotated[str | None, typer.Option(help="The column of a table with the texts, images or paths.")] = None,
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

    found = workflow.predict(folder, inputs, input=input, lines=sys.stdin)
    rows = [a.facts() for a in found]
    if as_csv:
        _csv(rows)
    else:
        _print({"predictions": rows}, prediction_table(rows), as_json)
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
    _print(facts, "\n".join(map(str, [written, *pictures])), as_json)


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
    from headstart.data.demo.photos import write_photos as render
    from headstart.data.demo.tickets import write_tickets
    from headstart.workflows import fit as workflow

    screen = TerminalProgress()
    into.mkdir(parents=True, exist_ok=True)
    screen.event({"event": "start", "source": f"rendering {photos} photos of metal parts into {into / 'photos'} …"})
    sources = {"photos": render(into / "photos", photos), "tickets": write_tickets(into)}
    results = {}
    for name, source in sources.items():
        outcome = workflow.fit(source, into=into / "runs" / name, echo=screen.event)
        results[name] = {**outcome.result, "folder": str(outcome.folder)}
        if not as_json:
            typer.echo(fit_summary(outcome.result, str(outcome.folder)))
    if as_json:
        typer.echo(json.dumps(results))


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
    """
    from dataclasses import asdict

    from headstart.cli.summaries import cache_table
    from headstart.features.cache import maintenance, store

    root = store.default_root()
    if action == "list":
        rows = [asdict(h) for h in maintenance.list_items(root)]
        total = sum(r["bytes"] for r in rows)
        _print({"root": str(root), "bytes": total, "shelves": rows}, cache_table(rows, total, str(root)), as_json)
    elif action == "clear":
        freed = maintenance.clear(root, backbone)
        _print({"root": str(root), "freed": freed}, f"Freed {freed:,} bytes in {root}.", as_json)
    elif action == "verify":
        problems = maintenance.verify(root)
        _print({"root": str(root), "problems": problems}, "\n".join(problems) or f"All is well in {root}.", as_json)
    else:
        raise HeadstartError(f"cache {action}: not known. Type one of: headstart cache list | clear | verify.")


def _csv(rows: list[dict]) -> None:
    import csv

    names = next((list(r["probabilities"]) for r in rows if r["probabilities"]), [])
    table = csv.writer(sys.stdout)
    table.writerow(["input", "label", "confidence", "error", *(f"p({name})" for name in names)])
    for r in rows:
        label = ";".join(r["label"]) if isinstance(r["label"], list) else "" if r["label"] is None else r["label"]
        shares = [f"{r['probabilities'][name]:.6f}" for name in names] if r["probabilities"] else [""] * len(names)
        sure = "" if r["confidence"] is None else f"{r['confidence']:.6f}"
        table.writerow([r["id"], label, sure, r["error"], *shares])


def _print(facts: dict, text: str, as_json: bool) -> None:
    typer.echo(json.dumps(facts, default=str) if as_json else text)


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


def main() -> None:
    """The command `headstart`."""
    add_verbs(next((word for word in sys.argv[1:] if not word.startswith("-")), ""))
    try:
        app(standalone_mode=True)
    except HeadstartError as error:
        code = 3 if isinstance(error, Stopped) else 2
        if "--json" in sys.argv:
            typer.echo(json.dumps({"error": str(error), "kind": type(error).__name__, "exit": code}))
        heading = "Stopped" if code == 3 else "Error"
        typer.echo(f"{heading}: {error}", err=True)
        sys.exit(code)
    except KeyboardInterrupt:
        typer.echo(
            "Interrupted. What was embedded so far is in the cache; the same command goes on from there.", err=True
        )
        sys.exit(130)
    except BrokenPipeError:
        # The reader of our output (head, less) has gone: not an error. Python would complain while flushing stdout.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)


if __name__ == "__main__":
    main()
