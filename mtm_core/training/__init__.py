"""Training: batches, masks, loss, validation, resuming."""
