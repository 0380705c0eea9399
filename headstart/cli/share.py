"""The verbs that tell others about a model, and hand it on."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from headstart.cli.flags import Base, Json
from headstart.cli.screen import show

Folder = Annotated[Path, typer.Argument(metavar="DIR", help="A run folder or a model folder.")]
Licence = Annotated[str | None, typer.Option(help="Of what you pass on, e.g. mit. Default: the base's.")]
Endpoint = Annotated[str | None, typer.Option(help="Another hub than HF_ENDPOINT or huggingface.co.")]


def card(
    folder: Folder,
    into: Annotated[Path | None, typer.Option(help="Where it goes. Default: the model folder.")] = None,
    licence: Licence = None,
    as_json: Json = False,
) -> None:
    """Write a model card: README.md, which the Hugging Face hub reads as it is, and card.html for people.

    \b
    headstart card runs/photos
    headstart card runs/photos --into handover --licence mit
    """
    from headstart.deployment import share

    written, page = share.card(folder, into=into, licence=licence)
    show({"card": str(written), "page": str(page)}, lambda facts: "\n".join(facts.values()), as_json)


def push(
    folder: Folder,
    name: Annotated[str, typer.Argument(metavar="OWNER/NAME", help="On the hub; made where it is not there.")],
    public: Annotated[bool, typer.Option("--public", help="Let anyone read it. Default: private.")] = False,
    licence: Licence = None,
    message: Annotated[str, typer.Option(help="Of the commit.")] = "Add a model of Headstart",
    endpoint: Endpoint = None,
    as_json: Json = False,
) -> None:
    """Upload a model with its card to the Hugging Face hub, private unless you say otherwise.

    Log in first: hf auth login.

    \b
    headstart push runs/photos me/defects
    headstart push runs/photos me/defects --public --licence mit
    """
    from dataclasses import asdict

    from headstart.cli.summaries import push_summary
    from headstart.deployment import share

    done = share.push(folder, name, public=public, licence=licence, message=message, endpoint=endpoint)
    show(asdict(done), push_summary, as_json)


def pull(
    name: Annotated[str, typer.Argument(metavar="OWNER/NAME", help="On the hub; @REVISION may follow.")],
    into: Annotated[Path | None, typer.Option(help="The folder. Default: models/<name>.")] = None,
    base: Base = None,
    endpoint: Endpoint = None,
    as_json: Json = False,
) -> None:
    """Download a model, look it over as a stranger's, and open it: what does not answer as it was measured is refused.

    \b
    headstart pull me/defects
    headstart predict models/defects photo.jpg
    """
    from headstart.deployment import share

    place = share.pull(name, into=into, endpoint=endpoint, base=base)
    said = "{}\nIt answers as it was measured. Try it: headstart predict {} …"
    facts = {"folder": str(place), "name": name}
    show(facts, lambda facts: said.format(facts["folder"], shlex.quote(facts["folder"])), as_json)
