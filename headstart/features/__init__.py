"""Bytes become rows: decoding, the forward pass of the frozen part, and the cache of what it gives."""


def __getattr__(name: str):
    # `headstart.features` was a module until it became this package: plugins import `Features` from it.
    if name.startswith("_"):
        raise AttributeError(name)
    import warnings
    from importlib import import_module

    from headstart.core.moved_modules import NAMES

    try:
        value = getattr(import_module("headstart.core.features"), NAMES.get(name, name))
    except AttributeError as error:
        raise AttributeError(f"headstart.features has no {name!r}") from error
    warnings.warn(f"headstart.features.{name} is now headstart.core.features.{name}.", DeprecationWarning, stacklevel=2)
    return value
