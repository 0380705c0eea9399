"""What transformers may read of a folder of weights: a copy of the files we know, each checked field by field.

Fields of a configuration can name code to import, kernels to fetch, other networks and files to open. They are refused
before the library is imported. Nothing else of the folder reaches it: no adapter, no shards, no Python.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from headstart.backbones.sealed import sealed
from headstart.core.errors import PlanError
from headstart.core.files import write_file
from headstart.core.schema import load_json, record, shorten

CONFIG, WEIGHTS, ADAPTER = "config.json", "model.safetensors", "adapter_config.json"
CHECKED = (CONFIG, "tokenizer_config.json", "preprocessor_config.json", "special_tokens_map.json")
ATTENTIONS = ("eager", "sdpa")  # others are fetched as kernels, or need hardware
DTYPES = ("float32", "float16", "bfloat16", "float64")
# Names, lower-cased, that say what is fetched, imported or opened. Only nothing may be said under them.
FORBIDDEN = re.compile(
    r"auto_map|custom_\w+|trust_remote_code|remote_code|\w*experts_implementation\w*|quantization\w*|(use|allow)_\w*kernels?|"
    r"\w*kernel_config|fusion_config|distributed_config|\w*(tp|pp|ep)_plan|transformers_weights|extra_files|gguf\w*|"
    r"\w*backbone\w*|model_args|(use_|is_)?pretrained\w*|dataset\w*|index_name|adapter_kwargs|code_revision|"
    r"\w*_(path|paths|file|files|url|urls|uri|repo|repo_id|dir|folder|module|script|checkpoint|cls_path|class_path)"
)
# Names that only describe: the library would keep them, and some of its classes open what they name.
DESCRIPTIVE = re.compile(
    r"_?name_or_path|_commit_hash|id2label|label2id|task_specific_params|transformers_version|finetuning_task|license|"
    r"language|tags|problem_type|title_sep|doc_sep|prefix|_attn_implementation_autoset|sentence_transformers|unsloth\w*|"
    r"wandb\w*|model_name|base_model|authors?|description|date"
)
ATTENTION = re.compile(r"\w*attn_implementation\w*")
SIZELESS = re.compile(r"(\w*_)?(theta|seed)|rotary_emb_base")  # numbers of which nothing is built
COUNT = re.compile(r"(?!vocab)\w*(layer|block|depth|head|stage)s?(_\w+)?")
WORD = re.compile(r"[\w<>|\[\]+\-, ]{0,200}|\d+(\.\d+){1,3}")  # no path, no URL, no repository, no module; or a version
MODEL_TYPE = re.compile(r"[a-z0-9_\-]{1,64}")
OPENERS = re.compile(r"timm_\w+|rag|dpr_\w+")  # types of models that open another library, or a dataset
MAX_NUMBER, MAX_SIZELESS, MAX_COUNT, MAX_ITEMS, MAX_DEPTH = 1 << 24, 1 << 62, 10_000, 10_000, 8
FIX = "If you trust it, delete that from a copy of the folder and name the copy; otherwise use another backbone."


def check_files(name: str, paths: Mapping[str, Path]) -> dict[str, dict]:
    """The checked contents of those configurations that are there, without what only describes. Imports nothing.

    name: of the backbone, for messages.  paths: file names -> where they are
    Raises PlanError naming the field that would fetch, import or open something.
    """
    if ADAPTER in paths:
        raise PlanError(
            f"{name} has an adapter beside its weights ({ADAPTER}), which is not read: its embeddings would be others. "
            "Merge it into the weights (merge_and_unload of peft), and name that folder."
        )
    contents = {}
    for file in CHECKED:
        if file not in paths:
            continue
        facts = load_json(paths[file], record({}, others=True), FIX, PlanError)
        where = f"{name}: {paths[file]}"
        if file == CONFIG:
            contents[file] = _config(facts, where, 0)
            kind = facts.get("model_type")
            if not isinstance(kind, str) or not MODEL_TYPE.fullmatch(kind) or OPENERS.fullmatch(kind):
                raise PlanError(
                    f"{where}: model_type is {shorten(kind)}, not the name of a network of transformers' own. "
                    "Weights of timm are named timm:…"
                )
        else:
            contents[file] = _other(facts, where)
    return contents


@contextmanager
def view(name: str, paths: Mapping[str, Path]) -> Iterator[Path]:
    """A context with a temporary folder that holds the named files: configurations as checked, others as they are.

    Raises PlanError as `check_files` does, OSError where a copy cannot be written.
    """
    contents = check_files(name, paths)
    with tempfile.TemporaryDirectory(prefix="headstart-", ignore_cleanup_errors=True) as folder:
        for file, path in paths.items():
            target = Path(folder, file)
            if file in contents:
                write_file(target, json.dumps(contents[file]))
            elif "/" not in file and not file.endswith((".py", ".md")):
                _link(path, target)
        with sealed(name):
            yield Path(folder)


def _link(path: Path, target: Path) -> None:
    try:
        os.symlink(path.resolve(), target)
    except OSError:  # not every system lets every user make links
        shutil.copyfile(path, target)


def _config(value: Any, where: str, depth: int, field: str = "") -> Any:
    """A value of config.json without what only describes. Raises PlanError."""
    problem = ""
    if isinstance(value, dict) and depth < MAX_DEPTH and len(value) <= MAX_ITEMS:
        kept = {k: v for k, v in value.items() if not DESCRIPTIVE.fullmatch(k.lower())}
        for key, entry in kept.items():
            if entry not in (None, False, {}, []):  # under whatever name, these say nothing
                _check_field(key, entry, where)
        kept = {k: v for k, v in kept.items() if not _is_special(k) or _is_numbers(v)}
        return {key: _config(entry, where, depth + 1, key) for key, entry in kept.items()}
    if isinstance(value, list) and depth < MAX_DEPTH and len(value) <= MAX_ITEMS:
        return [_config(entry, where, depth + 1, field) for entry in value]
    if isinstance(value, str):
        problem = "" if WORD.fullmatch(value) else "only plain words are passed on: no path, no URL, no repository"
    elif type(value) in (int, float):
        most = MAX_COUNT if COUNT.fullmatch(field.lower()) and type(value) is int else MAX_NUMBER
        most = MAX_SIZELESS if SIZELESS.fullmatch(field.lower()) else most
        problem = "" if type(value) is float or abs(value) <= most else f"{most:,} is the most that is built"
    elif value is not None and type(value) is not bool:
        problem = f"only lists of {MAX_ITEMS:,} and objects {MAX_DEPTH} deep are read"
    if problem:
        raise PlanError(f"{where}: {field[:100]} is {shorten(value)}; {problem}. {FIX}")
    return value


def _is_special(key: str) -> bool:
    return bool(FORBIDDEN.fullmatch(key.lower()) or ATTENTION.fullmatch(key.lower())) or key in ("dtype", "torch_dtype")


def _is_numbers(entry: Any) -> bool:
    """Whether it is a number, or a list of them: under whatever name, they open nothing."""
    return all(type(v) in (int, float) for v in (entry if isinstance(entry, list) and entry else [entry]))


def _check_field(key: str, entry: Any, where: str) -> None:
    """Raises PlanError where a field that says something would fetch, import or open it."""
    if key in ("dtype", "torch_dtype"):
        allowed: tuple[str, ...] = (*DTYPES, *(f"torch.{d}" for d in DTYPES), "auto")
    elif ATTENTION.fullmatch(key.lower()):
        allowed = ATTENTIONS
    elif FORBIDDEN.fullmatch(key.lower()) and not _is_numbers(entry):
        raise PlanError(
            f"{where} has {key[:100]}: {shorten(entry)}, which makes transformers fetch, open or run something, or "
            f"build another network. That is never done. {FIX}"
        )
    else:
        return
    if entry not in allowed:
        raise PlanError(f"{where}: {key[:100]} is {shorten(entry)}, not one of {', '.join(allowed)}. {FIX}")


def _other(facts: dict, where: str) -> dict:
    """A tokenizer's or image processor's configuration without the names of files. Raises PlanError."""
    for key, entry in facts.items():
        if re.fullmatch("auto_map|custom_\\w+|trust_remote_code|.*_code", key.lower()) and entry:
            _check_field("auto_map", entry, where)
        elif (
            key.endswith(("_class", "_type")) and entry and not (isinstance(entry, str) and re.fullmatch(r"\w+", entry))
        ):
            raise PlanError(f"{where}: {key[:100]} is {shorten(entry)}, not a class of transformers' own. {FIX}")
    names = {k for k in facts if FORBIDDEN.fullmatch(k.lower()) or DESCRIPTIVE.fullmatch(k.lower())}
    return {k: v for k, v in facts.items() if k not in names}
