"""Shares a model: writes its model card, pushes it to the Hugging Face hub, and pulls one with every check of `load`.

No token is ever shown.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from headstart.backbones import hub
from headstart.core.disk_errors import disk_errors_in_words
from headstart.core.errors import ArtifactError, HubError, import_extra
from headstart.core.file_names import regular_file
from headstart.core.files import make_folder, move, remove_folder, temporary_path, write_atomic
from headstart.core.messages import type_and_first_line
from headstart.core.result import RESULT, load_result
from headstart.deployment import validate_folder
from headstart.deployment.card_file import CARD
from headstart.deployment.model_folder import load, model_folder, read_card
from headstart.deployment.stored_arrays import FIX
from headstart.features.cache import store
from headstart.reporting import markdown, modelcard

README, PAGE = "README.md", "card.html"
MAX_README_BYTES = 16 << 20
T = TypeVar("T")


@disk_errors_in_words
def card(
    folder: str | Path, *, into: str | Path | None = None, licence: str | None = None, name: str | None = None
) -> list[Path]:
    """Writes README.md, which the Hugging Face hub reads as it is, and card.html. Gives both.

    folder: a run folder or a model folder.  into: where they go; default the model folder
    licence: of the shared model, as the hub names it ("mit"); default the base's.  name: owner/name on the hub, if any
    Raises ArtifactError when the folder is no model, or holds a README.md that somebody else wrote; DiskError.
    """
    model_path = model_folder(Path(folder))
    result = result_facts(model_path)
    target = Path(into) if into else model_path
    readme = target / README
    if readme.exists() and markdown.GENERATED_MARK.encode() not in _existing_readme(readme):
        raise ArtifactError(
            f"{readme} was not written by `headstart card`, and is left as it is. Name another folder: --into DIR."
        )
    shown = name or "DIR"  # never a path of this machine
    try:
        contents = {readme: markdown.markdown(result, shown, licence or "")}
        contents[target / PAGE] = markdown.card_page(result, shown)
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise _untold(model_path, error) from error
    make_folder(target)
    for path, content in contents.items():
        write_atomic(path, content)
    return [readme, target / PAGE]


def result_facts(model_path: Path) -> dict:
    """result.json of the run that fitted a model; where it is gone, the facts in card.json."""
    facts = read_card(model_path)
    file = model_path.parent / RESULT
    if model_path.name == "model" and file.is_file():
        result = load_result(file)
        if (result.get("backbone") or {}).get("weights") == facts["backbone"]["weights"]:
            return result
    return modelcard.result_from_card(facts)


def _untold(model_path: Path, error: Exception) -> ArtifactError:
    """The error for facts from which no card can be made, though each of them has the right type."""
    what = f"{model_path / CARD}, or result.json beside its folder, lacks what a card tells"
    return ArtifactError(f"{what} ({type_and_first_line(error)}). {FIX}")


@dataclass(frozen=True, slots=True)
class Pushed:
    """What was uploaded. name: owner/name.  notes: sentences for the owner"""

    name: str
    url: str
    private: bool
    files: tuple[str, ...]
    notes: tuple[str, ...]


@disk_errors_in_words
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
    model_path = model_folder(Path(folder))
    facts = validate_folder.validate(model_path)
    api, library = _open_hub(name, endpoint, f"Pushing to {name}")
    _call_hub(library, name, lambda: api.create_repo(name, private=not public, exist_ok=True))
    private = bool(_call_hub(library, name, lambda: api.model_info(name)).private)
    if not private and not public:
        raise HubError(
            f"{name} is there already and anyone can read it; nothing was uploaded. Say --public if that is meant, or "
            f"name another repository."
        )
    files_by_name: dict[str, Any] = {n: model_path / n for n in (CARD, *facts["files"])}
    try:
        files_by_name[README] = _readme(model_path, name, licence or "")
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise _untold(model_path, error) from error
    operations = [library.CommitOperationAdd(n, c) for n, c in files_by_name.items()]
    commit = _call_hub(library, name, lambda: api.create_commit(name, operations, commit_message=message))
    return Pushed(name, str(commit.repo_url), private, tuple(files_by_name), _notes(facts, private))


@disk_errors_in_words
def pull(
    name: str,
    *,
    into: str | Path | None = None,
    root: Path | None = None,
    endpoint: str | None = None,
    base: str | None = None,
) -> Path:
    """Downloads a model, validates it, opens it and verifies its witness, then puts it in place. Gives the folder.

    name: owner/name, or owner/name@revision.  into: default models/<name>.  root: the cache folder; default the user's
    base: the backbone of a model that names it by a path, or where its weights lie here
    Raises ArtifactError for everything that `load` refuses, HubError when the hub does not give it, MissingExtra.
    """
    repo, _, revision = name.partition("@")
    api, library = _open_hub(repo, endpoint, f"Pulling {repo}")
    target = Path(into) if into else Path("models") / repo.partition("/")[2]
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise HubError(f"{target} is there already. Name another folder: headstart pull {name} --into DIR")
    info = _call_hub(library, repo, lambda: api.model_info(repo, revision=revision or None, files_metadata=True))
    sizes = {str(s.rfilename): s.size for s in info.siblings or []}
    download = temporary_path(target)
    make_folder(download)

    def fetch(file: str, limit: int) -> None:
        if file not in sizes:
            raise ArtifactError(f"{repo} has no {file}, so it is no model of Headstart, or not all of one.")
        if sizes[file] is None or sizes[file] > limit:
            raise ArtifactError(f"{repo}: {file} has {sizes[file]} bytes; {limit:,} are the most that are taken.")
        _call_hub(library, repo, lambda: library.hf_hub_download(
            repo, file, revision=info.sha, local_dir=download, endpoint=endpoint))  # fmt: skip

    try:
        limits = validate_folder.LIMITS
        fetch(CARD, limits[Path(CARD).suffix])
        for file in read_card(download)["files"]:
            fetch(file, limits[Path(file).suffix])
        if README in sizes:
            fetch(README, MAX_README_BYTES)
        load(download, root or store.default_root(), base or "")
        remove_folder(download / ".cache")  # of huggingface_hub
        if target.exists():
            remove_folder(target)  # it is empty
        move(download, target)
    except ArtifactError as error:
        raise ArtifactError(str(error).replace(str(download), repo)) from error
    finally:
        with suppress(OSError):
            remove_folder(download)
    return target


def _open_hub(name: str, endpoint: str | None, purpose: str) -> tuple[Any, Any]:
    """The hub's client and its library. Raises HubError for a malformed name, and where HF_HUB_OFFLINE is set."""
    if not modelcard.HUB_NAME.fullmatch(name):
        raise HubError(f"{name!r} is no repository: it is named owner/name, for example headstart push DIR me/defects.")
    if hub.is_offline():
        raise HubError(f"{purpose} needs a connection, and HF_HUB_OFFLINE forbids one. Unset it.")
    library = import_extra("huggingface_hub", "hub", purpose)
    return library.HfApi(endpoint=endpoint), library


