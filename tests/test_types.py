"""What a type checker tells a user: the public names have types, and the options are known by name."""

import subprocess
import sys
from pathlib import Path

SCRIPT = """
import headstart

outcome = headstart.fit("photos", shots=5, into="runs/photos", settings={"folds": 3})
outcome.result["metrics"]
reveal_type(outcome)
answers = headstart.predict(outcome.folder, ["new.jpg"])
reveal_type(answers[0].label)
headstart.fit("photos", shotz=5)
headstart.fit("photos", shots="5")
headstart.compare("photos", seed="a")
headstart.nothing("photos")
"""
ROOT = Path(__file__).parents[1]


def test_a_misspelt_argument_is_refused_by_a_type_checker(tmp_path):
    (tmp_path / "script.py").write_text(SCRIPT)
    line = [sys.executable, "-m", "mypy", str(tmp_path / "script.py")]  # the project's settings, and so its cache
    done = subprocess.run(line, capture_output=True, text=True, cwd=ROOT)
    said = done.stdout
    assert 'Unexpected keyword argument "shotz" for "fit"; did you mean "shots"?' in said, said + done.stderr
    assert 'Argument "shots" to "fit" has incompatible type "str"' in said
    assert 'Argument "seed" to "compare" has incompatible type "str"' in said
    assert '"headstart" has no attribute "nothing"' in said or "has no attribute" in said
    assert 'Revealed type is "headstart.workflows.fit.Outcome"' in said
    assert "Found 4 errors" in said


def test_the_stub_is_what_the_options_say():
    done = subprocess.run([sys.executable, "docs/public_stub.py", "--check"], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
