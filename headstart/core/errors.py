"""Every error this package raises on purpose: messages say what was seen, what was expected, what to type."""

from __future__ import annotations

from importlib import import_module
from typing import Any


class HeadstartError(Exception):
    """An error the user can act on. Carries one string only, so it survives pickling between processes."""


class SourceError(HeadstartError):
    """The data cannot be read as asked."""


class Unreadable(SourceError):
    """One example cannot be decoded: it is set aside and the run goes on. The message is the reason alone."""


class NameNotFound(HeadstartError):
    """No member of that family has that name."""


class PluginError(HeadstartError):
    """A member of another package cannot be imported."""


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


class DiskError(HeadstartError):
    """A disk did not give or take what was asked of it: full, read-only, forbidden, failing."""


class HubError(HeadstartError):
    """The hub did not take or give what was asked for."""


class Stopped(HeadstartError):
    """A guard found a silent bug, and the run ended before it could mislead."""


def import_extra(library: str, extra: str, purpose: str) -> Any:
    """A module of a library that one of our extras installs. Raises MissingExtra as `missing_extra` words it."""
    try:
        return import_module(library)
    except ImportError as error:
        raise missing_extra(library, extra, purpose) from error


def missing_extra(library: str, extra: str, purpose: str) -> MissingExtra:
    """The error for a library that is not installed: who needs it and the line that installs it."""
    return MissingExtra(
        f"{purpose} needs {library}, which is not installed. Install it with: pip install 'headstart[{extra}]'"
    )
