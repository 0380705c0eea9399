"""Every error this package raises on purpose.

HeadstartError            the user can act on it; the message says what was seen, what was expected, what to type
  x SourceError           the data cannot be read as asked
    x Unreadable          one example cannot be decoded; it is set aside and the run goes on
  x NameNotFound          no member of that family has that name
  x PlanError             the plan asks for what this backbone or method cannot do
  x MissingExtra          a library is needed that the light install does not bring
  x WeightsNotFound       weights are neither cached here nor reachable
  x CacheError            stored features are not the ones asked for
  x ArtifactError         a saved model cannot be trusted as it lies
  x HubError              the hub did not take or give what was asked for
  x Stopped               a guard found a silent bug
"""

from __future__ import annotations


class HeadstartError(Exception):
    """Carries one string only, so it survives pickling between processes."""


class SourceError(HeadstartError):
    """The data cannot be read as asked."""


class Unreadable(SourceError):
    """One example cannot be decoded; the message is the reason alone, as the report lists it."""


class NameNotFound(HeadstartError):
    """No member of that family has that name."""


class PlanError(HeadstartError):
    """The plan asks for what this backbone or method cannot do."""


class MissingExtra(HeadstartError):
    """A library is needed that the light install does not bring."""


class WeightsNotFound(HeadstartError):
    """Weights are neither cached here nor reachable."""


class CacheError(HeadstartError):
    """Stored features are not the ones asked for."""


class ArtifactError(HeadstartError):
    """A saved model cannot be trusted as it lies."""


class HubError(HeadstartError):
    """The hub did not take or give what was asked for."""


class Stopped(HeadstartError):
    """A guard found a silent bug, and the run ended before it could mislead."""


def missing_extra(library: str, extra: str, purpose: str) -> MissingExtra:
    """The error for a library that is not installed: who needs it and the line that installs it."""
    return MissingExtra(
        f"{purpose} needs {library}, which is not installed. Install it with: pip install 'headstart[{extra}]'"
    )
