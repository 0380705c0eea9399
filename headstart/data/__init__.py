"""A source becomes a task: readers list the examples, objectives say what labels mean, the split is drawn."""
