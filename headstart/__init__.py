"""Transfer learning in one line: `headstart.fit("photos/")`.

The names below are the whole public surface. They are imported on first use,
so `import headstart` costs milliseconds and never loads torch. No file may
bear a public function's name: the import system would put the module in its
place.
"""

from headstart.core import moved_modules
from headstart.core.version import __version__ as __version__

moved_modules.install()

_HOME = {
    "Answer": "headstart.deployment.predict",
    "Comparison": "headstart.workflows.compare",
    "HeadstartError": "headstart.core.errors",
    "Outcome": "headstart.workflows.fit",
    "Stopped": "headstart.core.errors",
    "TransferClassifier": "headstart.workflows.estimators",
    "TransferRegressor": "headstart.workflows.estimators",
    "card": "headstart.deployment.share",
    "compare": "headstart.workflows.compare",
    "export": "headstart.deployment.export.export",
    "fit": "headstart.workflows.fit",
    "predict": "headstart.deployment.predict",
    "pull": "headstart.deployment.share",
    "push": "headstart.deployment.share",
    "report": "headstart.reporting.fit_page",
}
__all__ = sorted(_HOME)


def __getattr__(name: str):
    if name not in _HOME:
        raise AttributeError(f"headstart has no {name!r}; it has {', '.join(__all__)}")
    from importlib import import_module

    value = getattr(import_module(_HOME[name]), name)
    globals()[name] = value  # found at once the next time
    return value


def __dir__() -> list[str]:
    return __all__
