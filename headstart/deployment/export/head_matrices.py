"""The head of a fitted method as plain matrices, for the formats."""

from __future__ import annotations

from headstart.core.errors import PlanError
from headstart.core.head import Head
from headstart.core.plan import Exportable, Fitted, winner_of
from headstart.core.plugins import name_of
from headstart.training.methods.knn import Neighbours


def head_of(fitted: Fitted) -> Head | Neighbours:
    """The head of what a method fitted. Raises PlanError for one that has no form as matrices."""
    learned = winner_of(fitted)
    if isinstance(learned, Exportable):
        return learned.head()
    raise PlanError(
        f"What {name_of(learned)} learned has no form as plain matrices: it cannot be exported. A method of your own "
        "can be, once what its fit returns has a method head() that gives a headstart.core.head.Head."
    )
