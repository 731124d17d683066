"""Prompts and steps that every stage of a generator's export must answer as torch does, in all shapes it will meet."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray

from ftool_export.errors import ExportError
from ftool_export.generator.checkpoint import LoadedGenerator
from ftool_export.generator.graph_runner import GraphRunner
from ftool_export.probes import SAMPLE_TEXTS

Ids = tuple[int, ...]

_STEPS: Final = 4  # tokens of an answer; one for every way a step may go wrong is enough
_LONG: Final = 160  # tokens: past T5's farthest distance, 128


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerationProbe:
    """A batch of prompts with the answers that follow them, and torch's logits for it.

    Attributes:
        name: what the shapes are, for a person.
        sources: what the encoder reads, a row each; None for decoders without one.
        prompts: what the decoder reads first, a row each.
        answers: what it reads then, as many tokens in every row.
        chunk: how many tokens of the answers go into one step.
        kept: for how many of a prompt's last tokens logits are compared.
        logits: torch's, float32 (batch, kept + answer, vocabulary).
        texts: whether the tokens are those of texts, rather than drawn at random.
    """

    name: str
    sources: tuple[Ids, ...] | None
    prompts: tuple[Ids, ...]
    answers: tuple[Ids, ...]
    chunk: int
    kept: int
    logits: NDArray[np.float32]
    texts: bool

    def run(self, runner: GraphRunner) -> NDArray[np.float32]:
        """The graphs' logits, in the shape of torch's."""
        longest = max(map(len, self.prompts)) + len(self.answers[0])
        conversation = runner.start(self.sources, len(self.prompts), longest + 1)
        lengths = np.array([len(prompt) for prompt in self.prompts])
        kept = lengths[:, None] - self.kept + np.arange(self.kept)
        logits = [runner.step(conversation, self.prompts, kept)]
        for start in range(0, len(self.answers[0]), self.chunk):
            new = [answer[start : start + self.chunk] for answer in self.answers]
            every = np.tile(np.arange(len(new[0])), (len(new), 1))
            logits.append(runner.step(conversation, new, every))
        return np.concatenate(logits, axis=1)


def make_generation_probes(loaded: LoadedGenerator) -> list[GenerationProbe]:
    """Texts with the answers that torch gives them, and random tokens in every shape that a graph will meet.

    Args:
        loaded: the reference, in evaluation mode.

    Raises:
        ExportError: torch's own answers are not numbers.
    """
    draw = _Draw(loaded)
    return _encoder_decoder_probes(loaded, draw) if draw.start else _decoder_probes(loaded, draw)


def _encoder_decoder_probes(loaded: LoadedGenerator, draw: "_Draw") -> list[GenerationProbe]:
    start, long = draw.start, draw.longest
    source, company = draw.texts(1), draw.texts(3)
    return [
        _probe(loaded, "a text alone", source, [start], texts=True),
        _probe(loaded, "texts in company", company, [start] * 3, texts=True),
        _probe(loaded, "sources of any length", draw.rows(long, 1, 7), [start] * 3, draw.rows(3, 3, 3)),
        _probe(
            loaded, "an answer's beginning given", draw.rows(5, 3, 8), draw.led(6, 6, 6), draw.rows(2, 2, 2)
        ),
        _probe(loaded, "an answer scored", draw.rows(4, 9), draw.led(9, 5), draw.rows(0, 0), kept=5),
        _probe(loaded, "a long answer", draw.rows(6), draw.led(long), draw.rows(3)),
    ]


def _decoder_probes(loaded: LoadedGenerator, draw: "_Draw") -> list[GenerationProbe]:
    long = draw.longest
    return [
        _probe(loaded, "a text alone", None, draw.texts(1), texts=True),
        _probe(loaded, "texts in company", None, draw.texts(3), texts=True),
        _probe(loaded, "prompts of any length", None, draw.rows(9, 1, 6), draw.rows(5, 5, 5)),
        _probe(loaded, "prompts of one token", None, draw.rows(1, 1, 1), draw.rows(3, 3, 3)),
        _probe(loaded, "an answer scored", None, draw.rows(9, 5), draw.rows(0, 0), kept=5),
        _probe(loaded, "a further turn", None, draw.rows(7), draw.rows(8), chunk=4),
        _probe(loaded, "a long prompt", None, draw.rows(long), draw.rows(3)),
    ]


class _Draw:
    """Rows of token ids, drawn at random or tokenised from texts; never the padding, which no row holds."""

    def __init__(self, loaded: LoadedGenerator) -> None:
        model: Any = loaded.model
        self._loaded = loaded
        self._pad: int | None = model.config.pad_token_id
        self._vocabulary = int(model.get_input_embeddings().weight.shape[0])
        self._random = np.random.default_rng(0)
        self.start: Ids = ()
        if model.config.is_encoder_decoder:
            first = model.generation_config.decoder_start_token_id
            self.start = (int(model.config.decoder_start_token_id if first is None else first),)
        self.longest = min(_LONG, longest_row(loaded) - _STEPS)

    def rows(self, *lengths: int) -> list[Ids]:
        """Rows of these lengths."""
        return [self._row(min(length, self.longest)) for length in lengths]

    def led(self, *lengths: int) -> list[Ids]:
        """Rows of these lengths that begin as every answer does."""
        return [(*self.start, *row[1:]) for row in self.rows(*lengths)]

    def texts(self, count: int) -> list[Ids]:
        """Texts of different lengths."""
        some = SAMPLE_TEXTS[2 : 2 + count]
        rows = [self._loaded.tokenizer(self._loaded.prefix + text)["input_ids"] for text in some]
        return [tuple(row[: self.longest - _STEPS]) or self._row(3) for row in rows]

    def _row(self, length: int) -> Ids:
        drawn = self._random.integers(0, self._vocabulary - 1, size=length)
        if self._pad is not None:
            drawn += drawn >= self._pad
        return tuple(int(token) for token in drawn)


def longest_row(loaded: LoadedGenerator) -> int:
    """Tokens that both a source and the decoder's rows may have."""
    limits = [loaded.max_length]
    for name in ("max_position_embeddings", "n_positions"):
        limit = getattr(loaded.model.config, name, None)
        if limit:
            limits.append(int(limit))
    return min(limits)


