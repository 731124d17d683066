"""A reader with all it needs: made from a base model, written to run/, read from any checkpoint."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from huggingface_hub import ModelCard
from transformers import AutoModelForQuestionAnswering

from ftool_export.checkpoints.encoder import LoadedEncoder
from ftool_export.checkpoints.max_length import longest_input
from ftool_export.checkpoints.pretrained import (
    find_file,
    read_config,
    read_licence,
    read_tokenizer,
    read_weights,
)
from ftool_export.checkpoints.run_facts import origin, read_facts, save_encoder
from ftool_export.errors import CheckpointError
from ftool_export.networks.reader import SpanReader
from ftool_export.tokenizers.reader_windows import make_windows
from ftool_runtime.bundle.contracts import QuestionContract
from ftool_runtime.text.encode import Tokens

DEFAULT_MAX_LENGTH = 384  # of a checkpoint that does not say, as in the SQuAD scripts
DEFAULT_MAX_ANSWER_LENGTH = 30  # likewise

_UNANSWERABLE_SETS = ("squad_v2", "rajpurkar/squad_v2")  # as model cards name them


@dataclass(frozen=True, kw_only=True)
class LoadedReader(LoadedEncoder):
    """A reader in evaluation mode with its tokenizer and what else run/ records; `prefix` goes before every question.

    Attributes:
        stride: tokens that two windows of a context share.
        max_answer_length: tokens of an answer at most.
        no_answer_threshold: see `Spans.answered`; None for a model that always answers.
    """

    model: SpanReader
    stride: int
    max_answer_length: int = DEFAULT_MAX_ANSWER_LENGTH
    no_answer_threshold: float | None = None

    def rows(self, inputs: Sequence[Any]) -> list[list[Tokens]]:
        """The windows of each input's context beside its question: dicts of "question" and "context"."""
        questions, contexts = ([given[name] for given in inputs] for name in ("question", "context"))
        return [[window.tokens for window in windows] for windows in make_windows(self, questions, contexts)]

    def manifest_fields(self) -> dict[str, Any]:
        """How windows overlap, how long an answer may be, and when there is none."""
        return {
            "labels": (),
            "questions": QuestionContract(
                stride=self.stride,
                max_answer_length=self.max_answer_length,
                no_answer_threshold=self.no_answer_threshold,
            ),
        }


def create_reader(
    base: str,
    *,
    max_length: int = DEFAULT_MAX_LENGTH,
    stride: int | None = None,
    max_answer_length: int = DEFAULT_MAX_ANSWER_LENGTH,
    base_name: str | None = None,
) -> LoadedReader:
    """A reader on the encoder in `base`, a checkpoint folder or hub id; where that is no reader its head is new.

    `max_length` is capped at what the checkpoint can take; `stride` is then a third of that; `base_name` is recorded in
    place of `base`. Raises CheckpointError.
    """
    config = read_config(base)
    config.num_labels = 2  # a start and an end, however many labels the base had
    encoder, _ = read_weights(AutoModelForQuestionAnswering, base, config, ignore_mismatched_sizes=True)
    tokenizer = read_tokenizer(base, config)
    longest = min(max_length, longest_input(encoder, tokenizer))
    overlap = longest // 3 if stride is None or longest < max_length else stride
    return LoadedReader(
        model=SpanReader(encoder).eval(),
        tokenizer=tokenizer,
        max_length=longest,
        stride=overlap,
        max_answer_length=min(max_answer_length, overlap + 1),  # longer ones are lost between windows
        base=base_name or base,
        licence=read_licence(base),
    )


def load_reader(source: str | Path) -> LoadedReader:
    """The reader in a run/ folder or in any Hugging Face model for question answering, a folder or a hub id.

    Raises CheckpointError where there is none, its weights are not safetensors, or it has no trained head.
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


def save_reader(loaded: LoadedReader, folder: Path) -> None:
    """Write `loaded` into the existing, empty `folder`, so that AutoModelForQuestionAnswering loads it.

    `config.json` holds what Hugging Face has no field for under "ftool".
    """
    save_encoder(
        loaded,
        folder,
        task="question-answering",
        stride=loaded.stride,
        max_answer_length=loaded.max_answer_length,
        no_answer_threshold=loaded.no_answer_threshold,
    )


def _untuned(source: str) -> float | None:
    """The threshold of a checkpoint that ftool did not train: none, but 0 where its card names SQuAD 2.0."""
    path = find_file(source, "README.md")
    if path is None:
        return None
    try:
        named = ModelCard.load(path, ignore_metadata_errors=True).data.datasets or []
    except ValueError:
        return None
    return 0.0 if set([named] if isinstance(named, str) else named) & set(_UNANSWERABLE_SETS) else None
