"""Learn from a trained model: its outputs and hidden states for the training rows, and the loss against them.

The loss is that of the labels mixed with the divergence of softened outputs (Hinton, Vinyals and Dean 2015, Distilling
the Knowledge in a Neural Network), plus the error of hidden states (Jiao et al. 2020, TinyBERT).
"""

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ftool.errors import TrainingError
from ftool.recipe.sections import Sections, TrainSettings
from ftool.tasks.base import Task
from ftool.training.batches import EncoderRow
from ftool.training.hardware import device_name
from ftool.workspace import ModelFolder
from ftool_export.checkpoints.encoder import LoadedEncoder, compute_outputs, run_per_token
from ftool_export.networks.encoder import EncoderNetwork, hidden_size, hidden_states

log = logging.getLogger(__name__)

R = TypeVar("R")

# Computes a batch's loss, float32 (), from logits, the teacher's outputs, labels and attention mask.
Imitation = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]

_MOST_KEPT: Final = 4 << 30  # bytes of hidden states in memory
_AT_ONCE: Final = 1024  # rows whose hidden states are in memory in float32
_LARGEST: Final = float(np.finfo(np.float16).max)


@dataclass(frozen=True, kw_only=True)
class Lessons:
    """What a network learns from a teacher, and the loss of it.

    Attributes:
        weight: the share of the loss that is the divergence from the teacher's outputs; the rest is that of the labels.
        hidden_weight: the factor of the loss of hidden states.
        layers: pairs of a hidden state of the network and the teacher's that it learns, by their places among all
            hidden states, of which the embeddings are the first; empty if none are learnt.
        imitation: the objective's loss against the teacher's outputs.
    """

    weight: float
    hidden_weight: float
    layers: tuple[tuple[int, int], ...]
    imitation: Imitation

    def run(self, model: EncoderNetwork, compute: Callable[[], R]) -> tuple[R, tuple[Tensor, ...]]:
        """Return the result of `compute`, which runs `model`, and the hidden states if they are learnt."""
        return hidden_states(model.encoder, compute) if self.layers else (compute(), ())

    def mix(
        self,
        loss: Tensor,
        imitation: Tensor,
        states: Sequence[Tensor],
        hidden: Tensor | None,
        attention_mask: Tensor,
    ) -> Tensor:
        """Return a batch's whole loss, float32 ().

        Args:
            loss: the loss of the labels, float32 ().
            imitation: the loss against the teacher's outputs, float32 ().
            states: the network's hidden states, each (batch, sequence, hidden).
            hidden: the teacher's that are learnt, side by side: (batch, sequence, layers x hidden).
            attention_mask: int64 (batch, sequence), 0 on padding.
        """
        mixed = (1 - self.weight) * loss + self.weight * imitation
        if hidden is None:
            return mixed
        return mixed + self.hidden_weight * self._hidden_error(states, hidden, attention_mask)

    def _hidden_error(self, states: Sequence[Tensor], hidden: Tensor, attention_mask: Tensor) -> Tensor:
        """Return the squared error of all learnt hidden states / the teacher's mean square, averaged over layers."""
        real = attention_mask.unsqueeze(-1)  # (batch, sequence, 1)
        errors = []
        for (place, _), right in zip(self.layers, hidden.float().chunk(len(self.layers), -1), strict=True):
            wrong = (states[place].float() - right) * real
            errors.append(wrong.square().sum() / right.square().sum())
        return torch.stack(errors).mean()


def load_teacher(row: Task, path: str) -> Any:
    """Return the trained model in `path`, a model folder or a checkpoint such as its run/.

    Raises TrainingError if there is no such folder, and CheckpointError if it holds no trained model of the task `row`.
    """
    folder = ModelFolder(Path(path).expanduser())
    if not folder.path.is_dir():
        raise TrainingError(f"train.distill_from: {path} is not a folder; give a model folder or its run/")
    is_checkpoint = any((folder.path / name).is_file() for name in ("config.json", "adapter_config.json"))
    return row.load(folder.path if is_checkpoint else folder.require_run())


def taught_rows(
    student: LoadedEncoder,
    teacher: LoadedEncoder,
    rows: Sequence[EncoderRow],
    taught: Sequence[EncoderRow],
    settings: TrainSettings,
    imitation: Imitation,
) -> tuple[Lessons, list[EncoderRow]]:
    """Run the teacher on the training rows; return what is learnt from it, and the rows with its answers.

    Args:
        student: the model to train.
        teacher: the trained model.
        rows: the training rows in the student's tokens.
        taught: the same rows in the teacher's tokens.
        settings: the recipe's [train] table.
        imitation: the objective's loss against the teacher's outputs.

    Raises:
        TrainingError: the teacher has other labels than the student; it makes other tokens of the texts, but outputs or
            hidden states of tokens are to be learnt; or hidden states take too much memory.
    """
    columns = _columns(student, teacher)
    same = _same_tokens(student, teacher, rows, taught)
    if student.model.per_token and not same:
        raise TrainingError(
            f"train.distill_from: {teacher.base} makes other tokens of the training texts than the base, so answers "
            "for tokens can't be learnt from it; set train.max_length and train.stride to those that it was trained "
            "with, or choose a base with its tokenizer"
        )
    layers = _matched(student, teacher, same=same) if settings.distill_hidden else ()
    _check_memory(teacher, taught, len(layers))
    log.info("computing the answers of %s to %d training rows", teacher.base, len(taught))
    teacher.model.to(device_name())
    tokens = [row.tokens for row in taught]
    outputs = [answer[..., columns] for answer in compute_outputs(teacher, tokens)]
    found = [replace(row, taught=answer) for row, answer in zip(rows, outputs, strict=True)]
    if layers:
        states = _hidden_states(teacher, tokens, [place for _, place in layers])
        found = [replace(row, hidden=values) for row, values in zip(found, states, strict=True)]
    teacher.model.to("cpu")
    lessons = Lessons(
        weight=settings.distill_weight,
        hidden_weight=settings.distill_hidden,
        layers=layers,
        imitation=imitation,
    )
    return lessons, found


