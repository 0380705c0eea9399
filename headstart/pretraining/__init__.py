"""Something to borrow, from unlabelled data: distillation and self-supervised pretraining."""
