"""What a task leaves for others: model folder, delta, witness, predictions, exports."""
