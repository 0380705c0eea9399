"""Rows by content on disk: the store, its file format, listing and eviction."""
