"""Reporting on a result.json that is damaged, and into places that cannot be written."""

import json

import numpy as np
import pytest

from headstart.core.errors import ArtifactError, DiskError
from headstart.reporting import fit_page
from tests.support.run_samples import fit_result

DAMAGED = {
    "a list": lambda raw: b"[]",
    "cut": lambda raw: raw[: len(raw) // 2],
    "deep": lambda raw: b'{"schema": 2, "task": ' + b"[" * 100_000,
    "not UTF-8": lambda raw: b"\xff" + raw,
    "empty": lambda raw: b"",
    "null bytes": lambda raw: b"\0" * 500,
    "metrics of text": lambda raw: raw.replace(b'"value": ', b'"value": "x", "was": '),
    "a task of text": lambda raw: raw.replace(b'"task": {', b'"task": "x", "was": {'),
    "findings of text": lambda raw: raw.replace(b'"findings": [', b'"findings": ["x"], "was": ['),
    "details of another shape": lambda raw: raw.replace(
        b'"details": {', b'"details": {"per_class": [1, 2], "was": 0}, "was": {'
    ),
    "calibration of another shape": lambda raw: raw.replace(
        b'"details": {', b'"details": {"reliability": 7}, "was": {'
    ),
}


@pytest.mark.parametrize("damage", DAMAGED)
def test_a_damaged_result_is_told_in_words(damage, tmp_path):
    raw = json.dumps(fit_result(wrong=0.2)).encode()
    (tmp_path / "result.json").write_bytes(DAMAGED[damage](raw))
    with pytest.raises(ArtifactError, match=r"result\.json.* Run the fit again\."):
        fit_page.report(tmp_path)
    assert not (tmp_path / "report.html").exists()


def test_a_flipped_bit_anywhere_gives_a_page_or_words(tmp_path):
    raw, draw = json.dumps(fit_result(wrong=0.2)).encode(), np.random.default_rng(0)
    for position in draw.integers(0, len(raw), 60):
        flipped = bytearray(raw)
        flipped[position] ^= 1 << int(draw.integers(8))
        (tmp_path / "result.json").write_bytes(flipped)
        try:
            fit_page.report(tmp_path)
        except ArtifactError as error:
            assert "result.json" in str(error)


def test_a_page_that_cannot_be_written_is_told_in_words(tmp_path):
    (tmp_path / "result.json").write_text(json.dumps(fit_result(wrong=0.2)), encoding="utf-8")
    (tmp_path / "report.html").mkdir()
    with pytest.raises(DiskError, match=r"report\.html"):
        fit_page.report(tmp_path)
