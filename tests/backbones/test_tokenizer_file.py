"""Tokenizers and vocabularies of strangers: bounded before they are opened, and never a traceback."""

import base64
import json
import shutil
from pathlib import Path

import pytest

from headstart.backbones import own_card
from headstart.backbones.cards import find_card
from headstart.backbones.network import open_network
from headstart.backbones.providers import own
from headstart.backbones.tokenizer_file import open_tokenizer
from headstart.core import digest
from headstart.core.errors import ArtifactError, PlanError, Unreadable
from headstart.core.plugins import member
from headstart.features.runner import start_engine
from tests.support.own_folders import rewrite, setting

GOLDEN = Path(__file__).parents[1] / "golden" / "backbones"
LONG = base64.b64encode(bytes(4) + b"A" * 1000).decode()
TEXT = ["where is my parcel, please"]


@pytest.fixture
def texts(tmp_path) -> Path:
    pytest.importorskip("tokenizers")
    return Path(shutil.copytree(GOLDEN / "texts" / "backbone", tmp_path / "own"))


def change(folder: Path, **parts) -> None:
    """Other parts in its tokenizer.json, pinned as if they were right."""
    file = folder / "tokenizer.json"
    facts = json.loads(file.read_text())
    facts["model"] |= parts.pop("model", {})
    file.write_text(json.dumps({**facts, **parts}))
    rewrite(folder, setting("tokenizer", digest.of_files([file])))


def replaces(pattern: dict, content: str, times: int = 1) -> dict:
    step = {"type": "Replace", "pattern": pattern, "content": content}
    return {"normalizer": {"type": "Sequence", "normalizers": [step] * times}}


def around(ids: list[int], count: int = 1) -> dict:
    token = {"id": "x", "ids": ids, "tokens": ["x"] * len(ids)}
    single = [{"SpecialToken": {"id": "x", "type_id": 0}}] * count + [{"Sequence": {"id": "A", "type_id": 0}}]
    pair = [*single, {"Sequence": {"id": "B", "type_id": 1}}]
    kind = {"type": "TemplateProcessing", "single": single, "pair": pair, "special_tokens": {"x": token}}
    return {"post_processor": kind}


