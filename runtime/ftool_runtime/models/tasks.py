"""The tasks that the runtime knows, by Hugging Face's names. A new one takes one file here and one row."""

from collections.abc import Mapping

from ftool_runtime.models.classifier import Classification, LabelScore, Score, TextClassifier
from ftool_runtime.models.embedder import Embedder, Embedding
from ftool_runtime.models.encoder_model import EncoderModel
from ftool_runtime.models.generator import Generator
from ftool_runtime.models.reader import Answer, Candidate, Reader
from ftool_runtime.models.seq2seq_generator import Seq2SeqGenerator
from ftool_runtime.models.tagger import Entities, TokenTagger
from ftool_runtime.models.text_generator import TextGenerator

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
