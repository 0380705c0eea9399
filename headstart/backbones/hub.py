"""Locates files of weights: in a folder, in the Hugging Face cache, or on the hub, from which they are downloaded.

huggingface_hub is imported for a download only.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import parse_qsl

from headstart.core import digest
from headstart.core.backbone import Backbone, Preprocess
from headstart.core.errors import ArtifactError, PlanError, WeightsNotFound, import_extra
from headstart.core.messages import type_and_first_line

TRUE_VALUES = {"1", "ON", "YES", "TRUE"}
PICKLE_SUFFIXES = (".bin", ".pth", ".pt", ".ckpt")
WEIGHT_SUFFIXES = (*PICKLE_SUFFIXES, ".safetensors", ".onnx")
MAX_REPO_NAME = 96


def split_overrides(local: str) -> tuple[str, dict[str, str]]:
    """A backbone's name and the settings stated with it: "owner/name?pooling=mean" -> name, {"pooling": "mean"}."""
    name, _, query = local.partition("?")
    return name, dict(parse_qsl(query, keep_blank_values=True))


def hub_cache_folder() -> Path:
    """The folder of huggingface_hub's snapshots, from the environment variables that it reads itself."""
    cache = os.environ.get("HF_HUB_CACHE") or os.environ.get("HUGGINGFACE_HUB_CACHE")
    if cache:
        return Path(cache).expanduser()
    home = os.environ.get("HF_HOME")
    if home:
        return Path(home).expanduser() / "hub"
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "huggingface" / "hub"


def expanded(path: str) -> Path:
    """A path whose ~ stands for a home folder; as it is where that user has none."""
    return Path(os.path.expanduser(path))


def is_offline() -> bool:
    """Whether HF_HUB_OFFLINE forbids downloading."""
    return os.environ.get("HF_HUB_OFFLINE", "").upper() in TRUE_VALUES


def locate_files(source: str, required: Sequence[str], optional: Sequence[str] = ()) -> dict[str, Path]:
    """Files of a local folder where `source` is one, else of the hub repository of that name.

    optional: files that are left out where they are absent
    """
    folder = expanded(source)
    if folder.is_dir():
        return _in_folder(folder, required, optional)
    if source.startswith((".", "/", "~", "\\")) or source.count("/") > 1:
        raise WeightsNotFound(
            f"{source} is not a folder. Expected is one that holds {_and(required)}, or owner/name on the hub."
        )
    return snapshot_files(source, required, optional)


def snapshot_files(repo: str, required: Sequence[str], optional: Sequence[str] = ()) -> dict[str, Path]:
    """Files of a hub repository, "owner/name" or "owner/name@revision"; downloaded where they are not cached.

    Raises WeightsNotFound when they are neither cached nor reachable, PlanError when there are only pickles.
    """
    name, _, revision = repo.partition("@")
    if not _is_repo(name) or not _is_revision(revision):
        raise WeightsNotFound(f"{repo!r} is neither a folder nor a repository on the hub, which is named owner/name.")
    cache = hub_cache_folder() / f"models--{name.replace('/', '--')}"
    folder = _snapshot_folder(cache, revision or "main")
    present = {f: folder / f for f in (*required, *optional) if (folder / f).is_file()}
    missing = [f for f in required if f not in present]
    if not missing:
        return present
    if is_offline():
        _refuse_pickles(repo, missing, [p.name for p in folder.glob("*")])
        raise _not_found(repo, missing, cache, "and HF_HUB_OFFLINE forbids downloading")
    return _download(name, revision or "main", required, optional, cache)


def local_folder(local: str) -> Path | None:
    """The folder that a backbone's local name stands for, without opening anything; None for one on the hub."""
    source = split_overrides(local)[0].removeprefix("local-dir:")
    folder = expanded(source)
    if source.startswith(("hf-hub:", "hf_hub:")) or not source:
        return None
    is_path = source.startswith((".", "/", "~", "\\")) or folder.is_absolute() or source.count("/") > 1
    return folder if is_path or folder.exists() else None


def is_cached(repo: str) -> bool:
    """Whether anything of a hub repository is cached."""
    return (hub_cache_folder() / f"models--{repo.replace('/', '--')}").is_dir()


def check_weights_unchanged(card: Backbone, paths: Sequence[Path]) -> None:
    """Raises ArtifactError when the files are not those that the card was made from."""
    weights = digest.of_files(paths)
    if weights != card.weights:
        raise ArtifactError(
            f"{card.name} has changed since: its weights were {card.weights[:19]}… and {paths[-1].parent} now holds "
            f"{weights[:19]}…. Fit again on these weights, or bring the former ones back."
        )