def _call_hub(library: Any, name: str, request: Callable[[], T]) -> T:
    """The hub's response. Raises HubError with its reason in one line, and without any token."""
    try:
        return request()
    except ArtifactError:
        raise
    except Exception as error:  # the library raises a dozen kinds, its HTTP client more
        lines = [line for line in str(error).splitlines() if line.strip()]
        reason = lines[0][:200] if lines else type(error).__name__
        token = library.get_token()
        reason = reason.replace(token, "…") if token else reason
        status = getattr(getattr(error, "response", None), "status_code", None)
        fix = {
            401: "Log in: hf auth login. The token needs the right to write for a push",
            403: "Your token may not do this: make one with the right to write, then hf auth login",
            404: "Look at the spelling; a private repository is only there for those who are logged in: hf auth login",
        }.get(status or 0, "Look at the connection, and try again")
        raise HubError(f"{name}: the hub did not do it ({reason}). {fix}.") from error


def _readme(model_path: Path, name: str, licence: str) -> bytes:
    """The README to upload: the owner's own where there is one, else the model card with its name on the hub."""
    existing = model_path / README
    content = _existing_readme(existing) if existing.exists() else b""
    if content and markdown.GENERATED_MARK.encode() not in content:
        return content
    return markdown.markdown(result_facts(model_path), name, licence).encode()


def _existing_readme(readme: Path) -> bytes:
    """A README.md that is there. Raises ArtifactError where it is no plain file of the folder, or too large."""
    file = regular_file(readme.parent, README, "Delete it.")
    if file.stat().st_size > MAX_README_BYTES:
        raise ArtifactError(f"{file} has {file.stat().st_size:,} bytes, which is no README. Delete it.")
    return file.read_bytes()


def _notes(facts: dict, private: bool) -> tuple[str, ...]:
    notes = ["It holds a dozen of the examples as they are (witness.npz)."]
    notes += [] if private else ["Anyone can read them now."]
    base = facts["backbone"]["name"]
    if modelcard.hub_name(base) or base.partition(":")[0] not in modelcard.PIP_EXTRAS:
        return tuple(notes)
    return (*notes, f"Its base {base} lies in a folder of this machine: nobody can open the model without that base.")
