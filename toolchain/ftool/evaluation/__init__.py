"""Metrics of trained models, with confidence intervals and slices."""
