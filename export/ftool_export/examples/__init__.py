"""Inputs of each task with the metric that judges them."""
