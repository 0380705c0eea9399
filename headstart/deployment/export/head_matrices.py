"""The head of whatever a method fitted, for the formats."""

from __future__ import annotations

from headstart.core.errors import PlanError
from headstart.core.head import Head
from headstart.core.plan import Exportable, Fitted, learned
from headstart.core.plugins import name_of
from headstart.training.methods.knn import Neighbours


def head_of(fitted: Fitted) -> Head | Neighbours:
    """The head of whatever a method gave. Raises PlanError for one that has no form as matrices."""
    some = learned(fitted)
    if isinstance(some, Exportable):
        return some.head()
    raise PlanError(
        f"What {name_of(some)} learned has no form as plain matrices: it cannot be exported. A method of your own can "
        "be, once what its fit returns has a method head() that gives a headstart.head.Head."
    )
