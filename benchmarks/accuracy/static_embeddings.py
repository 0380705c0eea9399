"""Linear probes on texts: the shipped static vectors beside their teacher, the floor, and the plain recipe.

    python -m benchmarks.accuracy.static_embeddings --data FOLDER --teacher FOLDER [--static FOLDER]
        [--cache FOLDER] [--sets a,b]

--data: holds text_<set>/train.parquet and test.parquet. The head is ours, logistic, learned on all of train and judged
on test. trec6 and sms_spam took no part in making the static vectors; of the other sets the training texts did, without
labels. Seconds are of one process on a warm vocabulary, whole path from text to vector, best of 5 passes over test.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from benchmarks.paths import ROOT
from headstart.backbones import static_embeddings, wordpiece
from headstart.backbones.static_embeddings import StaticEmbeddings
from headstart.core import digest
from headstart.core.backbone import Backbone, Preprocess
from headstart.core.features import Features
from headstart.core.plugins import member
from headstart.core.task import Example
from headstart.data.objectives.classes import Classes
from headstart.features.cache import store
from headstart.features.extract import embed
from headstart.features.preprocess import pieces
from headstart.pretraining import static_training
from headstart.training.methods.logistic import Settings

SHIPPED = ROOT / "headstart" / "weights" / "text-static"
SETS = ("banking77", "trec6", "sst2", "agnews", "sms_spam")
AVERAGED = SETS[:4]
BATCH = 32  # texts at a time, as the engine takes them


def read(data: Path, name: str, part: str) -> tuple[list[str], np.ndarray]:
    table = pq.read_table(data / f"text_{name}" / f"{part}.parquet")
    return table.column("text").to_pylist(), table.column("label").to_numpy().astype(np.int64)


def accuracy(x: np.ndarray, y: np.ndarray, other: np.ndarray, truth: np.ndarray) -> float:
    """Share of `other` that the head, learned from x and y, answers right."""
    data = Features(x, y, tuple(map(str, range(len(y)))))
    objective = Classes(tuple(map(str, np.unique(y))))
    nothing = data.rows(np.zeros(0, np.int64))
    head = Settings().fit(data, nothing, objective, above=lambda: None, rng=np.random.default_rng(0))
    return float((head.scores(other).argmax(1) == truth).mean())


def embedded(card: Backbone, root: Path):
    """Texts -> rows of a backbone, through the cache."""

    def rows(texts: list[str]) -> np.ndarray:
        examples = [Example(str(i), t, digest.of_bytes(t.encode()), None) for i, t in enumerate(texts)]
        return embed(examples, card, card.cut(len(card.blocks)), root).x

    return rows


def averaged(made: StaticEmbeddings, spec: Preprocess):
    """Texts -> rows of static vectors, as the engine makes them."""
    stem, (block,), pool = static_embeddings.parts(made)

    def rows(texts: list[str]) -> np.ndarray:
        units = [u[0] for u in pieces.prepare(texts, spec)]
        return np.concatenate(
            [pool(block(stem(pieces.batch(units[i : i + BATCH], spec)))) for i in range(0, len(units), BATCH)]
        )

    return rows


def plain(data: Path, teacher: Backbone, vocabulary: str) -> StaticEmbeddings:
    """The recipe without tuning: principal components and SIF weights, shares of tokens from wikitext2 and sst2."""
    split = wordpiece.from_vocabulary(vocabulary)
    texts = [t for name in ("wikitext2", "sst2") for t in read_texts(data, name)]
    alone = static_training.embed_single_tokens(teacher, split.vocabulary)
    return static_training.pca_baseline([split.encode(t) for t in texts], alone, vocabulary, 256)


def read_texts(data: Path, name: str) -> list[str]:
    return pq.read_table(data / f"text_{name}" / "train.parquet", columns=["text"]).column("text").to_pylist()


def speed(rows, texts: list[str]) -> float:
    """Texts a second, best of 5."""
    best = float("inf")
    for _ in range(5):
        start = time.perf_counter()
        rows(texts)
        best = min(best, time.perf_counter() - start)
    return round(len(texts) / best)


def main() -> None:
    """Prints one JSON document."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--teacher", type=Path, required=True)
    parser.add_argument("--static", type=Path, default=SHIPPED)
    parser.add_argument("--cache", type=Path, default=store.default_root())
    parser.add_argument("--sets", default=",".join(SETS))
    parser.add_argument("--only", default="", help="sides to measure, as in static,plain; the others are left out")
    asked = parser.parse_args()
    sets = asked.sets.split(",")
    made = static_embeddings.load(asked.static)
    vocabulary = asked.static / static_embeddings.VOCABULARY_FILE
    spec = Preprocess("pieces", (("most", 8192), ("vocabulary", digest.of_files([vocabulary]))), (vocabulary,))
    teacher = member("backbones", "transformers").card(str(asked.teacher))
    wanted = asked.only.split(",") if asked.only else ["minilm", "stats:text", "plain", "static"]
    sides = {
        "minilm": lambda: embedded(teacher, asked.cache),
        "stats:text": lambda: embedded(member("backbones", "stats").card("text"), asked.cache),
        "plain": lambda: averaged(plain(asked.data, teacher, made.vocabulary), spec),
        "static": lambda: averaged(made, spec),
    }
    facts: dict = {"accuracy": {}, "average_ratio_to_minilm": {}, "sentences_per_second": {}}
    for side in wanted:
        rows = sides[side]()
        scores = facts["accuracy"][side] = {}
        for name in sets:
            (texts, y), (others, truth) = (read(asked.data, name, part) for part in ("train", "test"))
            scores[name] = round(accuracy(rows(texts), y, rows(others), truth), 4)
    if "minilm" in wanted:
        best = facts["accuracy"]["minilm"]
        for side, scores in facts["accuracy"].items():
            found = [scores[name] / best[name] for name in sets if name in AVERAGED]
            facts["average_ratio_to_minilm"][side] = round(float(np.mean(found)), 4)
    rows = averaged(made, spec)
    for name in ("sst2", "banking77"):
        facts["sentences_per_second"][name] = speed(rows, read(asked.data, name, "test")[0])
    facts["width"] = made.width
    facts["bytes"] = sum(
        (asked.static / f).stat().st_size for f in (static_embeddings.WEIGHTS_FILE, static_embeddings.VOCABULARY_FILE)
    )
    print(json.dumps(facts, indent=1))


if __name__ == "__main__":
    main()
