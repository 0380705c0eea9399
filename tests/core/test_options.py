"""Options: one field each, the same as keyword, flag and key of plan.toml."""

import inspect
from dataclasses import fields

import numpy as np
import pytest
from typer.testing import CliRunner

import headstart
from headstart.cli.app import add_verbs, app
from headstart.core import options
from headstart.core.errors import PlanError
from headstart.core.options import BackboneOptions, DataOptions, asked, build, default_of, flat_keywords

GROUPS = [v for n, v in vars(options).items() if n.endswith("Options")]
VERBS = {"fit": "fit", "compare": "compare"}


@pytest.mark.parametrize("group", GROUPS, ids=lambda g: g.__name__)
def test_every_option_has_a_default_and_a_help(group):
    assert group() == group(), "each has a default"
    for f in fields(group):
        assert f.metadata["help"].endswith((".", "?")), f.name


@pytest.mark.parametrize("verb", VERBS)
def test_keywords_of_a_verb_are_flat_and_known_to_help(verb):
    signature = inspect.signature(getattr(headstart, verb))
    assert {"label", "backbone", "into", "seed"} <= set(signature.parameters)
    assert "shots: Learn from at most" in inspect.getdoc(getattr(headstart, verb))


def test_an_unknown_keyword_is_answered_with_the_nearest():
    with pytest.raises(TypeError, match=r"fit\(\) has no keyword 'shotz'. Did you mean 'shots'"):
        headstart.fit("nowhere", shotz=5)


def test_groups_take_their_own_fields_and_tell_what_was_asked():
    data, borrow = build((DataOptions, BackboneOptions), {"label": "team", "engine": "torch", "weights": "sha256:0"})
    assert (data, borrow) == (DataOptions(label="team"), BackboneOptions(engine="torch", weights="sha256:0"))
    assert asked(data, borrow) == {"label": "team", "engine": "torch"}, "weights are no flag"
    assert asked(data, borrow, without=("engine",)) == {"label": "team"}
    assert asked(DataOptions(test=([1], [2]))) == {"test": ([1], [2])}


def test_a_new_field_is_a_keyword_without_more():
    def verb(source: object, data: DataOptions) -> tuple:
        """Doc."""
        return source, data

    face = flat_keywords(verb, "verb")
    assert face("here", label="a", shots=3) == ("here", DataOptions(label="a", shots=3))
    assert {f.name for f in fields(DataOptions)} == set(inspect.signature(face).parameters) - {"source"}


@pytest.mark.parametrize("verb", ["fit", "check", "plan", "compare"])
def test_flags_of_a_verb_are_the_fields_of_its_groups(verb):
    add_verbs()
    help = CliRunner().invoke(app, [verb, "--help"]).output
    for f in fields(DataOptions):
        assert f"--{f.name.replace('_', '-')}" in help
    for hidden in ("--root", "--echo", "--weights", "--repeat"):
        assert hidden not in help
    assert default_of(next(f for f in fields(BackboneOptions) if f.name == "backbone")) in help


@pytest.mark.parametrize(
    ("keywords", "words"),
    [
        ({"shots": "5"}, "shots='5': a whole number is expected"),
        ({"shots": 0}, "shots=0: 1 is the least"),
        ({"seed": -1}, "seed=-1: 0 is the least"),
        ({"group_twins": "no"}, "group_twins='no': true or false is expected"),
        ({"settings": "a=b"}, "is no dict of settings"),
        ({"settings": {"strengths": "abc"}}, "strengths=abc cannot be read as numbers with commas between"),
    ],
)
def test_a_value_of_another_kind_is_refused_in_words(keywords, words):
    x = [[float(i), 1.0] for i in range(40)]
    with pytest.raises(PlanError, match=words):
        headstart.fit((x, ["a", "b"] * 20), **keywords)


def test_settings_take_numbers_and_arrays_as_people_have_them(tmp_path):
    x = np.random.default_rng(0).standard_normal((60, 4)).astype(np.float32)
    settings = {"folds": 3.0, "strengths": np.array([1.0, 10.0]), "class_weight": "balanced"}
    result = headstart.fit((x, ["a", "b"] * 30), into=tmp_path / "run", settings=settings).result
    assert result["plan"]["settings"]["strengths"] == (1.0, 10.0) and result["plan"]["settings"]["folds"] == 3
