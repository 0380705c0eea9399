"""plan.toml: a run is repeated from it, to the last bit, and what it says is held against what an option may be."""

import json
import tomllib

import numpy as np
import pytest

import headstart
from headstart.core.errors import HeadstartError, PlanError, SourceError
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


def test_an_option_counts_wherever_it_stands_in_the_file(tmp_path):
    file = tmp_path / "plan.toml"
    file.write_text('\ufeffsource = "."\nshots = 5\ngroup = "who"\n[settings]\nclass_weight = "balanced"\n')
    _, keywords = repeated(file, None, {})
    assert (keywords["shots"], keywords["group"]) == (5, "who")
    assert keywords["settings"] == {"class_weight": "balanced"}, "of the probe, which the file need not name"


def test_another_budget_brings_its_own_steps(tmp_path):
    file = tmp_path / "plan.toml"
    file.write_text(
        'source = "."\nmethod = "bias"\n[settings]\nsteps = 60\nviews = 1\nlearning_rate = 0.01\n[options]\n'
    )
    _, keywords = repeated(file, None, {"budget": "thorough", "settings": {"views": 0}})
    assert keywords["settings"] == {"learning_rate": 0.01, "views": 0} and keywords["budget"] == "thorough"


def test_a_plan_of_an_older_version_is_repeated_with_the_options_of_its_command(tmp_path):
    """Version 0.1 kept them in result.json alone: without them another split would have been judged, in silence."""
    file = tmp_path / "plan.toml"
    file.write_text('backbone = "stats:text"\ncut = 1\nmethod = "mlp"\nseed = 2\n[settings]\nrate = 0.01\n')
    with pytest.raises(PlanError, match="is of an older version, which kept the options"):
        repeated(file, "t.csv", {})
    command = "headstart fit t.csv --backbone stats:text --seed 2 --set rate=0.01 --label team --shots 9 --group-twins"
    (tmp_path / "result.json").write_text(json.dumps({"command": command}))
    source, keywords = repeated(file, "other.csv", {"shots": 4})
    assert source == "other.csv" and keywords == {
        "backbone": "stats:text", "method": "mlp", "seed": 2, "settings": {"learning_rate": 0.01},
        "label": "team", "group_twins": True, "shots": 4,
    }  # fmt: skip


def test_what_is_given_beside_it_takes_its_place(tmp_path):
    file = tmp_path / "plan.toml"
    file.write_text('source = "."\nbackbone = "stats"\nweights = "sha256:0"\nmethod = "ridge"\nseed = 4\n'
                    "[settings]\nfolds = 7\n[options]\nshots = 8\n")  # fmt: skip
    source, keywords = repeated(file, None, {"seed": 5})
    assert (source, keywords["seed"], keywords["settings"], keywords["shots"]) == (".", 5, {"folds": 7}, 8)
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
        ('seed = "one"', "seed='one': a whole number is expected"),
        ("[options]\nshots = -5", "shots=-5: 1 is the least"),
        ("[options]\nshots = true", "shots=True: a whole number is expected"),
        ("[options]\nkind = 5", "kind=5: a word is expected"),
        ('[options]\nroot = "x"', "'root' is no option of fit"),
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
    (tmp_path / "moved.toml").write_text('source = "nowhere.csv"\n')
    with pytest.raises(SourceError, match=r"nowhere.csv, which .*moved.toml names, does not exist seen from"):
        headstart.fit(config=tmp_path / "moved.toml")
    with pytest.raises(SourceError, match="No data were named"):
        headstart.fit()
    with pytest.raises(SourceError, match=r"plan.toml cannot be read"):
        headstart.fit(config=tmp_path / "plan.toml")


@pytest.mark.parametrize("raw", [b"\xff\xfe", b"a = " + b"[" * 100_000, b"[1]", b"x" * 2_000_000, b"settings = 1"])
def test_a_damaged_file_is_told_in_words(raw, tmp_path):
    (tmp_path / "plan.toml").write_bytes(raw)
    with pytest.raises(HeadstartError, match=r"plan\.toml"):
        headstart.fit(tmp_path, config=tmp_path / "plan.toml", into=tmp_path / "run")


@pytest.mark.parametrize("command", ['"', "7", '"headstart"', '"headstart fit \'"'])
def test_a_damaged_result_beside_an_old_plan_is_told_in_words(command, tmp_path):
    (tmp_path / "plan.toml").write_text("cut = 1\n")
    (tmp_path / "result.json").write_text(f'{{"command": {command}}}')
    with pytest.raises(PlanError, match="is of an older version"):
        headstart.fit(tmp_path, config=tmp_path / "plan.toml", into=tmp_path / "run")
