"""The tasks that the runtime knows, by Hugging Face's names. A new one takes one file here and one row."""

from collections.abc import Mapping

from ftool_runtime.tasks.generator import Generator
from ftool_runtime.tasks.seq2seq import Seq2SeqGenerator
from ftool_runtime.tasks.text_classification import Classification, LabelScore, TextClassifier
from ftool_runtime.tasks.text_generation import TextGenerator

Model = TextClassifier | Seq2SeqGenerator | TextGenerator

TASKS: Mapping[str, type[Model]] = {
    "text-classification": TextClassifier,
    "summarization": Seq2SeqGenerator,
    "translation": Seq2SeqGenerator,
    "text-generation": TextGenerator,
}

__all__ = [
    "TASKS",
    "Classification",
    "Generator",
    "LabelScore",
    "Model",
    "Seq2SeqGenerator",
    "TextClassifier",
    "TextGenerator",
]
