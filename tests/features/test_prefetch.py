"""Items prepared ahead come in order."""

import pytest

from headstart.features import prefetch


def test_items_made_ahead_come_in_order_and_errors_where_they_belong():
    def items():
        yield from range(5)
        raise ValueError("the sixth")

    got = []
    with pytest.raises(ValueError, match="the sixth"):
        got.extend(prefetch.prefetch(items()))
    given = prefetch.prefetch(items())
    got = [next(given) for _ in range(5)]
    assert got == list(range(5))
    given.close()
