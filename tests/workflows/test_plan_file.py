"""plan.toml: a run is repeated from it, to the last bit, and what it says is held against what an option may be."""

import json
import tomllib

import numpy as np
import pytest

import headstart
from headstart.core.errors import PlanError, SourceError
from headstart.workflows.plan_file import repeated


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """A table of texts about two things."""
    file = tmp_path_factory.mktemp("table") / "texts.csv"
    rows = [f"{'red apple' if n % 2 else 'fast train'} number {n},{'fruit' if n % 2 else 'rail'}" for n in range(80)]
    file.write_text("message,team\n" + "\n".join(rows) + "\n")
    return file


def test_a_run_is_repeated_to_the_last_bit(table, tmp_path):
    settings = {"folds": 3, "strengths": (1.0, 10.0)}
    first = headstart.fit(table, into=tmp_path / "a", label="team", shots=12, seed=3, settings=settings)
    again = headstart.fit(config=tmp_path / "a" / "plan.toml", into=tmp_path / "b")
    deltas = [(o.folder / "model" / "delta.safetensors").read_bytes() for o in (first, again)]
    assert deltas[0] == deltas[1]
    assert first.result["metrics"] == again.result["metrics"]
    facts = [tomllib.loads((o.folder / "plan.toml").read_text()) for o in (first, again)]
    assert facts[0]["options"] == {"label": "team", "shots": 12}
    assert {k: v for k, v in facts[0].items() if k != "reasons"} == {
        k: v for k, v in facts[1].items() if k != "reasons"
    }


def test_what_is_given_beside_it_takes_its_place(tmp_path):
    file = tmp_path / "plan.toml"
    file.write_text('source = "a"\nbackbone = "stats"\nweights = "sha256:0"\nmethod = "ridge"\nseed = 4\n'
                    "[settings]\nfolds = 7\n[options]\nshots = 8\n")  # fmt: skip
    source, keywords = repeated(file, None, {"seed": 5})
    assert (source, keywords["seed"], keywords["settings"], keywords["shots"]) == ("a", 5, {"folds": 7}, 8)
    assert keywords["weights"] == "sha256:0"
    source, keywords = repeated(file, "b", {"method": "knn", "backbone": "own"})
    assert source == "b" and "settings" not in keywords and "weights" not in keywords, "they were of the others"


def test_other_weights_than_those_of_the_run_are_refused(table, tmp_path):
    run = headstart.fit(table, into=tmp_path / "a", label="team")
    file = run.folder / "plan.toml"
    facts = tomllib.loads(file.read_text())
    file.write_text(file.read_text().replace(facts["weights"], "sha256:" + "0" * 64))
    with pytest.raises(PlanError, match="has other weights now"):
        headstart.fit(config=file, into=tmp_path / "b")


def test_arrays_in_memory_are_named_again(tmp_path):
    x = np.random.default_rng(0).standard_normal((60, 5)).astype(np.float32)
    y = ["a" if v > 0 else "b" for v in x[:, 0]]
    run = headstart.fit((x, y), into=tmp_path / "a")
    with pytest.raises(SourceError, match="does not say which data"):
        headstart.fit(config=run.folder / "plan.toml", into=tmp_path / "b")
    again = headstart.fit((x, y), config=run.folder / "plan.toml", into=tmp_path / "b")
    assert json.dumps(again.result["metrics"]) == json.dumps(run.result["metrics"])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("seed = 1\nshotz = 2", "'shotz' is no option of fit. Did you mean 'shots'"),
        ('seed = "one"', 'seed = "one" is not of the type int'),
        ("seed = ", "is no TOML"),
        ("settings = 3", "are tables"),
    ],
)
def test_what_no_option_can_be_is_refused(text, words, tmp_path):
    file = tmp_path / "plan.toml"
    file.write_text(text)
    with pytest.raises(PlanError, match=words):
        repeated(file, "data", {})


def test_no_data_and_no_file_say_so(tmp_path):
    with pytest.raises(SourceError, match="No data were named"):
        headstart.fit()
    with pytest.raises(SourceError, match=r"plan.toml cannot be read"):
        headstart.fit(config=tmp_path / "plan.toml")
