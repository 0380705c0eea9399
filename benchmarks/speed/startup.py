"""From pressing return to the end: help, a fit whose features are cached, and one answer of a saved model.

    python -m benchmarks.speed.startup [--quick]

Whole processes in turns, each beside what another library needs to get as far: the import of torch, or a process that
opens timm's network and embeds one photo. Which heavy libraries ours woke is looked up in sys.modules at its end.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from statistics import median

from benchmarks.speed.harness import (
    MOBILENET,
    both,
    data,
    facts,
    fresh,
    headstart,
    minilm,
    parser,
    process,
    repeats,
    report,
    tried,
    turns,
)

HEAVY = ("torch", "timm", "transformers", "openvino", "onnxruntime", "PIL", "scipy", "sklearn", "pandas")
PROBE = """
import sys
sys.argv = ["headstart", *sys.argv[1:]]
from headstart.cli.app import run
run()
print("\\nWOKE", *(name for name in {heavy!r} if name in sys.modules))
"""
ONE_PHOTO = """
import sys, timm, torch
from PIL import Image
model = timm.create_model(sys.argv[1], pretrained=True, num_classes=0).eval()
transform = timm.data.create_transform(**timm.data.resolve_model_data_config(model))
with torch.inference_mode():
    print(model(transform(Image.open(sys.argv[2]).convert("RGB"))[None]).sum())
"""
ONE_TEXT = """
import sys, torch
from transformers import AutoModel, AutoTokenizer
model, words = AutoModel.from_pretrained(sys.argv[1]).eval(), AutoTokenizer.from_pretrained(sys.argv[1])
with torch.inference_mode():
    print(model(**words("where is my parcel?", return_tensors="pt")).last_hidden_state.sum())
"""


def woken(line: list[object], cache: Path) -> str:
    """Which heavy libraries a command woke."""
    done = process([sys.executable, "-c", PROBE.format(heavy=HEAVY), *line], cache)
    names = done.out.strip().splitlines()[-1].split()[1:]
    return f"woke {', '.join(names)}" if names else "woke none of the heavy libraries"


def against(what: str, line: list[object], other: list[object], cache: Path, times: int, **more) -> list[dict]:
    """One row: our command, and another process that gets as far."""
    beside = woken(line, cache)
    found = turns({"ours": lambda: process([headstart(), *line], cache), "theirs": lambda: process(other)}, times)
    made = both(what, found["ours"], found["theirs"], beside=beside, n=1, **more)
    return [
        {**made, "kind": "seconds", "ratio": made["found"], "found": median(done.seconds for done in found["ours"])}
    ]


def prepared(source: object, cache: Path, into: Path, backbone: str, *more: object) -> None:
    """A saved model, all that may be kept of it kept."""
    process([headstart(), "fit", source, "--backbone", backbone, "--into", into, "--quiet", *more], cache)


def main() -> None:
    """Prints one JSON document."""
    asked = parser(__doc__).parse_args()
    before, times = facts("torch", "timm", "transformers", "openvino", "onnxruntime"), 2 * repeats(asked) + 1
    rows: list[dict] = []
    python = [sys.executable, "-c"]
    with tempfile.TemporaryDirectory() as place:
        work = Path(place)
        cache = fresh(work / "cache")
        torch = [*python, "import torch"]
        rows += tried(
            "headstart --help",
            lambda: against("headstart --help", ["--help"], torch, cache, times, most=0.15, against="import torch"),
        )

        def warm() -> list[dict]:
            source = data("hymenoptera")
            prepared(source, cache, work / "mobilenet", f"timm:{MOBILENET}")
            line = ["fit", source, "--backbone", f"timm:{MOBILENET}", "--into", work / "again", "--quiet"]
            other = [*python, "import torch, timm, sklearn.linear_model"]
            what = "fit again, features cached: hymenoptera, MobileNetV2"
            return against(what, line, other, cache, times, most=1.0, against="import torch, timm, sklearn")

        def photo(name: str, backbone: str) -> list[dict]:
            source = data("hymenoptera")
            if not (work / name).is_dir():
                prepared(source, cache, work / name, backbone)
            one = sorted((source / "val" / "bees").iterdir())[0]
            other = [*python, ONE_PHOTO, MOBILENET, one]
            words = "timm MobileNetV2, one photo embedded"
            return against(
                f"predict one photo, {name}",
                ["predict", work / name, one],
                other,
                cache,
                times,
                most=1.0,
                against=words,
            )

        def text() -> list[dict]:
            source = data("text_trec6")
            prepared(source, cache, work / "own text", "own", "--label", "label_name", "--input", "text")
            other = [*python, ONE_TEXT, minilm().partition(":")[2]]
            line = ["predict", work / "own text", "where is my parcel?"]
            words = "transformers MiniLM, one text embedded"
            return against("predict one text, own:text-static", line, other, cache, times, most=1.0, against=words)

        rows += tried("fit again, features cached", warm)
        rows += tried("predict one photo, vision-small", lambda: photo("vision-small", "own:vision-small"))
        rows += tried("predict one text", text)
        rows += tried("predict one photo, mobilenet", lambda: photo("mobilenet", f"timm:{MOBILENET}"))
    report("startup", asked, before, rows)


if __name__ == "__main__":
    main()
