"""Baselines: simple models that learn from the training split in seconds."""
