"""Running the torch embedder over many texts, vectors in the texts' own order."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ftool_export.checkpoints.embedder import LoadedEmbedder
from ftool_export.checkpoints.embedder_layout import Kind
from ftool_export.checkpoints.encoder_inference import run_network


def compute_vectors(
    loaded: LoadedEmbedder, texts: Sequence[str], kind: Kind | None = None
) -> NDArray[np.float32]:
    """The network's vectors, float32 (texts, width), in the order of `texts`, each behind the prompt of its kind."""
    rows = loaded.of_kind(kind).tokenize(texts)
    return run_network(loaded, rows, loaded.model.forward, loaded.model.width)
