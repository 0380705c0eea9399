"""Near-duplicates among images and texts, found without comparing all pairs."""