HOSTILE = {
    "letters that multiply": (replaces({"String": "e"}, "e" * 50, 5), "64 times as long"),
    "nothing that multiplies": (replaces({"Regex": ""}, "x" * 1000, 4), "64 times as long"),
    "a long beginning": ({"normalizer": {"type": "Prepend", "prepend": "x" * 10_000}}, "64 times as long"),
    "a character that is long": (
        {"normalizer": {"type": "Precompiled", "precompiled_charsmap": LONG}},
        "64 times as long",
    ),
    "a charsmap that is none": ({"normalizer": {"type": "Precompiled", "precompiled_charsmap": ""}}, "no tokenizer"),
    "many steps": (replaces({"String": "a"}, "a", 200), "more than 100 steps"),
    "many special tokens": (around([2], 300), "more than 100 tokens"),
    "a long special token": (around([2] * 300), "more than 100 tokens"),
    "chance": ({"model": {"type": "BPE", "vocab": {"a": 0}, "merges": [], "dropout": 0.5}}, "dropout"),
    "long words": ({"model": {"max_input_chars_per_word": 10**9}}, "words of more than 1000"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_what_takes_memory_or_time_is_refused(texts, case):
    parts, words = HOSTILE[case]
    change(texts, **parts)
    card = own.card(str(texts))
    with pytest.raises(ArtifactError, match=words):
        member("preprocess", "text").prepare(TEXT, card.preprocess)
    with pytest.raises(PlanError, match="is no tokenizer"):
        open_network(card)


def test_special_tokens_leave_room_for_a_text(texts):
    change(texts, **around([2], 90))
    with pytest.raises(ArtifactError, match="no room for a text"):
        member("preprocess", "text").prepare(TEXT, own.card(str(texts)).preprocess)


@pytest.mark.parametrize("token", [999, 2**31])
def test_a_special_token_that_the_encoder_does_not_know_is_refused(texts, token):
    change(texts, **around([token]))
    with pytest.raises(PlanError, match=f"has a token {token:,}"):
        open_network(own.card(str(texts)))


def test_a_text_at_which_the_library_gives_up_is_set_aside(texts):
    change(texts, **replaces({"Regex": "(a+)+$"}, "x"))
    prepared = member("preprocess", "text").prepare(["a" * 60 + "!", *TEXT], own.card(str(texts)).preprocess)
    assert isinstance(prepared[0], Unreadable) and "split into tokens" in str(prepared[0])
    assert not isinstance(prepared[1], Unreadable)


def test_usual_tokenizers_are_opened_as_they_are(texts):
    tokenizers = pytest.importorskip("tokenizers")
    blanks = replaces({"Regex": " {2,}"}, " ")["normalizer"]["normalizers"]
    marked = [{"type": "Prepend", "prepend": "▁"}, {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}]
    change(texts, normalizer={"type": "Sequence", "normalizers": [*blanks, *marked]})
    file = texts / "tokenizer.json"
    assert open_tokenizer(file).encode(*TEXT).ids == tokenizers.Tokenizer.from_file(str(file)).encode(*TEXT).ids


@pytest.mark.parametrize(
    ("content", "words"),
    [(lambda raw: b"\xff" + raw[1:], "not UTF-8"), (lambda raw: raw.replace(b"[UNK]", b"[unk]"), r"lacks \[UNK\]")],
)
def test_a_vocabulary_that_cannot_be_used_is_named(tmp_path, content, words):
    folder = Path(shutil.copytree(own.folder_of("text-static"), tmp_path / "own"))
    vocabulary = folder / "vocab.txt"
    vocabulary.write_bytes(content(vocabulary.read_bytes()))
    rewrite(folder)
    rewrite(folder, setting("vocabulary", digest.of_files([vocabulary])))

    def weigh(facts):
        facts["backbone"]["weights"] = digest.of_files([folder / name for name in own_card.OF_WEIGHTS["static"]])

    rewrite(folder, weigh, repin=False)
    with pytest.raises(ArtifactError, match=words):
        member("preprocess", "pieces").prepare(TEXT, own.card(str(folder)).preprocess)


def test_an_encoder_does_not_change_with_its_file(texts):
    pytest.importorskip("transformers")
    card = own.card(str(texts))
    extractor = start_engine(card, card.cut(len(card.blocks)))
    (units,) = member("preprocess", "text").prepare(TEXT, card.preprocess)
    before = extractor.rows(units)
    with open(texts / "model.safetensors", "r+b") as stream:
        stream.seek(20_000)
        stream.write(b"w" * (texts.joinpath("model.safetensors").stat().st_size - 20_000))
    assert (extractor.rows(units) == before).all()


@pytest.mark.parametrize("kind", ["photos", "texts"])
def test_a_file_that_is_swapped_while_it_is_opened_is_noticed(kind, tmp_path, monkeypatch):
    pytest.importorskip("transformers")
    folder = Path(shutil.copytree(GOLDEN / kind / "backbone", tmp_path / "own"))
    card, weights, compare = (
        find_card(f"own:{folder}", tmp_path / "cache"),
        folder / "model.safetensors",
        own._unchanged,
    )

    def compare_and_swap(card):
        found = compare(card)
        raw = weights.read_bytes()
        weights.write_bytes(raw[:-400] + bytes(400))
        return found

    monkeypatch.setattr(own, "_unchanged", compare_and_swap)
    with pytest.raises(ArtifactError, match="is not the file that"):
        start_engine(card, card.cut(len(card.blocks)))


@pytest.mark.parametrize("positions", [1, -32])
def test_an_encoder_reads_a_few_tokens_at_once(texts, positions):
    pytest.importorskip("transformers")
    config = texts / "config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), "max_position_embeddings": positions}))
    with pytest.raises(PlanError, match=f"reads {positions} tokens at once"):
        find_card(f"transformers:{texts}?pooling=mean", texts.parent / "cache")
