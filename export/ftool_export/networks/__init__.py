"""PyTorch networks of the tasks for encoders: an encoder with the layers of a task."""
