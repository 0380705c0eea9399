"""The command line: mistakes are told in words, and lists are data."""

import json

from headstart.backbones import catalogue
from headstart.cli.summaries import backbone_table
from headstart.data.demo.tickets import write_tickets
from tests.support.command_line import run_command


def test_users_mistakes_exit_2_and_say_what_to_do(tmp_path):
    assert "does not exist" in run_command("fit", str(tmp_path / "nothing"), code=2).stderr
    table = write_tickets(tmp_path)
    assert "text" in run_command("fit", str(table), "--label", "labl", code=2).stderr
    done = run_command("fit", str(table), "--backbone", "tim:resnet50", "--into", str(tmp_path / "r"), code=2)
    assert "timm" in done.stderr
    done = run_command("fit", str(table), "--set", "weigths=balanced", "--into", str(tmp_path / "r2"), code=2)
    assert "Did you mean 'class_weight'" in done.stderr
    assert json.loads(run_command("fit", "nope", "--json", code=2).stdout)["exit"] == 2


def test_the_list_is_shown_and_told_as_json():
    rows = [{**{f: getattr(e, f) for f in e.__slots__}, "here": False} for e in catalogue.CATALOGUE]
    assert all(e.name in backbone_table(rows) for e in catalogue.CATALOGUE)
    told = json.loads(run_command("backbones", "text", "--json").stdout)["backbones"]
    assert {r["kind"] for r in told} == {"text"}
    assert len(told) >= 6
