"""Old import paths of what plugins of other packages import: version 0.1 had these modules at the top of the package.

A plugin that says `from headstart.result import Finding` still loads, with a DeprecationWarning that names the new
path. `import headstart` pays for this file, so it imports nothing before it is asked.
"""

import sys

MOVED_MODULES = {
    "artifact": "core.plan",
    "backbone": "core.backbone",
    "calibrate": "training.heads.temperature_scaling",
    "columns": "data.column_roles",
    "digest": "core.digest",
    "errors": "core.errors",
    "estimators": "workflows.estimators",
    "extract": "features.runner",
    "find": "core.plugins",
    "flow": "workflows.fit",
    "folds": "training.heads.cross_validation",
    "guard": "core.observations",
    "intervals": "core.statistics",
    "linear": "training.heads.linear",
    "network": "backbones.network",
    "parts": "data.split_names",
    "plan": "core.plan",
    "portable": "deployment.export.parity",
    "pretext": "pretraining.contracts",
    "raw": "data.contents",
    "result": "core.result",
    "sheet": "data.tabular",
    "task": "core.task",
}
MOVED_FAMILIES = {
    "engines": "features.engines",
    "formats": "deployment.export.formats",
    "guards": "evaluation.guards",
    "methods": "training.methods",
    "objectives": "data.objectives",
    "preprocess": "features.preprocess",
    "pretexts": "pretraining.pretexts",
    "readers": "data.readers",
}
# What the contracts name, by its old name.
NAMES = {
    "Embedded": "Extraction",
    "Glances": "ImageStats",
    "Judged": "Evaluation",
    "Learned": "TrainingOutcome",
    "Referenced": "ReferenceOverlap",
    "Row": "TableCell",
    "Running": "Extractor",
    "Said": "Outputs",
    "Surveyed": "DataSurvey",
    "Teaching": "TeacherTargets",
    "Written": "ExportResult",
    "join": "concatenate_features",
    "joined": "concatenate_rows",
    "picked": "take_rows",
    "scaled": "scale_columns",
    "scaling": "column_scaling",
    "trains": "trains_in_steps",
}


def new_path(name: str) -> str:
    """Where a module of an old name lies now, "" for any other name."""
    _, _, rest = name.partition("headstart.")
    family, _, member = rest.partition(".")
    if family in MOVED_FAMILIES:
        return f"headstart.{MOVED_FAMILIES[family]}" + (f".{member}" if member else "")
    return f"headstart.{MOVED_MODULES[rest]}" if rest in MOVED_MODULES else ""


class _Finder:
    """Finds old names, after all other finders have not."""

    @staticmethod
    def find_spec(name: str, path: object = None, target: object = None) -> object:
        if not name.startswith("headstart.") or not new_path(name):
            return None
        from importlib.machinery import ModuleSpec

        return ModuleSpec(name, _Loader(), is_package=name.count(".") == 1)  # type: ignore[arg-type]


class _Loader:
    @staticmethod
    def create_module(spec: object) -> None:
        return None

    @staticmethod
    def exec_module(module) -> None:
        import warnings
        from importlib import import_module

        to = new_path(module.__name__)
        warnings.warn(f"{module.__name__} is now {to}.", DeprecationWarning, stacklevel=6)
        module.__getattr__ = lambda name: getattr(import_module(to), str(NAMES.get(name, name)))


def install() -> None:
    """Makes old names importable."""
    if _Finder not in sys.meta_path:
        sys.meta_path.append(_Finder)  # type: ignore[arg-type]
