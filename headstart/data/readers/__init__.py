"""One file a kind of source: folder, table, dataset of the hub, arrays."""
