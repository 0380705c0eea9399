"""Where weights lie: in the Hugging Face cache, in a folder, or still on the hub.

Looking them up here costs no import of huggingface_hub: that is left to the day of the download.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import parse_qsl

from headstart.core import digest
from headstart.core.backbone import Backbone
from headstart.core.errors import ArtifactError, PlanError, WeightsNotFound, missing_extra

YES = {"1", "ON", "YES", "TRUE"}
PICKLED = (".bin", ".pth", ".pt", ".ckpt")
LONGEST_NAME = 96

# Tokenizers are named in cards by digest, so that a card holds no path; this process knows where they lie.
_ASSETS: dict[str, Path] = {}


def stated(local: str) -> tuple[str, dict[str, str]]:
    """A backbone's name and what the user states about it: "owner/name?pooling=mean" -> name, {"pooling": "mean"}."""
    name, _, query = local.partition("?")
    return name, dict(parse_qsl(query, keep_blank_values=True))


def hub_cache() -> Path:
    """The folder that huggingface_hub keeps its snapshots in, from the variables that it reads itself."""
    given = os.environ.get("HF_HUB_CACHE") or os.environ.get("HUGGINGFACE_HUB_CACHE")
    if given:
        return Path(given).expanduser()
    home = os.environ.get("HF_HOME")
    if home:
        return Path(home).expanduser() / "hub"
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "huggingface" / "hub"


def offline() -> bool:
    """Whether HF_HUB_OFFLINE forbids downloading."""
    return os.environ.get("HF_HUB_OFFLINE", "").upper() in YES


def locate(where: str, wanted: Sequence[str], perhaps: Sequence[str] = ()) -> dict[str, Path]:
    """Files of a local folder where `where` is one, else of the hub repository of that name.

    perhaps: files that not every one has; those that are absent are left out.
    """
    folder = Path(where).expanduser()
    if folder.is_dir():
        return _in_folder(folder, wanted, perhaps)
    if where.startswith((".", "/", "~", "\\")) or where.count("/") > 1:
        raise WeightsNotFound(
            f"{where} is not a folder. Expected is one that holds {_and(wanted)}, or owner/name on the hub."
        )
    return snapshot(where, wanted, perhaps)


def snapshot(repo: str, wanted: Sequence[str], perhaps: Sequence[str] = ()) -> dict[str, Path]:
    """Files of a hub repository, "owner/name" or "owner/name@revision"; downloaded where they are not cached.

    Raises WeightsNotFound when they are neither cached nor reachable, PlanError when there are only pickles.
    """
    name, _, revision = repo.partition("@")
    if not _is_repo(name):
        raise WeightsNotFound(f"{repo!r} is neither a folder nor a repository on the hub, which is named owner/name.")
    place = hub_cache() / f"models--{name.replace('/', '--')}"
    folder = _checked_out(place, revision or "main")
    found = {f: folder / f for f in (*wanted, *perhaps) if (folder / f).is_file()}
    lacking = [f for f in wanted if f not in found]
    if not lacking:
        return found
    if offline():
        _refuse_pickles(repo, lacking, [p.name for p in folder.glob("*")])
        raise _not_here(repo, lacking, place, "and HF_HUB_OFFLINE forbids downloading")
    return _download(name, revision or "main", wanted, perhaps, place)


def cached(repo: str) -> bool:
    """Whether anything of a hub repository lies in the cache."""
    return (hub_cache() / f"models--{repo.replace('/', '--')}").is_dir()


def unchanged(card: Backbone, paths: Sequence[Path]) -> None:
    """Raises ArtifactError when the files are not those that the card was made from."""
    seen = digest.of_files(paths)
    if seen != card.weights:
        raise ArtifactError(
            f"{card.name} has changed since: its weights were {card.weights[:19]}… and {paths[-1].parent} now holds "
            f"{seen[:19]}…. Fit again on these weights, or bring the former ones back."
        )


def same_blocks(card: Backbone, names: Sequence[str]) -> None:
    """Raises PlanError when a network opened with other cut points than its card names."""
    if [b.name for b in card.blocks] != list(names):
        raise PlanError(
            f"{card.name} opened with {len(names)} blocks where its card names {len(card.blocks)}: the installed "
            f"libraries lay it out otherwise than when the card was made. Install the versions of then, or fit again."
        )


