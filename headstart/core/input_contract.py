"""What a task was learned from, as its model remembers it: how a value of a source becomes an input."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from headstart.core.card_schema import IDENTIFIER, pixel_range
from headstart.core.schema import Rule, items, one_of, record, text, whole

FORMS = ("text", "path", "bytes", "base64", "vector")
CONTAINERS = ("folder", "tables", "table", "frame", "memory", "hub", "")
TABLE = "{table}"  # a base that is called like the table: train/ beside train.csv
MAX_COLUMNS = 1 << 17  # of a frame of features


@dataclass(frozen=True, slots=True, kw_only=True)
class InputContract:
    """How the examples were read, so that what is asked later is read alike.

    kind:      "image", "text", "vector"
    container: what the source was: a folder of files, a folder of tables, one table, a frame, arrays in memory, the hub
    form:      what a value of the source is: a text, the path of a file, the bytes of one, those in base64, numbers
    columns:   of a table or frame that an input is made of; several texts are joined, numbers are features in order
    base:      the folder beside a table that paths are relative to; "" is the table's own, TABLE one that is called so
    suffixes:  what is appended to an id to make it a file's name, the commonest first; () where paths are whole
    label:     the column of labels, "" where they are in none
    label_type: "number", "classes", "tags": the objective's name
    decimal, thousands, unit: how the label's numbers were written; "" where they were plain
    encoding:  of text that is no UTF-8.  encoding_named: the user said so, and it goes for every text
    keep:      names of files and folders that are read though they look hidden or like a system's own
    depth:     of pictures: the most bits a channel is stored in, 8 or more; 0 where nobody looked
    range:     (black, white) of those with more than 8 bits, in the numbers that are stored
    """

    kind: str
    container: str = ""
    form: str = ""
    columns: tuple[str, ...] = ()
    base: str = ""
    suffixes: tuple[str, ...] = ()
    label: str = ""
    label_type: str = ""
    decimal: str = ""
    thousands: str = ""
    unit: str = ""
    encoding: str = ""
    encoding_named: bool = False
    keep: tuple[str, ...] = ()
    depth: int = 0
    range: tuple[float, ...] = ()

    @property
    def column(self) -> str:
        """The input column as one types it after --input."""
        return ",".join(self.columns)

    def facts(self) -> dict[str, Any]:
        """JSON for `restore`: what is not empty."""
        return {name: list(v) if isinstance(v, tuple) else v for name, v in asdict(self).items() if v}


_word = text(4096)
CONTRACT_RULE: Rule = record(
    {"kind": IDENTIFIER},
    {
        "container": one_of(*CONTAINERS),
        "form": one_of(*FORMS),
        "columns": items(text(100_000), MAX_COLUMNS),
        "keep": items(text(255), 100),
        "suffixes": items(text(16, r"\.[\w.+-]+"), 100),
        "base": text(255, r"(?!\.\.?$)[^/\\\\\x00]*"),
        **dict.fromkeys(("label", "encoding", "unit"), _word),
        "label_type": IDENTIFIER,
        "encoding_named": one_of(True, False),
        **dict.fromkeys(("decimal", "thousands"), text(1)),
        "depth": whole(0, 64),
        "range": pixel_range,
    },
    others=True,
)


def restore(facts: Mapping[str, Any] | None, kind: str) -> InputContract:
    """The contract of a card; of one that has none, the kind alone. facts: checked by CONTRACT_RULE"""
    known = {f.name for f in fields(InputContract)}
    values: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in (facts or {}).items() if k in known}
    return InputContract(**{**values, "kind": kind})
