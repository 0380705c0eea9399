"""A model as other programs run it, held against our own answers before it is written."""
