"""Loaded models: one class for each kind of answer."""
