"""Rules for what is read from files: what they take, and that no JSON at all makes them stumble."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headstart.core import schema
from headstart.core.errors import ArtifactError, PlanError

CARD = schema.record(
    {
        "name": schema.text(20, r"[a-z:]+"),
        "width": schema.whole(1, 100),
        "mean": schema.items(schema.number(0, 1), 3, least=3),
        "blocks": schema.items(schema.record({"shape": schema.items(schema.whole(1, 9), 4)}), 5),
    },
    {"pooling": schema.one_of("mean", "cls"), "digests": schema.table(schema.text(5), 2)},
)
VALID = {"name": "a:b", "width": 3, "mean": [0, 0.5, 1], "blocks": [{"shape": [1, 2]}]}
ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=8,
)


def test_a_valid_value_passes():
    schema.check({**VALID, "pooling": "cls", "digests": {"a": "b"}}, CARD, "card.json", "Fit again.")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"width": True}, "width is True, not a whole number from 1 to 100"),
        ({"width": 3.0}, "width is 3.0, not a whole number"),
        ({"mean": [0, 0, float("nan")]}, r"mean\[2\] is nan, not a number from 0 to 1"),
        ({"mean": [0, 0]}, "mean is .*, not a list of 3"),
        ({"blocks": [{"shape": [1]}, {"shape": ["a"]}]}, r"blocks\[1\].shape\[0\] is 'a'"),
        ({"blocks": "abc"}, "blocks is 'abc', not a list"),
        ({"name": "A"}, "name is 'A', not a text"),
        ({"name": "a" * 21}, "name is 'a+', not a text of at most 20"),
        ({"pooling": 0}, "pooling is 0, not one of 'mean', 'cls'"),
        ({"digests": {"a": 1}}, "digests.a is 1"),
        ({"digests": {"a": "", "b": "", "c": ""}}, "not an object of at most 2 names"),
        ({"extra": 1}, "has 'extra', which is not known"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(change, said):
    with pytest.raises(ArtifactError, match=f"card.json.*{said}.*Fit again."):
        schema.check({**VALID, **change}, CARD, "card.json", "Fit again.")


def test_a_missing_name_is_said():
    with pytest.raises(PlanError, match=r"card.json lacks width\. Look\."):
        schema.check({k: v for k, v in VALID.items() if k != "width"}, CARD, "card.json", "Look.", PlanError)


def test_a_lone_surrogate_is_no_text():
    assert schema.text()("a\ud800") and not schema.text()("a😀")


@given(value=ANY_JSON, name=st.sampled_from(sorted(VALID)))
def test_no_value_makes_a_rule_stumble(value, name):
    for candidate in (value, {**VALID, name: value}):
        assert isinstance(CARD(candidate), str)


@pytest.mark.parametrize("content", [b"\xff\xfe{", b"[" * 100_000, b"", b"{", b"[1]", b'{"a": 1}'])
def test_a_file_that_is_no_such_json_is_refused_in_words(content, tmp_path):
    file = tmp_path / "card.json"
    file.write_bytes(content)
    with pytest.raises(ArtifactError, match=r"card\.json.*Fit again\."):
        schema.load_json(file, CARD, "Fit again.")


def test_a_file_is_not_read_that_is_missing_or_too_large(tmp_path):
    with pytest.raises(ArtifactError, match="cannot be read: No such file"):
        schema.load_json(tmp_path / "card.json", CARD, "Fit again.")
    (tmp_path / "card.json").write_text(json.dumps(VALID) + " " * 1000)
    with pytest.raises(ArtifactError, match=r"1,0\d\d bytes; 500 are the most"):
        schema.load_json(tmp_path / "card.json", CARD, "Fit again.", max_bytes=500)
