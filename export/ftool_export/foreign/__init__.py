"""ONNX graphs that other tools exported: read them, give them a bundle's inputs and outputs, and judge them."""
