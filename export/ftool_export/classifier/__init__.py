"""The classifier in torch: what is trained, what run/ holds, and a bundle's reference."""

from ftool_export.classifier.checkpoint import (
    LoadedClassifier,
    create_classifier,
    load_classifier,
    save_classifier,
)
from ftool_export.classifier.examples import ClassificationExamples
from ftool_export.classifier.inference import compute_features, compute_logits, count_truncated
from ftool_export.classifier.network import SequenceClassifier
from ftool_export.errors import CheckpointError

__all__ = [
    "CheckpointError",
    "ClassificationExamples",
    "LoadedClassifier",
    "SequenceClassifier",
    "compute_features",
    "compute_logits",
    "count_truncated",
    "create_classifier",
    "load_classifier",
    "save_classifier",
]
