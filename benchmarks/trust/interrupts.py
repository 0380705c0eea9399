"""SIGINT and SIGTERM at random moments of fit, compare, fine-tuning and distillation: hangs, tracebacks, what remains.

    python -m benchmarks.trust.interrupts [--count 100] [--seed 0] [--photos 60]

Each round starts a command with an empty cache, sends one signal at a random moment of it, and looks: exit code, the
sentence, the journal's last event, seconds and processor seconds until the end, processes and temporary files left
behind. Where --rerun is given, the command is then run again in the same cache, and must give what an undisturbed run
gave, bit for bit.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from statistics import median

from benchmarks.paths import MOBILENET, SHARED

SIGNALS = {signal.SIGINT: 130, signal.SIGTERM: 143}
HANG_SECONDS = 30.0
PROCESSOR_SECONDS = 2.0  # between a signal and the end


def jobs(photos: Path) -> dict[str, list[str]]:
    """The commands, by name."""
    tuned = ["--backbone", MOBILENET, "--method", "finetune", "--set", "steps=20"]
    student = ["--student", "mobilenetv3_small_050", "--side", "32", "--steps", "12", "--set", "batch_size=16"]
    return {
        "fit": ["fit", str(photos), "--backbone", MOBILENET],
        "compare": ["compare", str(photos), "--methods", "probe,knn,centroid,mlp", "--seeds", "2"],
        "finetune": ["fit", str(photos), *tuned],
        "distill": ["distill", str(photos), "--teacher", MOBILENET, *student],
    }


def started(words: list[str], cache: Path, err: Path) -> subprocess.Popen:
    """The command in a session of its own, with SIGINT as a terminal leaves it."""
    environment = {**os.environ, "HEADSTART_CACHE": str(cache), "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    environment["HF_HOME"] = str(SHARED / "hub")
    with open(err, "wb") as file:
        return subprocess.Popen(
            [str(Path(sys.executable).with_name("headstart")), *words],
            env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=file, start_new_session=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        )  # fmt: skip


def result_of(folder: Path) -> str:
    """A digest of what must be equal in two runs: deltas, predictions, trained weights, scores of a comparison."""
    total = hashlib.sha256()
    for pattern in ("**/predictions.csv", "**/delta.safetensors", "backbone/*.safetensors"):
        for file in sorted(folder.glob(pattern)):
            total.update(file.relative_to(folder).as_posix().encode() + file.read_bytes())
    return total.hexdigest()[:16]


def processor_seconds(pid: int) -> float:
    """That a process has taken so far, with children that it has waited for."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rsplit(")", 1)[1].split()
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")


def interrupted(words: list[str], number: signal.Signals, delay: float, place: Path) -> dict:
    """One round: what was seen."""
    folder, cache, err = place / "run", place / "cache", place / "stderr"
    process = started([*words, "--into", str(folder)], cache, err)
    try:
        process.wait(delay)
        return {"outcome": "ended before the signal", "code": process.returncode}
    except subprocess.TimeoutExpired:
        pass
    began, taken = time.monotonic(), processor_seconds(process.pid)
    process.send_signal(number)
    while (waited := os.wait4(process.pid, os.WNOHANG))[0] == 0 and time.monotonic() - began < HANG_SECONDS:
        time.sleep(0.005)
    seconds, hang = time.monotonic() - began, waited[0] == 0
    if hang:
        process.kill()
        waited = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(waited[1])
    usage, said = waited[2], err.read_text(encoding="utf-8", errors="replace")
    journals = sorted(folder.rglob("journal.jsonl"), key=lambda file: file.stat().st_mtime)
    last = json.loads(journals[-1].read_text(encoding="utf-8").splitlines()[-1])["event"] if journals else "no run"
    session = subprocess.run(["pgrep", "-s", str(process.pid)], capture_output=True, text=True, check=False).stdout
    return {
        "outcome": "hang" if hang else "traceback" if "Traceback" in said else "ended",
        "code": process.returncode,
        "right_code": process.returncode == SIGNALS[number],
        "seconds": round(seconds, 2),
        "processor": round(usage.ru_utime + usage.ru_stime - taken, 2),
        "sentence": "Interrupted: " in said.strip().splitlines()[-1:][0] if said.strip() else False,
        "last_event": last,
        "children": len(session.split()),
        "temporaries": len(list(place.rglob(".*.tmp"))),
        "said": said[-2000:] if hang or "Traceback" in said else "",
    }


def main() -> None:
    """Prints a table, and one JSON document as the last line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=100, help="signals, in turns over the commands")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--photos", type=int, default=60)
    parser.add_argument("--rerun", type=int, default=5, help="each so-manieth is run again and compared; 0 for none")
    asked = parser.parse_args()
    from headstart.data.demo.photos import write_photos

    draw, rounds = random.Random(asked.seed), []
    with tempfile.TemporaryDirectory(prefix="interrupts") as scratch:
        photos = write_photos(Path(scratch) / "photos", asked.photos)
        right, length = {}, {}
        for name, words in jobs(photos).items():
            place = Path(scratch) / f"undisturbed-{name}"
            place.mkdir()
            began = time.monotonic()
            done = started([*words, "--into", str(place / "run")], place / "cache", place / "stderr")
            if done.wait(900):
                raise SystemExit((place / "stderr").read_text(encoding="utf-8"))
            length[name], right[name] = time.monotonic() - began, result_of(place / "run")
        for n in range(asked.count):
            name, words = list(jobs(photos).items())[n % len(right)]
            number = list(SIGNALS)[n // len(right) % 2]
            place = Path(scratch) / f"round-{n}"
            place.mkdir()
            seen = interrupted(words, number, draw.uniform(0.05, 0.95) * length[name], place)
            if asked.rerun and n % asked.rerun == 0:
                again = started([*words, "--into", str(place / "run")], place / "cache", place / "stderr")
                seen["equal"] = again.wait(900) == 0 and result_of(place / "run") == right[name]
            rounds.append({"job": name, "signal": number.name, **seen})
            print(rounds[-1], file=sys.stderr, flush=True)
    summarise(rounds)


def summarise(rounds: list[dict]) -> None:
    """The table of all rounds."""
    print("| command | signals | hangs | tracebacks | exit codes | sentence | seconds | processor | rerun equal |")
    print("|---|---|---|---|---|---|---|---|---|")
    for job in dict.fromkeys(r["job"] for r in rounds):
        hit = [r for r in rounds if r["job"] == job and "seconds" in r]
        equal = [r["equal"] for r in rounds if r["job"] == job and "equal" in r]
        outcome, cells = Counter(r["outcome"] for r in hit), [job, len(hit)]
        cells += [outcome["hang"], outcome["traceback"], f"{sum(r['right_code'] for r in hit)} right"]
        cells.append(sum(r["sentence"] for r in hit))
        for key in ("seconds", "processor"):
            cells.append(f"{median(r[key] for r in hit):.2f}, at most {max(r[key] for r in hit):.2f}" if hit else "")
        print("|", " | ".join(map(str, [*cells, f"{sum(equal)} of {len(equal)}"])), "|")
    slow = sum(r.get("processor", 0) > PROCESSOR_SECONDS for r in rounds)
    left = sum(r.get("children", 0) + r.get("temporaries", 0) for r in rounds)
    print(f"\nOver {PROCESSOR_SECONDS:.0f} s of processor: {slow}. Processes and temporary files left behind: {left}.")
    print(json.dumps(rounds))


if __name__ == "__main__":
    main()
