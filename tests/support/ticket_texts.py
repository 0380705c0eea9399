"""The demo's tickets, and students small enough to be pretrained on them in seconds."""

import pytest

from headstart.data.demo.tickets import tickets

pytest.importorskip("torch")
pytest.importorskip("transformers")

TEXTS = [text for text, _ in tickets()]
LABELS = [label for _, label in tickets()]
TINY = {
    "student": "bert:2x64",
    "rate": 3e-3,
    "settings": {"batch_size": "8", "max_length": "32", "vocabulary_size": "500"},
}
BACK = {**TINY, "student": "gpt2:2x64"}
