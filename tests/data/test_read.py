"""A source becomes a task: parts, test sources, folds, equal files; and real data sets as they are."""

import json
import os
from collections import Counter

import pytest

from headstart.core import digest
from headstart.core.errors import SourceError
from headstart.core.options import DataOptions
from headstart.data.contents import iter_contents, read_content
from headstart.data.read import read, read_source
from tests.support.sources import csv_text, has_note, part_sizes, reviews, write_class_folders, write_text


def test_a_folder_of_tables_in_the_hugging_face_way(tmp_path):
    rows = [{"text": f"t {i}", "label": "ab"[i % 2]} for i in range(90)]
    shards = {
        "train-00000-of-00002": rows[:30],
        "train-00001-of-00002": rows[30:60],
        "validation-00000-of-00001": rows[60:75],
    }
    for name, some in shards.items():
        write_text(tmp_path / "d" / "data" / f"{name}.jsonl", "\n".join(map(json.dumps, some)))
    write_text(tmp_path / "d" / "README.md", "# a data set")
    write_text(tmp_path / "d" / "dataset_infos.json", "{}")
    task = read(tmp_path / "d")
    assert part_sizes(task) == {"train": 50, "val": 10, "test": 15}
    assert task.part("test")[0].id == "data/validation-00000-of-00001.jsonl:0"
    write_text(tmp_path / "d" / "data" / "test.jsonl", "\n".join(json.dumps({**r, "label": None}) for r in rows[75:]))
    task = read(tmp_path / "d")
    assert part_sizes(task)["test"] == 15, "a test part without labels leaves validation as the held-out part"
    assert has_note(task, "Part 'test' is left out: none of its 15 rows has a label")


def test_tables_whose_names_say_no_part_are_a_question_that_can_be_typed(tmp_path):
    for name in ("mnist_train", "mnist_test", "usps_train", "usps_test"):
        write_text(tmp_path / f"{name}.csv", "text,label\nx,a\ny,b\n")
    with pytest.raises(SourceError, match=r"headstart fit .*mnist_train.csv --test .*mnist_test.csv"):
        read(tmp_path)
    for name in ("usps_train", "usps_test"):
        (tmp_path / f"{name}.csv").unlink()
    assert read_source(tmp_path).examples.keys() == {"train", "test"}


def test_a_test_source_is_judged_on_and_strange_classes_are_set_aside(tmp_path):
    main = write_class_folders(tmp_path / "a", {"cat": 30, "dog": 30})
    other = write_class_folders(tmp_path / "b", {"cat": 30, "dog": 29, "emu": 1}, start=100)
    task = read(main, DataOptions(test=other))
    assert part_sizes(task) == {"train": 50, "val": 10, "test": 59}
    assert [(a.id, a.reason) for a in task.aside] == [("test:emu/000.png", "'emu' has no training example")]
    assert len({e.id for e in task.examples}) == 119
    table = write_text(tmp_path / "t.csv", csv_text(",", reviews()))
    with pytest.raises(SourceError, match="data are images, but the test data are texts"):
        read(main, DataOptions(test=table))
    with pytest.raises(SourceError, match=r"No label of the test part.*'emu'.*'cat', 'dog'"):
        read(main, DataOptions(test=write_class_folders(tmp_path / "c", {"emu": 3, "gnu": 3})))


def test_validation_stays_when_other_data_are_judged_on(tmp_path):
    write_class_folders(tmp_path / "a" / "train", {"cat": 20, "dog": 20})
    write_class_folders(tmp_path / "a" / "val", {"cat": 4, "dog": 5}, start=100)
    task = read(tmp_path / "a", DataOptions(test=write_class_folders(tmp_path / "b", {"cat": 3, "dog": 3}, start=200)))
    assert part_sizes(task) == {"train": 40, "val": 9, "test": 6}


def test_a_test_table_without_the_label_column_is_named(tmp_path):
    write_text(tmp_path / "train.csv", csv_text(",", reviews()))
    write_text(tmp_path / "test.csv", "text\nx\n")
    with pytest.raises(SourceError, match=r"test\.csv has no column 'label'.*headstart fit .*train\.csv"):
        read(tmp_path)


