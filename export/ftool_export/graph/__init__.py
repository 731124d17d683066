"""Checks and measurements of ONNX graphs during an export."""
