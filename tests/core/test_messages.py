"""Words that messages share."""

import pytest

from headstart.core.messages import describe_delta_size


@pytest.mark.parametrize(
    ("stored", "full", "words"),
    [
        (31_000, 9_000_000, "290 times smaller than the model"),
        (1_000, 91_000_000, "91,000 times smaller than the model"),
        (1_000, 4_230, "4.2 times smaller than the model"),
        (1_000, 99_600, "100 times smaller than the model"),
        (1_000, 1_000, "as large as the model"),
        (9_000, 1_000, "larger than the model"),
        (9_000, 0, ""),
    ],
)
def test_how_small_it_is_is_said_in_words(stored, full, words):
    assert describe_delta_size(stored, full) == words
