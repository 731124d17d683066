"""Runs ftool bundles with onnxruntime, numpy and tokenizers alone."""

__version__ = "0.1.0"
