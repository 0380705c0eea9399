"""One file a verb on data: fit, check, plan, compare, and the steps that they share."""
