"""Capture PyTorch networks as ONNX graphs, with fused operators for attention, positions and caches."""
