"""Readers (extractive question answering): create them on a base model, read them from any checkpoint, save them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from huggingface_hub import ModelCard
from transformers import AutoModelForQuestionAnswering

from ftool_export.checkpoints.base import read_facts
from ftool_export.checkpoints.pretrained import find_file, read_config, read_trained, read_weights
from ftool_export.checkpoints.windowed import WindowedEncoder, base_fields, trained_fields
from ftool_export.errors import CheckpointError
from ftool_export.networks.per_token import SpanReader
from ftool_export.tokenizers.windows import context_windows
from ftool_runtime.bundle.contracts import QuestionContract
from ftool_runtime.text.windows import Window

TASK = "question-answering"
DEFAULT_MAX_LENGTH = 384  # tokens, as in the SQuAD scripts, if the checkpoint does not say
DEFAULT_MAX_ANSWER_LENGTH = 30  # tokens, as in the SQuAD scripts

_UNANSWERABLE_SETS = ("squad_v2", "rajpurkar/squad_v2")  # as model cards name them


@dataclass(frozen=True, kw_only=True)
class LoadedReader(WindowedEncoder):
    """The checkpoint of a reader; `prefix` goes before every question.

    Attributes:
        max_answer_length: the most tokens of an answer.
        no_answer_threshold: see `Spans.answered`; None for a model that always answers.
    """

    task: str = TASK
    model: SpanReader
    max_answer_length: int = DEFAULT_MAX_ANSWER_LENGTH
    no_answer_threshold: float | None = None

    def windows(self, inputs: Sequence[Any]) -> list[list[Window]]:
        """Return the windows of each input, a dict of "question" and "context": the question is in each window.

        Raises InputError for a question that is too long.
        """
        questions, contexts = ([given[name] for given in inputs] for name in ("question", "context"))
        return context_windows(self, questions, contexts, self.stride)

    def manifest_fields(self) -> dict[str, Any]:
        """Return the manifest's contract: the overlap of windows, the longest answer and the no-answer threshold."""
        return {
            "labels": (),
            "questions": QuestionContract(
                stride=self.stride,
                max_answer_length=self.max_answer_length,
                no_answer_threshold=self.no_answer_threshold,
            ),
        }

    def facts(self) -> dict[str, Any]:
        """Return the facts of every windowed encoder, and those of answers."""
        return {
            **super().facts(),
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
    """Load a reader to train from a checkpoint; unless that is a reader already, its head is new.

    Args:
        base: a checkpoint folder or hub id.
        max_length: tokens of a window; capped at the checkpoint's limit.
        exact_length: whether to raise, instead of capping, if the checkpoint lacks positions for `max_length`.
        stride: tokens that two neighbouring windows share; a third of the window if None.
        max_answer_length: the most tokens of an answer; if None, 30, or fewer if the stride requires it.
        base_name: the name to record instead of `base`.

    Raises:
        CheckpointError: the checkpoint can't be read, or a length does not fit.
    """
    config = read_config(base)
    config.num_labels = 2  # a start and an end, however many labels the base had
    encoder, _ = read_weights(AutoModelForQuestionAnswering, base, config, ignore_mismatched_sizes=True)
    read = base_fields(
        base,
        encoder,
        config,
        max_length=max_length,
        exact_length=exact_length,
        stride=stride,
        base_name=base_name,
    )
    overlap = read["stride"]
    if max_answer_length is None:
        max_answer_length = min(DEFAULT_MAX_ANSWER_LENGTH, overlap + 1)
    elif max_answer_length > overlap + 1:  # no window would hold a longer answer completely
        raise CheckpointError(
            f"train.max_answer_length is {max_answer_length}, but windows that overlap by {overlap} tokens hold "
            f"answers of at most {overlap + 1}; lower it, or raise train.stride"
        )
    return LoadedReader(model=SpanReader(encoder).eval(), max_answer_length=max_answer_length, **read)


def load_reader(source: str | Path) -> LoadedReader:
    """Load the reader in a run/ folder, or in any Hugging Face model for question answering (a folder or hub id).

    Raises CheckpointError if there is no model, its weights are not in safetensors files, or it has no trained head.
    """
    source = str(source)
    config = read_config(source)
    encoder, facts = read_trained(AutoModelForQuestionAnswering, source, config, TASK), read_facts(config)
    read = trained_fields(source, encoder, config, longest=DEFAULT_MAX_LENGTH, overlaps=3)
    return LoadedReader(
        model=SpanReader(encoder).eval(),
        max_answer_length=facts.get("max_answer_length", min(DEFAULT_MAX_ANSWER_LENGTH, read["stride"] + 1)),
        no_answer_threshold=facts["no_answer_threshold"]
        if "no_answer_threshold" in facts
        else _untuned(source),
        **read,
    )


def _untuned(source: str) -> float | None:
    """Return the threshold of a checkpoint that ftool did not train: 0 if its card names SQuAD 2.0, otherwise None."""
    path = find_file(source, "README.md")
    if path is None:
        return None
    try:
        named = ModelCard.load(path, ignore_metadata_errors=True).data.datasets or []
    except ValueError:
        return None
    return 0.0 if set([named] if isinstance(named, str) else named) & set(_UNANSWERABLE_SETS) else None