def _probe(
    loaded: LoadedGenerator,
    name: str,
    sources: Sequence[Ids] | None,
    prompts: Sequence[Ids],
    answers: Sequence[Ids] | None = None,
    *,
    chunk: int = 1,
    kept: int = 1,
    texts: bool = False,
) -> GenerationProbe:
    """A probe with torch's answers to it; without `answers`, those that torch finds likeliest."""
    sides = list(sources) if sources is not None else [None] * len(prompts)
    if answers is None:
        answers = [_greedy(loaded, source, prompt) for source, prompt in zip(sides, prompts, strict=True)]
    logits = np.stack(
        [
            _logits(loaded, source, (*prompt, *answer))[len(prompt) - kept :]
            for source, prompt, answer in zip(sides, prompts, answers, strict=True)
        ]
    )
    if not np.isfinite(logits).all():
        raise ExportError(f"the checkpoint's own logits are not finite ({name}): its weights are damaged")
    return GenerationProbe(
        name=name,
        sources=None if sources is None else tuple(sources),
        prompts=tuple(prompts),
        answers=tuple(answers),
        chunk=chunk,
        kept=kept,
        logits=logits,
        texts=texts,
    )


def _greedy(loaded: LoadedGenerator, source: Ids | None, prompt: Ids) -> Ids:
    row = prompt
    for _ in range(_STEPS):
        logits = _logits(loaded, source, row)[-1].copy()
        if loaded.model.config.pad_token_id is not None:
            logits[loaded.model.config.pad_token_id] = -np.inf
        row = (*row, int(logits.argmax()))
    return row[len(prompt) :]


def _logits(loaded: LoadedGenerator, source: Ids | None, row: Ids) -> NDArray[np.float32]:
    """Torch's logits after every token of a row alone, without a cache: float32 (length, vocabulary)."""
    tokens = torch.tensor([row])
    inputs = {"input_ids": tokens}
    if source is not None:
        inputs = {"input_ids": torch.tensor([source]), "decoder_input_ids": tokens}
    # every token counts, the padding's too: a row may be led by it, as T5's are
    inputs["attention_mask"] = torch.ones_like(inputs["input_ids"])
    with torch.inference_mode():
        logits: NDArray[np.float32] = loaded.model(**inputs, use_cache=False).logits[0].numpy()
    return logits
