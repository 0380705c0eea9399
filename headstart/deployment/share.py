"""Hands a model folder to the Hugging Face hub, and takes one from there through every check of a stranger's folder.

Nothing here runs unless it is asked for, and no token is ever shown.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from headstart.backbones import hub
from headstart.core.errors import ArtifactError, HubError, missing_extra
from headstart.deployment import validate_folder
from headstart.deployment.model_folder import load, model_folder, read_card
from headstart.features.cache import store
from headstart.reporting import markdown, modelcard

LARGEST = 32 << 30  # bytes of one file that is taken from elsewhere; a full copy of 8 billion parameters has half
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Pushed:
    """What was uploaded. name: owner/name.  notes: what the owner should know, sentences"""

    name: str
    url: str
    private: bool
    files: tuple[str, ...]
    notes: tuple[str, ...]


def push(
    folder: str | Path,
    name: str,
    *,
    public: bool = False,
    licence: str | None = None,
    message: str = "Add a model of Headstart",
    endpoint: str | None = None,
) -> Pushed:
    """Uploads a model with its card to owner/name on the hub, in one commit; private unless `public`.

    folder: a run folder or a model folder.  licence: as `card` takes it.  endpoint: default HF_ENDPOINT or the hub
    Raises HubError when the hub refuses, ArtifactError when the folder is not what its card says, MissingExtra.
    """
    place = model_folder(Path(folder))
    facts = validate_folder.inspect(place)
    api, library = _api(name, endpoint, f"Pushing to {name}")
    _asked(library, name, lambda: api.create_repo(name, private=not public, exist_ok=True))
    private = bool(_asked(library, name, lambda: api.model_info(name)).private)
    if not private and not public:
        raise HubError(
            f"{name} is there already and anyone can read it; nothing was uploaded. Say --public if that is meant, or "
            f"name another repository."
        )
    content: dict[str, Any] = {n: place / n for n in (validate_folder.CARD, *facts["files"])}
    content[README] = _readme(place, name, licence or "")
    operations = [library.CommitOperationAdd(n, c) for n, c in content.items()]
    done = _asked(library, name, lambda: api.create_commit(name, operations, commit_message=message))
    return Pushed(name, str(done.repo_url), private, tuple(content), _notes(facts, private))


def pull(name: str, *, into: str | Path | None = None, root: Path | None = None, endpoint: str | None = None) -> Path:
    """Downloads a model, looks it over, opens it and replays its witness; then it is put in place. Gives the folder.

    name: owner/name, or owner/name@revision.  into: default models/<name>.  root: the cache folder; default the user's
    Raises ArtifactError for everything that `load` refuses, HubError when the hub does not give it, MissingExtra.
    """
    repo, _, revision = name.partition("@")
    api, library = _api(repo, endpoint, f"Pulling {repo}")
    place = Path(into) if into else Path("models") / repo.partition("/")[2]
    if place.exists() and (not place.is_dir() or any(place.iterdir())):
        raise HubError(f"{place} is there already. Name another folder: headstart pull {name} --into DIR")
    info = _asked(library, repo, lambda: api.model_info(repo, revision=revision or None, files_metadata=True))
    sizes = {str(s.rfilename): s.size for s in info.siblings or []}
    place.parent.mkdir(parents=True, exist_ok=True)
    waiting = Path(tempfile.mkdtemp(prefix=f".{place.name}-", dir=place.parent))

    def fetch(file: str, most: int) -> None:
        if file not in sizes:
            raise ArtifactError(f"{repo} has no {file}, so it is no model of Headstart, or not all of one.")
        if sizes[file] is None or sizes[file] > most:
            raise ArtifactError(f"{repo}: {file} has {sizes[file]} bytes; {most:,} are the most that are taken.")
        _asked(library, repo, lambda: library.hf_hub_download(
            repo, file, revision=info.sha, local_dir=waiting, endpoint=endpoint))  # fmt: skip

    try:
        fetch(validate_folder.CARD, validate_folder.CARD_BYTES)
        for file in validate_folder.card(waiting)["files"]:
            validate_folder.check_name(file, waiting / validate_folder.CARD)
            fetch(file, validate_folder.WITNESS_BYTES if file == validate_folder.WITNESS else LARGEST)
        if README in sizes:
            fetch(README, validate_folder.CARD_BYTES)
        load(waiting, root or store.default_root())
        shutil.rmtree(waiting / ".cache", ignore_errors=True)  # notes of huggingface_hub to itself
        if place.exists():
            place.rmdir()
        waiting.rename(place)
    except ArtifactError as error:
        raise ArtifactError(str(error).replace(str(waiting), repo)) from error
    finally:
        shutil.rmtree(waiting, ignore_errors=True)
    return place


def _api(name: str, endpoint: str | None, purpose: str) -> tuple[Any, Any]:
    """The hub's client and its library. Raises HubError for a name that is none, and where downloading is forbidden."""
    if not modelcard.HUB.fullmatch(name):
        raise HubError(f"{name!r} is no repository: it is named owner/name, for example headstart push DIR me/defects.")
    if hub.offline():
        raise HubError(f"{purpose} needs a connection, and HF_HUB_OFFLINE forbids one. Unset it.")
    try:
        import huggingface_hub
    except ImportError as error:
        raise missing_extra("huggingface_hub", "hub", purpose) from error
    return huggingface_hub.HfApi(endpoint=endpoint), huggingface_hub


def _asked(library: Any, name: str, ask: Callable[[], T]) -> T:
    """What the hub answers. Raises HubError with its reason in one line, and without any token."""
    try:
        return ask()
    except ArtifactError:
        raise
    except Exception as error:  # the library raises a dozen kinds, its HTTP client more
        said = [line for line in str(error).splitlines() if line.strip()]
        why = said[0][:200] if said else type(error).__name__
        token = library.get_token()
        why = why.replace(token, "…") if token else why
        status = getattr(getattr(error, "response", None), "status_code", None)
        todo = {
            401: "Log in: hf auth login. The token needs the right to write for a push",
            403: "Your token may not do this: make one with the right to write, then hf auth login",
            404: "Look at the spelling; a private repository is only there for those who are logged in: hf auth login",
        }.get(status or 0, "Look at the connection, and try again")
        raise HubError(f"{name}: the hub did not do it ({why}). {todo}.") from error


def _readme(place: Path, name: str, licence: str) -> bytes:
    """The card to upload: the owner's own where somebody wrote one, else ours with the name on the hub in it."""
    there = place / README
    if there.is_file() and markdown.MARK.encode() not in there.read_bytes():
        return there.read_bytes()
    return markdown.markdown(told(place), name, licence).encode()


def _notes(facts: dict, private: bool) -> tuple[str, ...]:
    notes = ["It holds a dozen of the examples as they are (witness.npz)."]
    notes += [] if private else ["Anyone can read them now."]
    base = facts["backbone"]["name"]
    if modelcard.hub_name(base) or base.partition(":")[0] not in modelcard.EXTRAS:
        return tuple(notes)
    return (*notes, f"Its base {base} lies in a folder of this machine: nobody can open the model without that base.")


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
        raise ArtifactError(
            f"{place / validate_folder.CARD} lacks what a card tells ({error}). {validate_folder.AGAIN}"
        ) from error
