"""Training above a cut, in torch: learner, optimizer, loop, early stopping, adapters."""
