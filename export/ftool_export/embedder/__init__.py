"""The embedder in torch: what is trained, what run/ holds, and a bundle's reference."""

from ftool_export.embedder.checkpoint import (
    LoadedEmbedder,
    create_embedder,
    load_embedder,
    save_embedder,
)
from ftool_export.embedder.examples import EmbeddingExamples, inputs_of_kind
from ftool_export.embedder.inference import compute_vectors
from ftool_export.embedder.layout import Kind
from ftool_export.embedder.network import SentenceEmbedder

__all__ = [
    "EmbeddingExamples",
    "Kind",
    "LoadedEmbedder",
    "SentenceEmbedder",
    "compute_vectors",
    "create_embedder",
    "inputs_of_kind",
    "load_embedder",
    "save_embedder",
]
