"""Readers: created on a base model, written to run/, and read from any checkpoint."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from huggingface_hub import ModelCard
from transformers import AutoModelForQuestionAnswering

from ftool_export.checkpoints.base import (
    longest_input,
    origin,
    read_facts,
    trained_length,
    window_stride,
)
from ftool_export.checkpoints.encoder import LoadedEncoder
from ftool_export.checkpoints.pretrained import (
    find_file,
    read_config,
    read_licence,
    read_weights,
)
from ftool_export.errors import CheckpointError
from ftool_export.networks.per_token import SpanReader
from ftool_export.tokenizers.source import read_tokenizer
from ftool_export.tokenizers.windows import context_windows, longest_question, question_lengths
from ftool_runtime.bundle.contracts import QuestionContract
from ftool_runtime.text.encode import Tokens
from ftool_runtime.text.windows import Window

DEFAULT_MAX_LENGTH = 384  # tokens, as in the SQuAD scripts, if the checkpoint does not say
DEFAULT_MAX_ANSWER_LENGTH = 30  # tokens, also theirs

_UNANSWERABLE_SETS = ("squad_v2", "rajpurkar/squad_v2")  # as model cards name them


@dataclass(frozen=True, kw_only=True)
class LoadedReader(LoadedEncoder):
    """A reader's checkpoint; `prefix` goes before every question.

    Attributes:
        stride: tokens that two windows of a context share.
        max_answer_length: tokens of an answer at most.
        no_answer_threshold: see `Spans.answered`; None for a model that always answers.
    """

    task: str = "question-answering"
    model: SpanReader
    stride: int
    max_answer_length: int = DEFAULT_MAX_ANSWER_LENGTH
    no_answer_threshold: float | None = None

    def windows(self, questions: Sequence[str], contexts: Sequence[str]) -> list[list[Window]]:
        """The windows of each context beside its question. Raises InputError for a question that is too long."""
        return context_windows(self, questions, contexts, self.stride)

    @property
    def longest_question(self) -> int:
        """The most tokens of a question, special ones left out."""
        return longest_question(self, self.stride)

    def question_lengths(self, questions: Sequence[str]) -> list[int]:
        """The tokens of each question, the prefix included and special ones left out."""
        return question_lengths(self, questions)

    def rows(self, inputs: Sequence[Any]) -> list[list[Tokens]]:
        """The tokens of the windows of each input, a dict of "question" and "context"."""
        questions, contexts = ([given[name] for given in inputs] for name in ("question", "context"))
        return [[window.tokens for window in windows] for windows in self.windows(questions, contexts)]

    def manifest_fields(self) -> dict[str, Any]:
        """The contract of its answers: overlap of windows, longest answer, and the threshold of having none."""
        return {
            "labels": (),
            "questions": QuestionContract(
                stride=self.stride,
                max_answer_length=self.max_answer_length,
                no_answer_threshold=self.no_answer_threshold,
            ),
        }

    def facts(self) -> dict[str, Any]:
        """The facts of every checkpoint, and those of the contract."""
        return {
            **super().facts(),
            "stride": self.stride,
            "max_answer_length": self.max_answer_length,
            "no_answer_threshold": self.no_answer_threshold,
        }


def create_reader(
    base: str,
    *,
    max_length: int = DEFAULT_MAX_LENGTH,
    exact_length: bool = False,
    stride: int | None = None,
    max_answer_length: int | None = None,
    base_name: str | None = None,
) -> LoadedReader:
    """A reader on the encoder in `base`, a checkpoint folder or hub id; if that is not a reader its head is new.

    `max_length` is capped at what the checkpoint can take, or with `exact_length` refused past its positions. `stride`
    is a third of it if None; `max_answer_length` is 30 if None, or as many as the stride can hold. `base_name` is
    recorded in place of `base`. Raises CheckpointError.
    """
    config = read_config(base)
    config.num_labels = 2  # a start and an end, however many labels the base had
    encoder, _ = read_weights(AutoModelForQuestionAnswering, base, config, ignore_mismatched_sizes=True)
    tokenizer = read_tokenizer(base, config)
    longest = trained_length(base, encoder, tokenizer, max_length, exact=exact_length)
    overlap = window_stride(stride, longest)
    if max_answer_length is None:
        max_answer_length = min(DEFAULT_MAX_ANSWER_LENGTH, overlap + 1)
    elif max_answer_length > overlap + 1:  # longer ones are lost between windows
        raise CheckpointError(
            f"train.max_answer_length is {max_answer_length}, and windows that overlap by {overlap} tokens hold "
            f"answers of {overlap + 1} at most; lower it, or raise train.stride"
        )
    return LoadedReader(
        model=SpanReader(encoder).eval(),
        tokenizer=tokenizer,
        max_length=longest,
        stride=overlap,
        max_answer_length=max_answer_length,
        base=base_name or base,
        licence=read_licence(base),
    )


def load_reader(source: str | Path) -> LoadedReader:
    """The reader in a run/ folder or in any Hugging Face model for question answering, a folder or a hub id.

    Raises CheckpointError if there is none, its weights are not safetensors, or it has no trained head.
    """
    source = str(source)
    config = read_config(source)
    encoder, fresh = read_weights(AutoModelForQuestionAnswering, source, config)
    if fresh:
        raise CheckpointError(
            f"{source} has no trained head for question answering ({', '.join(fresh[:3])} missing); "
            "train one on it: ftool train FOLDER --task question-answering --base …"
        )
    tokenizer = read_tokenizer(source, config)
    facts = read_facts(config)
    max_length = facts.get("max_length") or min(DEFAULT_MAX_LENGTH, longest_input(encoder, tokenizer))
    stride = facts.get("stride", max_length // 3)
    threshold = facts["no_answer_threshold"] if "no_answer_threshold" in facts else _untuned(source)
    return LoadedReader(
        model=SpanReader(encoder).eval(),
        tokenizer=tokenizer,
        max_length=max_length,
        stride=stride,
        max_answer_length=facts.get("max_answer_length", min(DEFAULT_MAX_ANSWER_LENGTH, stride + 1)),
        no_answer_threshold=threshold,
        prefix=facts.get("prefix", ""),
        **origin(facts, source),
    )


def _untuned(source: str) -> float | None:
    """The threshold of a checkpoint that ftool did not train: 0 if its card names SQuAD 2.0, otherwise none."""
    path = find_file(source, "README.md")
    if path is None:
        return None
    try:
        named = ModelCard.load(path, ignore_metadata_errors=True).data.datasets or []
    except ValueError:
        return None
    return 0.0 if set([named] if isinstance(named, str) else named) & set(_UNANSWERABLE_SETS) else None
