"""Convert, optimise and quantise checkpoints to verified ONNX bundles."""
