"""card.json of a backbone folder made by Headstart: what it may say, and the files that it pins by digest.

    format "timm"          model.safetensors and, for the light install, model.onnx (a graph without weights)
    format "transformers"  what transformers itself saves: config.json, model.safetensors, tokenizer.json
    format "static"        model.safetensors and a vocabulary: static token embeddings

A folder may come from anybody. Nothing that it claims of itself names its rows in the cache: its identity does.
"""

from __future__ import annotations

from pathlib import Path

from headstart.backbones import static_embeddings
from headstart.backbones.timm_arguments import ARCHITECTURE, check_architecture
from headstart.core import digest
from headstart.core.card_schema import BACKBONE, DIGEST
from headstart.core.errors import ArtifactError
from headstart.core.file_names import check_name, regular_file
from headstart.core.schema import anything, items, load_json, number, one_of, record, shorten, table, text

SHIPPED = Path(__file__).parents[1] / "weights"
SCHEMA = 1
CARD, WEIGHTS, GRAPH = "card.json", "model.safetensors", "model.onnx"
SUFFIXES = (".safetensors", ".json", ".onnx", ".txt", ".model")
MAX_FILES = 100
MAX_GRAPH_BYTES = 64 << 20  # it holds no weights; that of vision-small has 87 KB
RESTORE_HINT = "Make it again, or restore the folder from a copy."
# Files without which a format is none, and those of its weights, by whose contents the card's `weights` is named.
NEEDED = {
    "timm": (WEIGHTS,),
    "transformers": ("config.json", WEIGHTS, "tokenizer.json"),
    "static": (WEIGHTS, static_embeddings.VOCABULARY_FILE),
}
OF_WEIGHTS = {"timm": (WEIGHTS,), "transformers": (WEIGHTS,), "static": NEEDED["static"]}
ASSETS = {"transformers": ("tokenizer", "tokenizer.json"), "static": ("vocabulary", static_embeddings.VOCABULARY_FILE)}
KINDS = {"timm": "image", "transformers": "text", "static": "pieces"}
_RULE = record(
    {
        "schema": one_of(SCHEMA),
        "format": one_of(*NEEDED),
        "backbone": BACKBONE,
        "files": table(DIGEST, MAX_FILES, key=text(404)),
    },
    {
        "architecture": ARCHITECTURE,
        "arguments": record({}, others=True),
        "assets": items(text(100), MAX_FILES),
        "made": record({}, {"seconds": table(number(0, 1e12), 100)}, others=True),
    },
)


def read(folder: Path) -> dict:
    """card.json, after each of its facts was checked. Opens no other file, imports no library.

    Raises ArtifactError naming the fact that is wrong, PlanError where it asks a library for what none may ask.
    """
    file = folder / CARD
    facts = load_json(file, record({"schema": anything}, others=True), RESTORE_HINT)
    if facts["schema"] != SCHEMA:
        raise ArtifactError(
            f"{file} has schema {shorten(facts['schema'])}; this version reads {SCHEMA}. {RESTORE_HINT}"
        )
    if problem := _RULE(facts):
        raise ArtifactError(f"{file}: {problem.removeprefix('.').strip()}. {RESTORE_HINT}")
    for name in facts["files"]:
        check_name(name, file, SUFFIXES)
    if stray := sorted({*facts.get("assets", ())} - facts["files"].keys()):
        raise ArtifactError(f"{file} names {shorten(stray[0])} as an asset, and does not pin it. {RESTORE_HINT}")
    kind = facts["format"]
    if missing := [name for name in NEEDED[kind] if name not in facts["files"]]:
        raise ArtifactError(f"{file} does not pin {missing[0]}, without which there is no {kind}. {RESTORE_HINT}")
    if facts["backbone"]["preprocess"]["kind"] != KINDS[kind]:
        raise ArtifactError(f"{file}: a {kind} reads {KINDS[kind]}, not what its preprocessing is of. {RESTORE_HINT}")
    if kind == "timm":
        if "architecture" not in facts:
            raise ArtifactError(f"{file} lacks architecture. {RESTORE_HINT}")
        check_architecture(str(folder), facts["architecture"], facts.get("arguments") or {}, f"its {CARD}")
    return facts


def files(folder: Path, facts: dict) -> list[Path]:
    """Every file that the card pins, in its order. Raises ArtifactError where one is missing or no plain file."""
    shipped = folder.parent == SHIPPED  # an installer may have put links there
    return [folder / n if shipped else regular_file(folder, n, RESTORE_HINT) for n in facts["files"]]


def verified(folder: Path, facts: dict) -> dict[str, Path]:
    """Every file that the card pins by its name, after its digest was compared.

    Raises ArtifactError naming the file that is missing or changed, or where the digest of the weights, or of what
    texts are split with, is another's.
    """
    paths = dict(zip(facts["files"], files(folder, facts), strict=True))
    contents = {}  # each file is read once
    for name, path in paths.items():
        try:
            contents[name] = digest.of_content(path)
        except OSError as error:
            raise ArtifactError(f"{path} is missing, or cannot be read: {error.strerror}. {RESTORE_HINT}") from error
        if digest.of_contents([contents[name]]) != facts["files"][name]:
            raise ArtifactError(
                f"{path} is not the file that card.json beside it pins ({facts['files'][name][:19]}…). {RESTORE_HINT}"
            )
    weights = digest.of_contents(contents[name] for name in OF_WEIGHTS[facts["format"]])
    if facts["backbone"]["weights"] != weights:
        raise ArtifactError(
            f"{folder / CARD} claims the weights {facts['backbone']['weights'][:19]}…; those beside it are "
            f"{weights[:19]}…. Do not trust this folder; ask whoever made it."
        )
    asset = {"transformers": ("tokenizer", "tokenizer.json"), "static": ("vocabulary", "vocab.txt")}.get(
        facts["format"]
    )
    settings = dict(facts["backbone"]["preprocess"]["settings"])
    if asset and settings[asset[0]] != facts["files"][asset[1]]:
        raise ArtifactError(f"{folder / CARD}: its {asset[0]} is not the {asset[1]} that it pins. {RESTORE_HINT}")
    return paths


def identity(facts: dict) -> str:
    """Digest of everything that computes: all files by their verified digests, format, architecture, arguments."""
    computing = {name: facts.get(name) for name in ("format", "architecture", "arguments", "assets", "files")}
    return digest.of_value(computing)
