"""Readers (extractive question answering): create them on a base model, read them from any checkpoint, save them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transformers import AutoModelForQuestionAnswering

from ftool_export.checkpoints.base import read_facts
from ftool_export.checkpoints.pretrained import read_card, read_config, require_task
from ftool_export.checkpoints.weights import read_trained, read_weights
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
    """The checkpoint of a reader; `prefix` is put before every question.

    Attributes:
        max_answer_length: the largest number of tokens of an answer.
        no_answer_threshold: how much higher than the best span "no answer" may score, so that the span is still given
            as the answer; None for a model that always answers.
    """

    task: str = TASK
    model: SpanReader
    max_answer_length: int = DEFAULT_MAX_ANSWER_LENGTH
    no_answer_threshold: float | None = None

    @property
    def has_tuned_numbers(self) -> bool:
        """Whether "no answer" has a threshold."""
        return self.no_answer_threshold is not None

    def windows(self, inputs: Sequence[Any]) -> list[list[Window]]:
        """Return the windows of each input, a dict of "question" and "context".

        Each window contains the whole question. Raises InputError for a question that leaves too little room for the
        context.
        """
        questions, contexts = ([given[name] for given in inputs] for name in ("question", "context"))
        return context_windows(self, questions, contexts, self.stride)

    def manifest_fields(self) -> dict[str, Any]:
        """Return the manifest's contract for answers: overlap of windows, longest answer and no-answer threshold."""
        return {
            "labels": (),
            "questions": QuestionContract(
                stride=self.stride,
                max_answer_length=self.max_answer_length,
                no_answer_threshold=self.no_answer_threshold,
            ),
        }

    def facts(self) -> dict[str, Any]:
        """Return the facts in `WindowedEncoder.facts`, and the longest answer and the no-answer threshold."""
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
    """Create a reader to train from a checkpoint. The reader's head is new unless the checkpoint is already a reader.

    Args:
        base: a checkpoint folder or hub id.
        max_length: the largest number of tokens of a window, capped at the checkpoint's limit.
        exact_length: whether to raise CheckpointError, instead of capping, if `max_length` exceeds the position table.
        stride: the number of tokens that two neighbouring windows share; None uses a third of the window's length.
        max_answer_length: the largest number of tokens of an answer, up to `stride` + 1; None uses that limit, but no
            more than 30.
        base_name: the name to record as the model's base; None records `base`.

    Raises:
        CheckpointError: the checkpoint can't be read, or `max_length`, `stride` or `max_answer_length` is too large.
    """
    config = read_config(base)
    config.num_labels = 2  # a start and an end, however many labels the base had
    encoder, _ = read_weights(AutoModelForQuestionAnswering, base, config, new_head=True)
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
    """Load a reader from a run/ folder, or from any Hugging Face model for question answering (a folder or hub id).

    Raises CheckpointError if there is no model, or the model has no trained head or no weights in safetensors files.
    """
    source = str(source)
    config = read_config(source)
    require_task(source, config, TASK)
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
    """Return the no-answer threshold of a checkpoint not trained by ftool: 0 if its card names SQuAD 2.0, else None."""
    named = read_card(source).get("datasets") or []
    return 0.0 if set([named] if isinstance(named, str) else named) & set(_UNANSWERABLE_SETS) else None
