"""Names of classes that are one, look like one, or are a slip away from another; and how they are joined."""

import json
import unicodedata

import pytest

from headstart.core.errors import SourceError, Stopped
from headstart.core.options import DataOptions
from headstart.data.label_spelling import groups_alike, likely_slips
from headstart.data.read import read
from tests.support.sources import csv_text, has_note, reviews, write_class_folders, write_text

NFC, NFD = "Ämeise", unicodedata.normalize("NFD", "Ämeise")

ALIKE = [
    ("Dog", "dog", "DOG"),
    ("ice cream", "ice-cream", "ice_cream", "icecream", "Ice  Cream", "ice\u00a0cream"),
    ("ok", "OK"),
    ("m", "M"),
    ("cat", "cat.", '"cat"', "c\u200bat", "cat\ufeff", "_cat", "ｃａｔ"),
    ("fish", "ﬁsh"),
    ("cat", "\u0441at"),  # a Cyrillic letter
    ("Вода", "вода"),
    ("Straße", "STRASSE"),
    ("İzmir", "izmir"),
    ("rock 'n' roll", "rock ’n’ roll"),
    ("R&D", "R&amp;D"),
    ("food & drink", "food and drink"),
    ("Café", "CafÃ©"),
    ("class 1", "class_1", "class1"),
    ("non stop", "non - stop", "non–stop"),
]
NOT_ALIKE = [
    *(("cat", "car"), ("class1", "class2"), ("1 1", "11"), ("1-1", "11"), ("-1", "1", "+1"), ("A-", "A", "A+")),
    *(("C", "C++", "C#"), ("1.5", "15"), ("3.1", "3.10"), ("01", "1"), ("dogs", "dog"), ("café", "cafe"), ("!", "?")),
    *(("type A", "type B"), ("yes", "no"), ("0", "1"), ("é", "è"), tuple("abcdABCD")),
]
SLIPS = {  # rare, frequent -> whether the rare one may be a slip
    **dict.fromkeys([("scartches", "scratches"), ("scraches", "scratches"), ("scratchess", "scratches")], True),
    **dict.fromkeys([("Refnud", "refund"), ("wrinkel", "wrinkle"), ("metal scrach", "metal scratch")], True),
    **dict.fromkeys([("cat", "car"), ("class1", "class2"), ("dogs", "dog"), ("typical", "atypical")], False),
    **dict.fromkeys([("house", "mouse"), ("type a", "type b"), ("stage ii", "stage iii"), ("moose", "mouse")], False),
}


@pytest.mark.parametrize("names", ALIKE, ids=lambda names: ascii(names[0]))
def test_names_that_differ_in_spelling_only_are_one_group(names):
    counts = {name: 20 - i for i, name in enumerate(names)} | {"another": 5}
    (group,) = groups_alike(counts)
    assert (group[0], set(group)) == (names[0], set(names))


@pytest.mark.parametrize("odd", ["c\u200bat", "\u0441at", "ｃａｔ", "cat\u00a0", "cat&#46;"], ids=ascii)
def test_the_name_that_stays_is_a_plain_one_though_an_odd_one_is_commoner(odd):
    assert groups_alike({odd: 20, "cat": 5, "Cat": 6, "dog": 3})[0] == ["Cat", "cat", odd]


@pytest.mark.parametrize("names", NOT_ALIKE, ids=lambda names: ascii(names[0]))
def test_names_that_mean_something_else_are_none(names):
    assert groups_alike({**dict.fromkeys(names, 10), "another": 5}) == []


def test_yes_and_one_are_alike_where_all_names_say_yes_or_no():
    assert groups_alike({"1": 9, "True": 4, "0": 9, "False": 4}) == [["False", "0"], ["True", "1"]]
    assert groups_alike({"1": 9, "yes": 4, "2": 9}) == []


@pytest.mark.parametrize(("pair", "slip"), SLIPS.items(), ids=lambda value: str(value))
def test_a_rare_name_a_letter_away_may_be_a_slip(pair, slip):
    rare, frequent = pair
    assert likely_slips({rare: 2, frequent: 40, "another": 30}) == ([(rare, frequent)] if slip else [])
    assert likely_slips({rare: 30, frequent: 40, "another": 30}) == []


def write_spellings(folder, form, names):
    """A source whose labels are these names in turn, 20 examples each."""
    rows = [(text, names[i % len(names)]) for i, (text, _) in enumerate(reviews(20 * len(names)))]
    if form == "folder":
        return write_class_folders(folder, dict.fromkeys(names, 20))
    if form == "csv":
        return write_text(folder / "t.csv", csv_text(",", rows))
    if form == "jsonl of lists":
        lines = (json.dumps({"text": t, "tags": [label, "all"]}) + "\n" for t, label in rows)
        return write_text(folder / "t.jsonl", "".join(lines))
    return [t for t, _ in rows], [label for _, label in rows]


@pytest.mark.parametrize("form", ["folder", "csv", "jsonl of lists", "lists"])
def test_canonically_equal_labels_are_one_class(tmp_path, form):
    task = read(write_spellings(tmp_path, form, [NFC, NFD, "Biene"]))
    names = set(task.objective.facts()["names"]) - {"all"}
    assert names == {NFC, "Biene"}
    assert has_note(task, "written in two forms of Unicode, 20 and 20 times")
    assert len(task.examples) == 60 == len({e.id for e in task.examples})


@pytest.mark.parametrize("form", ["folder", "csv", "jsonl of lists", "lists"])
@pytest.mark.parametrize("merge", ["alike", "Biene,biene", "biene, Biene;Ameise,'x"])
def test_classes_are_merged_when_asked_to(tmp_path, form, merge):
    source = write_spellings(tmp_path, form, ["Biene", "biene", "Ameise"])
    if "'x" in merge:
        with pytest.raises(SourceError, match='no example has the label "\'x"'):
            read(source, DataOptions(merge=merge))
        return
    task = read(source, DataOptions(merge=merge))
    assert set(task.objective.facts()["names"]) - {"all"} == {"Biene", "Ameise"}


def test_a_test_part_in_another_spelling_is_merged_or_named(tmp_path):
    train = write_class_folders(tmp_path / "train", {"Dog": 30, "Cat": 30})
    test = write_class_folders(tmp_path / "test", {"dog": 10, "Cat": 10}, start=100)
    task = read(train, DataOptions(test=str(test), merge="alike"))
    assert [e.label for e in task.part("test")].count("Dog") == 10
    with pytest.raises(Stopped, match=r"'dog' has no training example, 'Dog' has, .* add --merge alike"):
        read(train, DataOptions(test=str(test)))
    other = write_class_folders(tmp_path / "other", {"dog": 10, "cat": 10}, start=200)
    with pytest.raises(SourceError, match="'cat' and 'Cat' differ in spelling only: add --merge alike"):
        read(train, DataOptions(test=str(other)))


def test_a_name_with_marks_nobody_sees_is_typed_with_escapes(tmp_path):
    source = write_spellings(tmp_path, "csv", ["c\u200bat", "cat", "dog"])
    task = read(source, DataOptions(merge=r"cat,c\u200bat"))
    assert task.objective.facts()["names"] == ["cat", "dog"]
    with pytest.raises(SourceError, match="names one class"):
        read(source, DataOptions(merge="cat"))
