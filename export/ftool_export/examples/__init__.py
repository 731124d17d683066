"""Inputs of each kind of task with the metric by which models are compared on them."""
