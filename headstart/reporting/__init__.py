"""The page and the plots that a run leaves for people; knows a run folder on disk and nothing else of this package."""