def register(path: Path) -> str:
    """Makes a file findable by its digest in this process, and gives the digest."""
    name = digest.of_files([path])
    _ASSETS[name] = path
    return name


def asset(name: str) -> Path:
    """The file of that digest. Raises ArtifactError when no backbone of this process brought it."""
    if name not in _ASSETS:
        raise ArtifactError(
            f"The tokenizer {name[:19]}… is not among the files of any backbone opened here. The weights folder has "
            f"changed since, or its backbone was not looked up: name it with --backbone, or fit again."
        )
    return _ASSETS[name]


def _is_repo(name: str) -> bool:
    parts = name.split("/")
    plain = all(
        p and p[0] not in ".-" and p.replace("-", "").replace("_", "").replace(".", "").isalnum() for p in parts
    )
    return len(parts) <= 2 and plain and len(name) <= LONGEST_NAME


def _checked_out(place: Path, revision: str) -> Path:
    """The snapshot folder of a revision; it need not exist."""
    ref = place / "refs" / revision
    commit = ref.read_text(encoding="utf-8").strip() if ref.is_file() else revision
    return place / "snapshots" / commit


def _in_folder(folder: Path, wanted: Sequence[str], perhaps: Sequence[str]) -> dict[str, Path]:
    found = {f: folder / f for f in (*wanted, *perhaps) if (folder / f).is_file()}
    lacking = [f for f in wanted if f not in found]
    names = sorted(p.name for p in folder.iterdir())
    _refuse_pickles(str(folder), lacking, names)
    if lacking:
        seen = ", ".join(names[:8]) or "nothing"
        raise WeightsNotFound(f"{folder} lacks {_and(lacking)}; there is: {seen}. Copy the missing files there.")
    return found


def _refuse_pickles(where: str, lacking: Sequence[str], names: Sequence[str]) -> None:
    pickles = sorted(n for n in names if n.endswith(PICKLED))
    if (
        pickles
        and any(f.endswith(".safetensors") for f in lacking)
        and not any(n.endswith(".safetensors") for n in names)
    ):
        raise PlanError(
            f"{where} offers its weights only as a pickle ({pickles[0]}): opening one can run code that it "
            f"carries, so only .safetensors files are read. If you trust the file, convert it once, "
            f'beside its config.json: python -c "import torch, safetensors.torch as s; '
            f"s.save_file(torch.load('{pickles[0]}', weights_only=True), 'model.safetensors')\" "
            f"and name that folder in place of {where}."
        )


def _download(name: str, revision: str, wanted: Sequence[str], perhaps: Sequence[str], place: Path) -> dict[str, Path]:
    """Fetches through huggingface_hub, which draws its own progress bar on a terminal."""
    try:
        from huggingface_hub import HfApi, hf_hub_download
    except ImportError as error:
        raise missing_extra("huggingface_hub", "hub", f"Downloading {name}") from error
    try:
        names = HfApi().list_repo_files(name, revision=revision)
    except (
        Exception
    ) as error:  # the library raises a dozen kinds, its HTTP client more; all mean: not from here, not now
        raise _not_here(name, wanted, place, f"and the hub did not give them ({_first_line(error)})") from error
    lacking = [f for f in wanted if f not in names]
    _refuse_pickles(name, lacking, names)
    if lacking:
        raise WeightsNotFound(f"{name} on the hub has no {_and(lacking)}. It has: {', '.join(sorted(names)[:8])}.")
    todo = [*wanted, *(f for f in perhaps if f in names)]
    try:
        return {f: Path(hf_hub_download(name, f, revision=revision, cache_dir=place.parent)) for f in todo}
    except Exception as error:  # as above
        raise _not_here(name, wanted, place, f"and the download broke off ({_first_line(error)})") from error


def _not_here(repo: str, lacking: Sequence[str], place: Path, why: str) -> WeightsNotFound:
    name = repo.partition("@")[0]
    return WeightsNotFound(
        f"{repo}: {_and(lacking)} not found in {place}, {why}.\n"
        f"  With a connection: unset HF_HUB_OFFLINE and run this again.\n"
        f"  Without one: on a connected machine run `hf download {name}`, and copy its folder {place.name} "
        f"(under ~/.cache/huggingface/hub there) into {place.parent}.\n"
        f"  Or name a folder that holds {_and(lacking)}, as in --backbone timm:/path/to/folder."
    )


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0][:160]}" if lines else type(error).__name__


def _and(names: Sequence[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