def test_names_and_texts_that_are_no_unicode_are_made_writable(tmp_path):
    root = write_class_folders(tmp_path / "d", {"cat": 20, "dog": 20})
    os.rename(os.fsencode(root / "dog"), os.fsencode(root) + b"/d\xf6g")
    task = read(root)
    assert task.objective.names == ("cat", "d\\udcf6g")
    assert len([c for _, c in iter_contents(task.examples) if isinstance(c, bytes)]) == 40
    lines = [f'{{"text": "half \\ud83d {i}", "label": "{"ab"[i % 2]}"}}' for i in range(40)]
    task = read(write_text(tmp_path / "r.jsonl", "\n".join(lines)))
    task.examples[0].content.encode()


def test_few_examples_are_cross_validated_and_single_ones_refused(tmp_path):
    task = read(write_class_folders(tmp_path / "a", {"cat": 12, "dog": 30}))
    assert part_sizes(task) == {"train": 42, "val": 0, "test": 0}
    assert (
        Counter(task.folds[:12].tolist()) == {0: 3, 1: 3, 2: 2, 3: 2, 4: 2} or len(set(task.folds[:12].tolist())) == 5
    )
    assert has_note(task, "5-fold cross-validation")
    with pytest.raises(SourceError, match="fewer than 2 examples: 'cat'"):
        read(write_class_folders(tmp_path / "b", {"cat": 1, "dog": 30}))


def test_equal_files_are_counted_and_kept_together(tmp_path):
    root = write_class_folders(tmp_path / "d", {"cat": 30, "dog": 30})
    for i in range(10):
        (root / "cat" / f"copy{i}.png").write_bytes((root / "cat" / f"{i:03}.png").read_bytes())
    task = read(root)
    assert has_note(task, "10 training examples have the bytes of another")
    sides = [{e.digest for e in task.part(p)} for p in ("train", "val", "test")]
    assert not sides[0] & sides[1] | sides[0] & sides[2] | sides[1] & sides[2]


REAL = {
    "cifar10": ("image", 10, 10000),
    "flowers102_64px": ("image", 102, 6149),
    "hymenoptera": ("image", 2, 153),
    "neu_defects": ("image", 6, 360),
    "spoken_digits_spectrogram": ("image", 10, 300),
    "text_agnews": ("text", 4, 3000),
    "text_amazon_domains": ("text", 2, 1600),
    "text_banking77": ("text", 77, 3080),
    "text_sms_spam": ("text", 2, 1000),
    "text_sst2": ("text", 2, 1821),
    "text_trec6": ("text", 6, 500),
    "trashnet": ("image", 6, 505),
}


@pytest.mark.parametrize("name", REAL)
def test_real_data_read_without_being_asked(real_data, name):
    task = read(real_data / name)
    assert (task.kind, task.objective.width, len(task.parts["test"])) == REAL[name]
    assert len(task.parts["val"]) > 0
    assert not task.aside
    example = task.part("test")[-1]
    found = read_content(example)
    assert digest.of_bytes(found.encode() if isinstance(found, str) else found) == example.digest


def test_real_data_that_need_a_word(real_data):
    for name, words in (
        ("pacs", "4 tables, and their names do not say"),
        ("digits_mnist_usps", r"mnist_train.parquet --test .*mnist_test.parquet"),
        ("text_shakespeare", "no column left that could be the label"),
        ("imagenet_samples", "1,000 of 1,000 classes have fewer than 2 examples"),
    ):
        with pytest.raises(SourceError, match=words):
            read(real_data / name)
    task = read(
        real_data / "digits_mnist_usps" / "usps_train.parquet",
        DataOptions(test=real_data / "digits_mnist_usps" / "usps_test.parquet"),
    )
    assert part_sizes(task)["test"] == 2007
    with pytest.raises(SourceError, match="--task classes or --task number"):
        read(real_data / "text_amazon_domains", DataOptions(label="rating"))
    assert "NUM:dist" in read(real_data / "text_trec6", DataOptions(label="fine")).objective.names
