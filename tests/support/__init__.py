"""What several test modules build or look for."""
