"""Transfer learning in one line: `headstart.fit("photos/")`.

The names below are the whole public surface. They are imported on first use,
so `import headstart` costs milliseconds and never loads torch. No file may
bear a public function's name: the import system would put the module in its
place.
"""

__version__ = "0.1.0"

_HOME = {
    "Answer": "headstart.answer",
    "Comparison": "headstart.comparing",
    "HeadstartError": "headstart.errors",
    "Outcome": "headstart.flow",
    "Stopped": "headstart.errors",
    "TransferClassifier": "headstart.estimators",
    "TransferRegressor": "headstart.estimators",
    "card": "headstart.carding",
    "compare": "headstart.comparing",
    "export": "headstart.shipping",
    "fit": "headstart.flow",
    "predict": "headstart.flow",
    "pull": "headstart.sharing",
    "push": "headstart.sharing",
    "report": "headstart.flow",
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
