"""PyTorch networks of the encoder tasks: an encoder with a task's own layers."""
