"""Train a classifier's head on the frozen encoder's features."""
