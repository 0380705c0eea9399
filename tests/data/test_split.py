"""The split keeps its promises for any data: whole, fair, together, repeatable, and calm when data grow."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from headstart.core.errors import SourceError, Stopped
from headstart.core.result import SetAside
from headstart.core.task import Example, Task
from headstart.data.objectives.classes import Classes
from headstart.data.split import assign_folds, count_byte_duplicates, draw_split, needs_cross_validation
from headstart.data.split_names import assign_parts, part_of
from headstart.data.subset import check_unusable_share, drop_examples, limit_shots, too_many_unusable


def example(name: str, label: str, digest: str = "", group: str = "") -> Example:
    return Example(name, name, digest or f"d{name}", label, group)


def many(counts: dict[str, int]) -> list[Example]:
    return [example(f"{label}/{i}", label) for label, n in counts.items() for i in range(n)]


labelled = st.dictionaries(st.sampled_from("abcde"), st.integers(20, 90), min_size=1).map(many)
grouped = st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 14)), min_size=60, max_size=150).map(
    lambda rows: [example(str(i), label, group=f"g{g}") for i, (label, g) in enumerate(rows)]
)


def labels(examples: list[Example]) -> list:
    return [e.label for e in examples]


@given(labelled, st.integers(0, 2**31))
@settings(max_examples=40, deadline=None)
def test_parts_are_disjoint_cover_all_keep_shares_and_repeat(examples, seed):
    parts = draw_split(examples, labels(examples), seed)
    assert sorted(np.concatenate(list(parts.values()))) == list(range(len(examples)))
    assert all(rows.dtype == np.int64 and (np.diff(rows) > 0).all() for rows in parts.values())
    for label, n in Counter(labels(examples)).items():
        for part in ("val", "test"):
            held = sum(examples[i].label == label for i in parts[part])
            assert abs(held - 0.15 * n) <= 1, f"{held} of {n} in {part}"
    again = draw_split(examples, labels(examples), seed)
    assert all(np.array_equal(parts[p], again[p]) for p in parts)


@given(labelled, st.integers(0, 100), st.sampled_from("abcde"))
@settings(max_examples=40, deadline=None)
def test_one_more_example_moves_at_most_two_others(examples, seed, label):
    before = draw_split(examples, labels(examples), seed)
    grown = [*examples, example("new", label)]
    after = draw_split(grown, labels(grown), seed)

    def places(parts):
        return {int(i): part for part, rows in parts.items() for i in rows}

    was, now = places(before), places(after)
    assert sum(was[i] != now[i] for i in was) <= 2


@given(grouped, st.integers(0, 100))
@settings(max_examples=40, deadline=None)
def test_groups_stay_whole(examples, seed):
    try:
        places = draw_split(examples, labels(examples), seed)
    except SourceError:
        assume(False)
    side = {e.group: set() for e in examples}
    for part, rows in places.items():
        for i in rows:
            side[examples[i].group].add(part)
    assert all(len(parts) == 1 for parts in side.values())
    assert {examples[i].label for i in places["train"]} == set(labels(examples))


@given(grouped, st.integers(0, 100))
@settings(max_examples=40, deadline=None)
def test_folds_keep_groups_whole_and_every_class_in_training(examples, seed):
    try:
        fold = assign_folds(examples, labels(examples), seed, classes=True)
    except SourceError:
        assume(False)
    assert 2 <= len(np.unique(fold)) <= 5
    by_group = {e.group: set() for e in examples}
    for e, f in zip(examples, fold, strict=True):
        by_group[e.group].add(int(f))
    assert all(len(some) == 1 for some in by_group.values())
    for f in np.unique(fold):
        assert {e.label for e, at in zip(examples, fold, strict=True) if at != f} == set(labels(examples))


def test_six_speakers_leave_one_to_judge_and_one_to_choose():
    examples = [example(f"{s}/{d}/{i}", str(d), group=f"s{s}") for s in range(6) for d in range(3) for i in range(10)]
    parts = draw_split(examples, labels(examples), 0)
    speakers = {part: {examples[i].group for i in rows} for part, rows in parts.items()}
    assert {part: len(some) for part, some in speakers.items()} == {"train": 4, "val": 1, "test": 1}


def test_equal_bytes_stay_together_even_under_two_labels():
    examples = many({"a": 60, "b": 60})
    examples += [example(f"copy{i}", "b", digest=f"da/{i}") for i in range(30)]
    assert count_byte_duplicates(examples) == 30
    for seed in range(5):
        parts = draw_split(examples, labels(examples), seed)
        side = {}
        for part, rows in parts.items():
            for i in rows:
                assert side.setdefault(examples[i].digest, part) == part


def test_folds_are_as_many_as_the_rarest_class_and_level():
    examples = many({"a": 3, "b": 40})
    fold = assign_folds(examples, labels(examples), 0, classes=True)
    assert sorted(Counter(fold.tolist()).values()) == [14, 14, 15]
    assert sorted(fold[:3]) == [0, 1, 2]
    examples = many({"a": 23, "b": 11})
    assert max(Counter(assign_folds(examples, labels(examples), 0, classes=True).tolist()).values()) <= 8


def test_folds_of_many_small_classes_are_level():
    examples = many({f"c{i}": 6 for i in range(30)})
    sizes = Counter(assign_folds(examples, labels(examples), 0, classes=True).tolist()).values()
    assert max(sizes) - min(sizes) <= 6, sizes


def test_a_class_of_one_is_named():
    examples = many({"cat": 1, "dog": 30})
    with pytest.raises(SourceError, match="fewer than 2 examples: 'cat'"):
        assign_folds(examples, labels(examples), 0, classes=True)
    twin = [example("x", "cat", digest="same"), example("y", "cat", digest="same"), *many({"dog": 30})]
    with pytest.raises(SourceError, match="not equal or of one group: 'cat'"):
        assign_folds(twin, labels(twin), 0, classes=True)


def test_few_means_a_rare_class_or_a_class_of_two_groups():
    assert needs_cross_validation(many({"a": 19, "b": 300}), ["a"] * 19 + ["b"] * 300, classes=True)
    assert not needs_cross_validation(many({"a": 20, "b": 300}), ["a"] * 20 + ["b"] * 300, classes=True)
    pair = [example(str(i), "a", group=str(i % 2)) for i in range(50)]
    assert needs_cross_validation(pair, labels(pair), classes=True)


def test_names_of_parts():
    assert [part_of(n) for n in ("Training", "DEV", "valid", "Testing", "holdout", "cat")] == [
        *("train", "val", "val", "test", "held", ""),
    ]
    assert assign_parts(["train", "dev"]) == {"train": "train", "dev": "test"}
    assert assign_parts(["train", "val", "eval"]) == {"train": "train", "val": "val", "eval": "test"}
    assert assign_parts(["Train", "test", "eval"]) == {"Train": "train", "test": "test", "eval": "val"}


@pytest.mark.parametrize(
    "wrong", [["val", "test"], ["train", "training", "test"], ["train", "val", "dev"], ["train", "a"]]
)
def test_names_that_do_not_make_a_split_are_listed(wrong):
    with pytest.raises(SourceError, match=f"named {wrong[0]!r}, {wrong[1]!r}.* One training part"):
        assign_parts(wrong)


def task(counts: dict[str, int], folded: bool = False) -> Task:
    examples = tuple(many(counts))
    if not folded:
        return Task("image", Classes(tuple(counts)), examples, draw_split(examples, labels(list(examples)), 0))
    fold = assign_folds(examples, labels(list(examples)), 0, classes=True)
    empty = np.zeros(0, np.int64)
    parts = {"train": np.arange(len(examples)), "val": empty, "test": empty}
    return Task("image", Classes(tuple(counts)), examples, parts, fold)


@pytest.mark.parametrize("folded", [False, True])
def test_without_drops_the_named_and_keeps_the_rest_as_it_was(folded):
    whole = task({"a": 60, "b": 60}, folded)
    gone = [SetAside("a/3", "is empty"), SetAside("b/7", "not an image")]
    rest = drop_examples(whole, gone)
    assert rest.aside == tuple(gone)
    assert {e.id for e in whole.examples} - {e.id for e in rest.examples} == {"a/3", "b/7"}
    for part in whole.parts:
        assert [e.id for e in rest.part(part)] == [e.id for e in whole.part(part) if e.id not in ("a/3", "b/7")]
    if folded:
        before = dict(zip((e.id for e in whole.examples), whole.folds, strict=True))
        assert all(before[e.id] == f for e, f in zip(rest.examples, rest.folds, strict=True))


def test_more_than_one_in_twenty_stops_but_one_alone_never():
    assert [too_many_unusable(*case) for case in ((1, 12), (2, 12), (5, 100), (6, 100))] == [False, True, False, True]
    whole = task({"a": 60, "b": 60})
    bad = [SetAside(f"a/{i}", "is empty") for i in range(7)]
    with pytest.raises(Stopped, match=r"7 of 120 examples cannot be used \(5.8%"):
        drop_examples(whole, bad)
    early = replace(whole, aside=(SetAside("x", "empty text"),))
    assert len(drop_examples(whole, bad[:6]).examples) == 114
    with pytest.raises(Stopped, match="x: empty text"):
        drop_examples(early, bad[:6])
    with pytest.raises(Stopped, match="and 40 more"):
        check_unusable_share([SetAside(str(i), "r") for i in range(50)], 100)


@given(labelled, st.integers(1, 12), st.integers(0, 2**31))
@settings(max_examples=30, deadline=None)
def test_fewer_shots_are_among_more_and_the_test_part_stays(examples, count, seed):
    whole = Task(
        "image",
        Classes(tuple(sorted({e.label for e in examples}))),
        tuple(examples),
        draw_split(examples, labels(examples), seed),
    )
    some, more = (limit_shots(whole, n, seed) for n in (count, count + 3))
    assert [e.id for e in some.part("test")] == [e.id for e in whole.part("test")]
    assert {e.id for e in some.part("train")} <= {e.id for e in more.part("train")} <= {e.id for e in examples}
    assert Counter(e.label for e in some.part("train")).most_common()[0][1] == count, "20 of each class are there"
    assert not {e.id for e in more.part("train")} & {e.id for e in more.part("test")} and not len(more.parts["val"])
    assert len(some.examples) == len(some.parts["train"]) + len(some.parts["test"])


def test_shots_are_refused_where_every_example_is_needed():
    with pytest.raises(SourceError, match="Leave out --shots"):
        limit_shots(task({"a": 6, "b": 9}, folded=True), 3, 0)


def test_without_refuses_to_lose_a_class():
    tiny = task({"a": 2, "b": 60}, folded=True)
    with pytest.raises(SourceError, match="Too few examples of 'a'"):
        drop_examples(tiny, [SetAside("a/0", "is empty")])


def test_fifty_thousand_are_split_and_thinned_quickly():
    from time import perf_counter

    examples = tuple(many({str(c): 5000 for c in range(10)}))
    start = perf_counter()
    parts = draw_split(examples, labels(list(examples)), 0)
    whole = Task("image", Classes(tuple(map(str, range(10)))), examples, parts)
    drop_examples(whole, [SetAside(f"3/{i}", "r") for i in range(2000)])
    assert perf_counter() - start < 5  # 0.6 s on 2 idle cores; a quadratic step would take minutes
