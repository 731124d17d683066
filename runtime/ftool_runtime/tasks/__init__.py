"""The tasks that the runtime knows, by Hugging Face's names. A new one takes one file here and one row."""

from collections.abc import Mapping

from ftool_runtime.tasks.encoder_model import EncoderModel
from ftool_runtime.tasks.feature_extraction import Embedder, Embedding
from ftool_runtime.tasks.generator import Generator
from ftool_runtime.tasks.question_answering import Answer, Candidate, Reader
from ftool_runtime.tasks.seq2seq import Seq2SeqGenerator
from ftool_runtime.tasks.text_classification import (
    Classification,
    LabelScore,
    Score,
    TextClassifier,
)
from ftool_runtime.tasks.text_generation import TextGenerator
from ftool_runtime.tasks.token_classification import Entities, TokenTagger

Model = EncoderModel | Generator

TASKS: Mapping[str, type[EncoderModel] | type[Generator]] = {
    "text-classification": TextClassifier,
    "token-classification": TokenTagger,
    "question-answering": Reader,
    "feature-extraction": Embedder,
    "summarization": Seq2SeqGenerator,
    "translation": Seq2SeqGenerator,
    "text-generation": TextGenerator,
}

__all__ = [
    "TASKS",
    "Answer",
    "Candidate",
    "Classification",
    "Embedder",
    "Embedding",
    "EncoderModel",
    "Entities",
    "Generator",
    "LabelScore",
    "Model",
    "Reader",
    "Score",
    "Seq2SeqGenerator",
    "TextClassifier",
    "TextGenerator",
    "TokenTagger",
]