def teacher_of(row: Task, recipe: Sections) -> Any:
    """Return the model that train.distill_from names; None if the recipe names none. Raises as `load_teacher` does."""
    path = recipe.train.distill_from
    return None if path is None else load_teacher(row, path)


def label_columns(labels: Sequence[str], taught: Sequence[str], teacher: str) -> list[int]:
    """Return the column of each of `labels` in the outputs of a teacher, whose labels are `taught`.

    Raises TrainingError, which names the teacher and a label, if it has other labels.
    """
    if missing := sorted(set(labels) ^ set(taught)):
        whose = "the teacher does not have" if missing[0] in labels else "the data does not have"
        raise TrainingError(
            f"train.distill_from: the label {missing[0]!r} is one that {whose}; give a model that was trained on the "
            f"same labels ({teacher} has {len(taught)}, the data {len(labels)})"
        )
    return [taught.index(label) for label in labels]


def _columns(student: Any, teacher: Any) -> list[int]:
    """Return the student's outputs as columns of the teacher's. Raises TrainingError if they don't fit."""
    for name in ("multi_label", "regression"):
        mine, other = (getattr(one.model, name, None) for one in (student, teacher))
        if mine != other:
            raise TrainingError(
                f"train.distill_from: {teacher.base} was trained with data.{name} = {str(other).lower()}, and this "
                f"data has {str(mine).lower()}; give a model that was trained on data of this kind"
            )
    own, others = (tuple(getattr(one.model, "labels", ())) for one in (student, teacher))
    if not own:
        return list(range(student.model.width))
    return label_columns(own, others, teacher.base)


def _same_tokens(
    student: Any, teacher: Any, rows: Sequence[EncoderRow], taught: Sequence[EncoderRow]
) -> bool:
    """Return whether both tokenizers make the same pieces of each row; their numbers may differ."""
    known, own = teacher.tokenizer.get_vocab(), student.tokenizer.get_vocab()
    translated = np.full(max(own.values()) + 1, -1, np.int64)
    for piece, number in own.items():
        translated[number] = known.get(piece, -1)
    return len(rows) == len(taught) and all(
        np.array_equal(translated[row.ids], other.ids) for row, other in zip(rows, taught, strict=True)
    )


def _matched(student: Any, teacher: Any, *, same: bool) -> tuple[tuple[int, int], ...]:
    """Return the pairs of hidden states for `Lessons.layers`: the student's layers, spread evenly over the teacher's.

    If widths or tokens differ, hidden states can't be compared: the result is empty, and a warning says so.
    """
    widths = [hidden_size(one.config) for one in (student, teacher)]
    if widths[0] != widths[1] or not same:
        why = f"are {widths[1]} and not {widths[0]} wide" if same else "are those of other tokens"
        log.warning("train.distill_hidden has no effect: the hidden states of %s %s", teacher.base, why)
        return ()
    mine, others = (one.config.num_hidden_layers for one in (student, teacher))
    return tuple((place, round(place * others / mine)) for place in range(1, mine + 1))


def _check_memory(teacher: Any, rows: Sequence[EncoderRow], layers: int) -> None:
    size = sum(len(row.ids) for row in rows) * layers * hidden_size(teacher.config) * 2
    if size > _MOST_KEPT:
        raise TrainingError(
            f"the hidden states of {teacher.base} for {len(rows)} training rows take {size / 1e9:.1f} GB of memory, "
            f"more than {_MOST_KEPT / 1e9:.1f}; set train.distill_hidden to 0, which leaves them out"
        )


def _hidden_states(
    teacher: LoadedEncoder, rows: Sequence[Any], places: Sequence[int]
) -> Iterator[NDArray[np.float16]]:
    """Yield the hidden states at `places` for each row, side by side: float16 (tokens, places x hidden)."""

    def states(**inputs: Tensor) -> Tensor:
        _, found = hidden_states(teacher.model.encoder, lambda: teacher.model(**inputs))
        return torch.cat([found[place] for place in places], dim=-1)

    for first in range(0, len(rows), _AT_ONCE):
        for values in run_per_token(teacher, rows[first : first + _AT_ONCE], states):
            yield values.clip(-_LARGEST, _LARGEST).astype(np.float16)
