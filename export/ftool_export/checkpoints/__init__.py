"""Hugging Face checkpoints, read and written: one file for each kind of model."""
