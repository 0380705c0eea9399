"""One file a kind of label: classes, tags, number; loss, metrics and intervals of each."""
