"""Run folders: one process in each, and nothing is made or moved before the data were read."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import headstart
from headstart.core.errors import DiskError, SourceError
from headstart.core.folder_lock import LOCK, FolderLock
from headstart.core.run import JOURNAL, Run
from headstart.data.demo.tickets import write_tickets


def begin(folder, root, **options) -> Run:
    run = Run.start(folder, root, **options)
    run.emit("start", {})
    run.open()
    return run


def events(folder):
    return [json.loads(line)["event"] for line in (folder / JOURNAL).read_text().splitlines()]


def test_a_folder_has_one_run_at_a_time(tmp_path):
    with begin(tmp_path / "run", tmp_path):
        for other in (Run.start, begin):
            with pytest.raises(SourceError, match=f"in use by process {os.getpid()} on .*--into"):
                other(tmp_path / "run", tmp_path)
    assert not (tmp_path / "run" / LOCK).exists()
    with begin(tmp_path / "run", tmp_path) as run:
        run.emit("second", {})
    assert (events(tmp_path / "run.previous"), events(tmp_path / "run")) == (["start"], ["start", "second"])
    assert not (tmp_path / "run.previous" / LOCK).exists()


def test_the_lock_of_a_process_that_was_killed_is_taken_over(tmp_path):
    code = "import sys, time; from pathlib import Path; from headstart.core.run import Run; p = Path(sys.argv[1]); "
    code += "r = Run.start(p, p); r.open(); print(1, flush=True); time.sleep(60)"
    process = subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "run")], stdout=subprocess.PIPE)
    process.stdout.readline()
    with pytest.raises(SourceError, match=f"process {process.pid} on"):
        Run.start(tmp_path / "run", tmp_path)
    process.kill()
    process.wait()
    process.stdout.close()
    assert (tmp_path / "run" / LOCK).exists()
    with begin(tmp_path / "run", tmp_path):
        assert json.loads((tmp_path / "run" / LOCK).read_text())["pid"] == os.getpid()


def test_of_four_fits_into_one_folder_those_that_report_success_are_there(tmp_path):
    """Each ends with its own answer in the folder or its .previous, or says who works there."""
    table = write_tickets(tmp_path)
    command = [sys.executable, "-m", "headstart", "fit", str(table), "--into", str(tmp_path / "run"), "--json", "-q"]
    environment = {**os.environ, "HEADSTART_CACHE": str(tmp_path / "cache"), "OMP_NUM_THREADS": "1"}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    several = [subprocess.Popen([*command, "--seed", str(n)], **pipes, env=environment) for n in range(4)]
    done = [(process.communicate(), process.returncode) for process in several]
    refused = [error for (_, error), code in done if code == 2]
    assert all(code in (0, 2) for _, code in done) and all(b"in use by process" in error for error in refused)
    last = json.loads((tmp_path / "run" / "result.json").read_text())
    assert last["plan"]["seed"] in [json.loads(out)["plan"]["seed"] for (out, _), code in done if code == 0]
    assert (tmp_path / "run" / "journal.jsonl").read_text().count('"event": "start"') == 1


@pytest.mark.parametrize("ended", [False, True])
def test_a_folder_that_nobody_named_is_another_where_one_is_taken_while_the_data_are_read(ended, tmp_path):
    names = iter([tmp_path / "run-2", tmp_path / "run-3"])
    late = Run.start(tmp_path / "run", tmp_path, elsewhere=lambda: next(names))
    late.emit("late", {})
    with begin(tmp_path / "run", tmp_path) as first, begin(tmp_path / "run-2", tmp_path):
        if not ended:
            late.open()
    if ended:
        late.open()
    with late:
        assert (events(first.folder), events(late.folder)) == (["start"], ["late"])
        assert late.folder == tmp_path / "run-3"
    assert not (tmp_path / "run.previous").exists()


def test_fits_side_by_side_that_name_no_folder_have_one_each(tmp_path):
    table = write_tickets(tmp_path)
    command = [sys.executable, "-m", "headstart", "fit", str(table), "--json", "-q", "--method", "centroid"]
    environment = {**os.environ, "HEADSTART_CACHE": str(tmp_path / "cache"), "OMP_NUM_THREADS": "1"}
    several = [
        subprocess.Popen([*command, "--seed", str(n)], stdout=subprocess.PIPE, env=environment, cwd=tmp_path)
        for n in range(3)
    ]
    answers = [json.loads(process.communicate()[0]) for process in several]
    seeds = [json.loads(file.read_text())["plan"]["seed"] for file in (tmp_path / "runs").glob("*/result.json")]
    assert sorted(seeds) == sorted(answer["plan"]["seed"] for answer in answers) == [0, 1, 2]


def test_a_misspelt_path_leaves_nothing_and_moves_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for verb in (headstart.fit, headstart.compare):
        with pytest.raises(SourceError, match="does not exist"):
            verb("photoz", into=tmp_path / "new" / "run", root=tmp_path / "cache")
    with pytest.raises(SourceError, match="does not exist"):
        headstart.fit("photoz", root=tmp_path / "cache")
    assert not (tmp_path / "new").exists() and not (tmp_path / "runs").exists()
    with begin(tmp_path / "earlier", tmp_path):
        pass
    with pytest.raises(SourceError, match="does not exist"):
        headstart.fit("photoz", into=tmp_path / "earlier", root=tmp_path / "cache")
    assert events(tmp_path / "earlier") == ["start"] and not (tmp_path / "earlier.previous").exists()


def test_an_interruption_is_journalled(tmp_path):
    for error in (KeyboardInterrupt, SystemExit):
        with pytest.raises(error), begin(tmp_path / "run", tmp_path):
            raise error
        assert events(tmp_path / "run") == ["start", "interrupted"]
    with pytest.raises(ZeroDivisionError), begin(tmp_path / "run", tmp_path):
        raise ZeroDivisionError
    assert events(tmp_path / "run") == ["start"]


def test_what_is_no_run_is_left_alone(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("x")
    (tmp_path / "file").write_text("x")
    for name in ("mine", "file"):
        with pytest.raises(SourceError, match="is not a run of Headstart"):
            Run.start(tmp_path / name, tmp_path)
    with begin(tmp_path / "run", tmp_path):
        pass
    (tmp_path / "run.previous").mkdir()
    with pytest.raises(SourceError, match="in the way"):
        Run.start(tmp_path / "run", tmp_path)
    assert [p.name for p in (tmp_path / "mine").iterdir()] == ["thesis.txt"]


@pytest.mark.parametrize("into", ["/proc/nope/run", "/dev/null/run"])
@pytest.mark.skipif(not Path("/proc").exists(), reason="places of Linux")
def test_where_no_folder_can_be_made_is_said_in_words(into, tmp_path):
    with pytest.raises(DiskError, match=into.rpartition("/")[0]):
        headstart.fit(write_tickets(tmp_path), into=into, root=tmp_path / "cache")


def test_a_lock_without_an_owners_name_still_holds(tmp_path):
    with FolderLock(tmp_path):
        (tmp_path / LOCK).write_text("{")
        with pytest.raises(SourceError, match="in use by another process"):
            FolderLock(tmp_path)
    FolderLock(tmp_path).release()