def asset_file(spec: Preprocess, setting: str) -> Path:
    """The file that a setting of the preprocessing names by its digest, such as the tokenizer.

    Raises ArtifactError where none of the backbone's files has that digest.
    """
    wanted = str(spec[setting])
    for file in spec.files:
        if file.suffix not in WEIGHT_SUFFIXES and file.is_file() and digest.of_files([file]) == wanted:
            return file
    raise ArtifactError(
        f"The {setting} {wanted[:19]}… is not among the files of the backbone. The weights folder has changed since: "
        f"bring its former files back, or fit again."
    )


def _is_repo(name: str) -> bool:
    parts = name.split("/")
    valid = all(
        p and p[0] not in ".-" and p.replace("-", "").replace("_", "").replace(".", "").isalnum() for p in parts
    )
    return len(parts) <= 2 and valid and len(name) <= MAX_REPO_NAME


def _is_revision(revision: str) -> bool:
    """Whether it may be a branch, a tag or a commit, all of which stay inside of the cache when they become a path."""
    return all(re.fullmatch(r"[A-Za-z0-9_\-][A-Za-z0-9_.\-]*", part) for part in revision.split("/")) or not revision


def _snapshot_folder(cache: Path, revision: str) -> Path:
    """The snapshot folder of a revision; it may be absent."""
    ref = cache / "refs" / revision
    commit = ref.read_text(encoding="utf-8").strip() if ref.is_file() else revision
    if not _is_revision(commit):
        raise WeightsNotFound(f"{ref} holds no commit. Delete the folder {cache} and download it again.")
    return cache / "snapshots" / commit


def _in_folder(folder: Path, required: Sequence[str], optional: Sequence[str]) -> dict[str, Path]:
    present = {f: folder / f for f in (*required, *optional) if (folder / f).is_file()}
    missing = [f for f in required if f not in present]
    names = sorted(p.name for p in folder.iterdir())
    _refuse_pickles(str(folder), missing, names)
    if missing:
        listing = ", ".join(names[:8]) or "nothing"
        raise WeightsNotFound(f"{folder} lacks {_and(missing)}; there is: {listing}. Copy the missing files there.")
    return present


def _refuse_pickles(source: str, missing: Sequence[str], names: Sequence[str]) -> None:
    pickles = sorted(n for n in names if n.endswith(PICKLE_SUFFIXES))
    weights_missing = any(f.endswith(".safetensors") for f in missing)
    if pickles and weights_missing and not any(n.endswith(".safetensors") for n in names):
        raise PlanError(
            f"{source} offers its weights only as a pickle ({pickles[0]}): opening one can run code that it "
            f"carries, so only .safetensors files are read. If you trust the file, convert it once, "
            f'beside its config.json: python -c "import torch, safetensors.torch as s; '
            f"s.save_file(torch.load('{pickles[0]}', weights_only=True), 'model.safetensors')\" "
            f"and name that folder in place of {source}."
        )


def _download(
    name: str, revision: str, required: Sequence[str], optional: Sequence[str], cache: Path
) -> dict[str, Path]:
    """Fetches through huggingface_hub, which draws its own progress bar on a terminal."""
    library = import_extra("huggingface_hub", "hub", f"Downloading {name}")
    try:
        names = library.HfApi().list_repo_files(name, revision=revision)
    except Exception as error:  # of a dozen types, also of the HTTP client: all mean that the hub is not reachable
        why = f"and the hub did not give them ({type_and_first_line(error)})"
        raise _not_found(name, required, cache, why) from error
    missing = [f for f in required if f not in names]
    _refuse_pickles(name, missing, names)
    if missing:
        raise WeightsNotFound(f"{name} on the hub has no {_and(missing)}. It has: {', '.join(sorted(names)[:8])}.")
    files = [*required, *(f for f in optional if f in names)]
    try:
        return {f: Path(library.hf_hub_download(name, f, revision=revision, cache_dir=cache.parent)) for f in files}
    except Exception as error:  # as above
        raise _not_found(name, required, cache, f"and the download broke off ({type_and_first_line(error)})") from error


def _not_found(repo: str, missing: Sequence[str], cache: Path, why: str) -> WeightsNotFound:
    name = repo.partition("@")[0]
    return WeightsNotFound(
        f"{repo}: {_and(missing)} not found in {cache}, {why}.\n"
        f"  With a connection: unset HF_HUB_OFFLINE and run this again.\n"
        f"  Without one: on a connected machine run `hf download {name}`, and copy its folder {cache.name} "
        f"(under ~/.cache/huggingface/hub there) into {cache.parent}.\n"
        f"  Or name a folder that holds {_and(missing)}, as in --backbone timm:/path/to/folder."
    )


def _and(names: Sequence[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
