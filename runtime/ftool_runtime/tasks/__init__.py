"""The tasks that the runtime knows, by Hugging Face's names. A new one takes one file here and one row."""

from collections.abc import Mapping

from ftool_runtime.tasks.text_classification import Classification, LabelScore, TextClassifier

TASKS: Mapping[str, type[TextClassifier]] = {
    "text-classification": TextClassifier,
}

__all__ = ["TASKS", "Classification", "LabelScore", "TextClassifier"]
