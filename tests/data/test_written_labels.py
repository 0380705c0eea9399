"""Roles come before types: what is a name stays as it is written, what is a number is read as people write it."""

import pytest

from headstart.core.errors import SourceError
from headstart.core.options import DataOptions
from headstart.data.number_text import read_numbers
from headstart.data.read import read
from tests.support.sources import write_text

NUMBERS = [  # written, cut by semicolons, values, (decimal, thousands, unit)
    (["1,5", "2,0"], True, [1.5, 2.0], (",", "", "")),
    (["1.234,5", "2,5"], True, [1234.5, 2.5], (",", ".", "")),
    (["1,000", "12,500"], False, [1000, 12500], ("", ",", "")),
    (["1 000", "2\u00a0500,5"], True, [1000, 2500.5], (",", " ", "")),
    (["1.0 %", "-2.5 %"], False, [1.0, -2.5], ("", "", "%")),
    (["3 mm", "4.5 mm"], False, [3, 4.5], ("", "", "mm")),
    (["$1,200.50", "$3"], False, [1200.5, 3], ("", ",", "$")),
    (["N/A", *["2.5"] * 20, "-", "nan"], False, [None, *[2.5] * 20, None, None], ("", "", "")),
]


@pytest.mark.parametrize(("written", "semicolons", "values", "how"), NUMBERS)
def test_numbers_as_people_write_them(written, semicolons, values, how):
    found = read_numbers(written, semicolons=semicolons)
    assert found.values == values
    assert (found.decimal, found.thousands, found.unit) == how


@pytest.mark.parametrize(
    "names", [["007", "8"], ["1.2.3", "1.2.4"], ["9" * 19, "8" * 19], ["A320", "B737"], ["a", "b"]]
)
def test_names_are_no_numbers(names):
    assert read_numbers(names, semicolons=False) is None


def test_what_stays_unclear_is_asked():
    assert "comma" in read_numbers(["1,234", "2,345"], semicolons=True).unclear
    assert "several units" in read_numbers(["1 mm", "2 cm"], semicolons=False).unclear
    assert "decimal comma" in read_numbers(["1,5", "2.5"], semicolons=False).unclear


def table(tmp_path, values, column="label", text=lambda i: f"some words {i}"):
    rows = "".join(f'{text(i)},"{v}"\n' for i, v in enumerate(values))
    return write_text(tmp_path / "t.csv", f"text,{column}\n{rows}")


NAMES = [["3.1", "3.10"], ["250.0", "250.00"], ["007", "7"], ["1" * 19, "1" * 18 + "2"], ["0", "1"], ["10", "9"]]


@pytest.mark.parametrize("names", NAMES)
def test_names_stay_as_they_are_written(tmp_path, names):
    task = read(table(tmp_path, names * 30), DataOptions(task="classes"))
    assert set(task.objective.names) == set(names)
    groups = write_text(tmp_path / "g.csv", "text,label,group\n" + "".join(
        f"some words {i},{'ab'[i % 2]},{names[i // 2 % 2]}\n" for i in range(60)))  # fmt: skip
    assert {e.group for e in read(groups).examples} == set(names)


def test_two_writings_of_one_number_are_a_question(tmp_path):
    with pytest.raises(SourceError, match="--task classes or --task number"):
        read(table(tmp_path, ["3.1", "3.10", "3.2"] * 30))


def test_numbers_that_lack_some(tmp_path):
    values = ["N/A" if i % 30 == 0 else f"{i / 7:.2f} mm" for i in range(120)]
    task = read(table(tmp_path, values))
    assert (task.objective.link, task.contract.unit) == ("identity", "mm")
    assert [a.reason for a in task.aside] == ["no label"] * 4
    values[5] = "broken"
    with pytest.raises(SourceError, match=r"115 of 120 labels in 'label' are numbers, 1 are not: 'broken'"):
        read(table(tmp_path, values))
    assert "'broken' is no number" in str(read(table(tmp_path, values), DataOptions(task="number")).aside)


def test_an_empty_cell_of_tags_is_no_tag(tmp_path):
    task = read(table(tmp_path, ["" if i % 8 == 0 else "red;round" if i % 2 else "blue" for i in range(120)], "tags"))
    assert sum(e.label == () for e in task.examples) == 15
    assert not task.aside


@pytest.mark.parametrize(("column", "value"), [("", str), ("id", lambda i: str(1000 + i)), ("Unnamed: 0", str),
                                               ("code", lambda i: f"k{i}"), ("n", lambda i: str(i + 1))])  # fmt: skip
def test_what_numbers_the_rows_is_no_label(tmp_path, column, value):
    rows = "".join(f"{value(i)},some words {i}\n" for i in range(60))
    with pytest.raises(SourceError, match="no column left that could be the label"):
        read(write_text(tmp_path / "t.csv", f"{column},text\n{rows}"))


def test_several_columns_are_one_input_or_tags(tmp_path):
    rows = "".join(f"a title {i},a body {i},{i % 2},{int(i % 3 == 0)}\n" for i in range(60))
    file = write_text(tmp_path / "t.csv", f"title,body,urgent,billing\n{rows}")
    with pytest.raises(SourceError, match="--label urgent,billing"):
        read(file, DataOptions(input="body"))
    task = read(file, DataOptions(input="title,body", label="urgent,billing"))
    assert task.objective.names == ("billing", "urgent")
    assert task.contract.columns == ("title", "body")
    assert {e.content for e in task.examples} == {f"a title {i}\na body {i}" for i in range(60)}
    assert {e.label for e in task.examples} == {(), ("urgent",), ("billing",), ("urgent", "billing")}


def test_blank_lines_keep_their_place(tmp_path):
    rows = [f"some words {i},{'ab'[i % 2]}" for i in range(60)]
    file = write_text(tmp_path / "t.csv", "text,label\n" + "\n".join([*rows[:3], "", *rows[3:]]) + "\n\n")
    task = read(file)
    assert [(a.id, a.reason) for a in task.aside] == [("t.csv:3", "is a blank line")]
    assert {e.id for e in task.examples} == {f"t.csv:{i}" for i in range(61)} - {"t.csv:3"}
