"""Training: plan, batches, splits, the run and its loop."""
