"""Training above a cut: learner, optimizer, loop, early stopping, adapters. Methods import these late, with torch."""
