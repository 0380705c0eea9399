"""One file a method: its settings, where it cuts, how it fits, how it is restored."""
