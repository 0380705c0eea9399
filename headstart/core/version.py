"""The version, which model cards, journals and exports state."""

__version__ = "0.1.0"
