"""ONNX Runtime sessions: devices, threads, batches, processes, memory."""
