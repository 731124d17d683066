"""Teach a classifier on the device: new examples and new labels, in numpy, beside a bundle that stays as it is."""
