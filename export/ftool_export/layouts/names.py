"""Names of the graphs that optimum and transformers.js look for, and of the files of their weights."""

from typing import Final

from ftool_runtime.bundle.paths import MODEL_FILE

ENCODER_MODEL: Final = "onnx/encoder_model.onnx"
MERGED_DECODER: Final = "onnx/decoder_model_merged.onnx"
STANDARD_GRAPHS: Final = (MODEL_FILE, ENCODER_MODEL, MERGED_DECODER)


def weights_of(graph: str) -> str:
    """Return the file in which transformers.js looks for the weights of the graph in the file `graph`."""
    return f"{graph}_data"
