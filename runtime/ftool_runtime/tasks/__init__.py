"""The tasks that the runtime knows, by Hugging Face's names. A new one takes one file here and one row."""

from collections.abc import Mapping

from ftool_runtime.tasks.encoder_model import EncoderModel
from ftool_runtime.tasks.generator import Generator
from ftool_runtime.tasks.seq2seq import Seq2SeqGenerator
from ftool_runtime.tasks.text_classification import Classification, LabelScore, TextClassifier
from ftool_runtime.tasks.text_generation import TextGenerator

Model = EncoderModel | Generator

TASKS: Mapping[str, type[EncoderModel] | type[Generator]] = {
    "text-classification": TextClassifier,
    "summarization": Seq2SeqGenerator,
    "translation": Seq2SeqGenerator,
    "text-generation": TextGenerator,
}

__all__ = [
    "TASKS",
    "Classification",
    "EncoderModel",
    "Generator",
    "LabelScore",
    "Model",
    "Seq2SeqGenerator",
    "TextClassifier",
    "TextGenerator",
]
