"""ONNX Runtime sessions, with their devices, threads, batches, processes and memory."""
