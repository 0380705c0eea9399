"""The verb that writes a model card: what it is, how good, what it was not tested on, and how to use it."""

from __future__ import annotations

import json
from pathlib import Path

from headstart import untrusted
from headstart.artifact import model_folder, read_card
from headstart.errors import ArtifactError
from headstart.reporting import markdown, modelcard

README, PAGE = "README.md", "card.html"


def card(
    folder: str | Path, *, into: str | Path | None = None, licence: str | None = None, name: str | None = None
) -> list[Path]:
    """Writes README.md, which the Hugging Face hub reads as it is, and card.html. Gives both.

    folder: a run folder or a model folder.  into: where they go; default the model folder
    licence: of what you pass on, as the hub names it ("mit"); default the base's.  name: owner/name on the hub, if any
    Raises ArtifactError when the folder is no model, or holds a README.md that somebody else wrote.
    """
    place = model_folder(Path(folder))
    result = told(place)
    where = Path(into) if into else place
    readme = where / README
    if readme.is_file() and markdown.MARK not in readme.read_text(encoding="utf-8", errors="replace"):
        raise ArtifactError(
            f"{readme} was not written by `headstart card`, and is left as it is. Name another folder: --into DIR."
        )
    shown = name or "DIR"  # no path of this machine goes into what is passed on
    where.mkdir(parents=True, exist_ok=True)
    readme.write_text(markdown.markdown(result, shown, licence or ""), encoding="utf-8")
    (where / PAGE).write_text(markdown.page(result, shown), encoding="utf-8")
    return [readme, where / PAGE]


def told(place: Path) -> dict:
    """result.json of the run that made a model; where it is gone, what card.json says."""
    facts = read_card(place)
    run = place.parent / "result.json"
    if place.name == "model" and run.is_file():
        try:
            result = json.loads(run.read_text(encoding="utf-8"))
        except ValueError as error:
            raise ArtifactError(f"{run} is damaged ({error}). Run the fit again.") from error
        if result.get("schema") == 1 and result["backbone"]["weights"] == facts["backbone"]["weights"]:
            return result
    try:
        return modelcard.bare(facts)
    except (KeyError, TypeError, AttributeError) as error:
        raise ArtifactError(f"{place / untrusted.CARD} lacks what a card tells ({error}). {untrusted.AGAIN}") from error
