"""Pictures of more than 8 bits: how much of what is stored they use, and whether all of them have as many.

Cameras put 10 or 12 bits into files of 16, and a network that reads all 16 sees black. Where one class has 16 bits and
another 8, they come from two sources, and the network may learn these.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Literal

from headstart.core.observations import PictureDepth
from headstart.core.result import Finding

watches = PictureDepth
PLAIN = ((0.0, 65535.0), (0.0, 255.0), (0.0, 1.0))  # ranges that the formats themselves suggest
LEAST_FILLED = 0.5  # of the range; less leaves open whether it was meant
MIN_EXAMPLES, MIN_SHARE, MIN_SKILL = 20, 0.01, 0.4  # of a mixture; skill as in the guard `shortcut`


def look(value: PictureDepth) -> Iterator[Finding]:
    """Says which range pictures with more than 8 bits are read in; warns where depths are mixed and tell the class."""
    if value.range is None:
        return
    yield from _range(value)
    yield from _mixture(value)


def _range(value: PictureDepth) -> Iterator[Finding]:
    (low, high), (least, most), (black, white) = value.used, value.found, value.range or (0.0, 1.0)
    filled = (high - low) / (white - black)
    beyond = most > white * 1.05 + 0.05 or least < black - 0.05 * (white - black)
    if (black, white) in PLAIN and filled >= LEAST_FILLED and not beyond:
        return
    message = f"{value.deep} of {len(value.looked)} pictures looked at have more than 8 bits and use {_short(low)} to "
    message += _short(high)
    if value.whole and black >= 0 and white < 65535:
        message += f", {(high - low) / 65535:.0%} of what 16 bits hold"
    if (least, most) != (low, high):
        message += f" ({_short(least)} to {_short(most)} with single pixels and odd pictures)"
    message += f". They are read with {_short(black)} as black and {_short(white)} as white, by predict too."
    fix = "look at the previews; if that is not meant, scale the pictures and save them in 8 bits"
    level: Literal["note", "warn"] = "warn" if filled < LEAST_FILLED or beyond else "note"
    yield Finding("depth", level, message, fix, {"range": [black, white], "used": [low, high], "found": [least, most]})


def _short(number: float) -> str:
    return f"{number:,.0f}" if number.is_integer() else f"{number:.4g}"


def _mixture(value: PictureDepth) -> Iterator[Finding]:
    n, deep = len(value.looked), value.deep
    if n < MIN_EXAMPLES or min(deep, n - deep) < max(1, MIN_SHARE * n):
        return
    both = [Counter(str(label) for label, is_deep in value.looked if is_deep is depth) for depth in (True, False)]
    total = both[0] + both[1]
    message = f"{deep} of {n} pictures looked at have more than 8 bits, the others 8."
    evidence = {"deep": deep, "n": n}
    chance, told = max(total.values()) / n, sum(max(counts.values()) for counts in both) / n
    if len(total) <= n // 2 and chance < 1 and (told - chance) / (1 - chance) >= MIN_SKILL:
        message += f" That alone tells the class of {told:.0%} (the commonest class: {chance:.0%})."
        fix = "collect all classes from the same sources; judge on data from a new source (--test)"
        yield Finding("depth", "warn", message, fix, {**evidence, "accuracy": told, "chance": chance})
    else:
        yield Finding("depth", "note", message, "save all in the same depth where they should be alike", evidence)
