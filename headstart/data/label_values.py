"""A label as its owner means it, whatever container it came in."""

from __future__ import annotations

import math
from decimal import Decimal

import numpy as np

from headstart.core.errors import SourceError
from headstart.data.contents import valid_text

NO_LABEL = "no label"
MISSING = ("NAType", "NaTType", "MaskedConstant")  # types of pandas' and numpy's marks for a value that is not there
LARGEST_WHOLE = 2**63


def clean_label(value: object, names: list[str] | None = None) -> object:
    """A label as its owner means it, None where there is none: a plain value, in text that can be written anywhere.

    names: of the classes that whole numbers stand for; -1 is Hugging Face's mark of a hidden label
    """
    if isinstance(value, str):
        return valid_text(value.strip()) or None
    if isinstance(value, np.generic) and value.dtype.kind not in "mM":  # times of numpy would become bare numbers
        value = value.item()
    if is_missing(value):
        return None
    if isinstance(value, str):  # of numpy
        return valid_text(value.strip()) or None
    if isinstance(value, np.ndarray | set | frozenset | dict):
        value = _listed(value)
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, list | tuple) and value and all(_is_pair(v) for v in value):
        value = _listed(dict(value))  # a map of Parquet
    if isinstance(value, list | tuple):
        return tuple(str(c) for c in (clean_label(v, names) for v in value) if c is not None)
    if names is not None and isinstance(value, int):
        return names[value] if 0 <= value < len(names) else None
    # A whole number that no float holds is a name: the digits of a hash.
    return str(value) if isinstance(value, int) and abs(value) > LARGEST_WHOLE else value


def _listed(value: object) -> list:
    """Labels that came in another container: the ones of {"red": 1, "round": 0} are its names."""
    if isinstance(value, dict):
        wrong = next((v for v in value.values() if v not in (0, 1, None)), None)
        if wrong is not None:
            raise SourceError(f"A label is {str(value)[:80]}: 1 for each tag that is there and 0 or nothing else.")
        return [name for name, there in value.items() if there]
    return value.tolist() if isinstance(value, np.ndarray) else sorted(map(str, value))  # type: ignore[call-overload]


def _is_pair(value: object) -> bool:
    return isinstance(value, tuple) and len(value) == 2 and isinstance(value[0], str) and not isinstance(value[1], str)


def is_missing(value: object) -> bool:
    """Whether a value stands for one that is not there: None, NaN, or a library's own mark."""
    if isinstance(value, str):
        return False
    if value is None or type(value).__name__ in MISSING:
        return True
    return isinstance(value, float | np.floating) and not math.isfinite(value)
