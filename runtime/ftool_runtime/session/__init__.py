"""ONNX Runtime sessions: threads, batches, devices, processes."""
