"""Heads on embeddings, in numpy: linear and logistic solvers, cross-validation, calibration."""
