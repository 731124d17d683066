"""Probes of generators: prompts and answers with torch's logits, in all shapes that the graphs must handle."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers.modeling_outputs import BaseModelOutput

from ftool_export.checkpoints.generator import LoadedGenerator
from ftool_export.errors import ExportError
from ftool_export.graph.generator_session import GraphRunner
from ftool_export.graph.probes import check_finite
from ftool_export.graph.session import Sessions
from ftool_export.tokenizers.texts import SENTENCES

Ids = tuple[int, ...]

_STEPS: Final = 4  # tokens of an answer; enough to show every kind of failure of a step
_FEWEST_POSITIONS: Final = 16  # tokens of the longest probe that is not cut, and its answer
_SMALLEST_VOCABULARY: Final = 4  # tokens
_LONG: Final = 160  # tokens; longer than 128, the largest distance that T5 distinguishes


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerationProbe:
    """A batch of prompts, with the answers that follow the prompts and with torch's logits; implements `Probe`.

    Attributes:
        name: a description of the shapes, for messages.
        sources: token ids that the encoder reads, row by row; None for decoders without an encoder.
        prompts: token ids that the decoder reads first, row by row.
        answers: token ids that the decoder reads next; all rows have the same length.
        chunk: the number of answer tokens that the decoder reads in one step.
        scored: the number of tokens at the end of each prompt whose logits are compared.
        outputs: torch's logits, float32 (batch, scored + answer's length, vocabulary).
        real: whether the tokens come from texts; otherwise they are random.
    """

    name: str
    sources: tuple[Ids, ...] | None
    prompts: tuple[Ids, ...]
    answers: tuple[Ids, ...]
    chunk: int
    scored: int
    outputs: NDArray[np.float32]
    real: bool

    @property
    def kept(self) -> NDArray[np.bool_]:
        """The outputs to compare, bool (batch, scored + answer's length); all True, as no output belongs to padding."""
        return np.ones(self.outputs.shape[:-1], dtype=np.bool_)

    def run(self, sessions: Sessions) -> NDArray[np.float32]:
        """Run all rows as one batch, and return the graphs' logits."""
        return self._run(GraphRunner(sessions), list(range(len(self.prompts))))

    def _run(self, runner: GraphRunner, rows: Sequence[int]) -> NDArray[np.float32]:
        prompts = [self.prompts[row] for row in rows]
        answers = [self.answers[row] for row in rows]
        sources = None if self.sources is None else [self.sources[row] for row in rows]
        longest = max(map(len, prompts)) + len(answers[0])
        conversation = runner.start(sources, len(rows), longest + 1)
        lengths = np.array([len(prompt) for prompt in prompts])
        scored = lengths[:, None] - self.scored + np.arange(self.scored)
        logits = [runner.step(conversation, prompts, scored)]
        for start in range(0, len(answers[0]), self.chunk):
            new = [answer[start : start + self.chunk] for answer in answers]
            every = np.tile(np.arange(len(new[0])), (len(new), 1))
            logits.append(runner.step(conversation, new, every))
        return np.concatenate(logits, axis=1)


def make_generation_probes(loaded: LoadedGenerator) -> list[GenerationProbe]:
    """Return probes for a generator.

    Some probes have texts and torch's answers, others random tokens in every shape that a graph must handle.

    Args:
        loaded: the checkpoint, in evaluation mode.

    Raises:
        ExportError: torch's own logits are not finite, or the model is too small for the probes.
    """
    check_sizes(loaded)
    draw = _Draw(loaded)
    return _encoder_decoder_probes(loaded, draw) if draw.start else _decoder_probes(loaded, draw)


def check_sizes(loaded: LoadedGenerator) -> None:
    """Raise ExportError if the model holds too few tokens, or knows too few, for the probes."""
    for size, smallest, what in (
        (longest_row(loaded), _FEWEST_POSITIONS, "has positions for {} tokens"),
        (_vocabulary(loaded), _SMALLEST_VOCABULARY, "knows {} tokens"),
    ):
        if size < smallest:
            raise ExportError(
                f"this {loaded.config.model_type} {what.format(size)}; ftool exports models from {smallest} on"
            )


def _vocabulary(loaded: LoadedGenerator) -> int:
    model: Any = loaded.model
    return int(model.get_input_embeddings().weight.shape[0])


def _encoder_decoder_probes(loaded: LoadedGenerator, draw: "_Draw") -> list[GenerationProbe]:
    start, long = draw.start, draw.longest
    source, batch = draw.texts(1), draw.texts(3)
    return [
        _probe(loaded, "a single text", source, [start], real=True),
        _probe(loaded, "texts of a batch", batch, [start] * 3, real=True),
        _probe(loaded, "sources of any length", draw.rows(long, 1, 7), [start] * 3, draw.rows(3, 3, 3)),
        _probe(
            loaded, "an answer's beginning given", draw.rows(5, 3, 8), draw.led(6, 6, 6), draw.rows(2, 2, 2)
        ),
        _probe(loaded, "an answer scored", draw.rows(4, 9), draw.led(9, 5), draw.rows(0, 0), scored=5),
        _probe(loaded, "a long answer", draw.rows(6), draw.led(long), draw.rows(3)),
    ]


def _decoder_probes(loaded: LoadedGenerator, draw: "_Draw") -> list[GenerationProbe]:
    long = draw.longest
    return [
        _probe(loaded, "a single text", None, draw.texts(1), real=True),
        _probe(loaded, "texts of a batch", None, draw.texts(3), real=True),
        _probe(loaded, "prompts of any length", None, draw.rows(9, 1, 6), draw.rows(5, 5, 5)),
        _probe(loaded, "prompts of one token", None, draw.rows(1, 1, 1), draw.rows(3, 3, 3)),
        _probe(loaded, "an answer scored", None, draw.rows(9, 5), draw.rows(0, 0), scored=5),
        _probe(loaded, "a further turn", None, draw.rows(7), draw.rows(8), chunk=4),
        _probe(loaded, "a long prompt", None, draw.rows(long), draw.rows(3)),
    ]


class _Draw:
    """Makes rows of token ids: tokenised texts, and random ids other than the padding token's."""

    def __init__(self, loaded: LoadedGenerator) -> None:
        model: Any = loaded.model
        self._loaded = loaded
        self._pad: int | None = model.config.pad_token_id
        self._vocabulary = _vocabulary(loaded)
        self._random = np.random.default_rng(0)
        self.start: Ids = ()
        if loaded.family == "encoder-decoder":
            self.start = (_first_token(model),)
        self.longest = min(_LONG, longest_row(loaded) - _STEPS)

    def rows(self, *lengths: int) -> list[Ids]:
        """Return a row of random token ids for each of `lengths`, none of them longer than `self.longest`."""
        return [self._row(min(length, self.longest)) for length in lengths]

    def led(self, *lengths: int) -> list[Ids]:
        """Return rows like those of `rows`, but with the decoder's start token in place of the first token."""
        return [(*self.start, *row[1:]) for row in self.rows(*lengths)]

    def texts(self, count: int) -> list[Ids]:
        """Return the token ids of `count` texts of different lengths."""
        some = SENTENCES[2 : 2 + count]
        rows = [self._loaded.tokenizer(self._loaded.prefix + text)["input_ids"] for text in some]
        return [tuple(row[: self.longest - _STEPS]) or self._row(3) for row in rows]

    def _row(self, length: int) -> Ids:
        drawn = self._random.integers(0, self._vocabulary - 1, size=length)
        if self._pad is not None:
            drawn += drawn >= self._pad
        return tuple(int(token) for token in drawn)


def _first_token(model: Any) -> int:
    """Return the id of the decoder's start token from the model's configuration, or 0 if none is set.

    Models like mBART may have none, because their start token depends on the target language.
    """
    for settings in (model.generation_config, model.config):
        for name in ("decoder_start_token_id", "bos_token_id"):
            token = getattr(settings, name, None)
            if token is not None:
                return int(token)
    return 0


def longest_row(loaded: LoadedGenerator) -> int:
    """Return the largest number of tokens that are allowed both in a source and in a row of the decoder."""
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
    scored: int = 1,
    real: bool = False,
) -> GenerationProbe:
    """Return a probe with torch's logits. If `answers` is None, torch's most likely tokens are the answers."""
    sides: list[Ids | None] = list(sources) if sources is not None else [None] * len(prompts)
    given = [None] * len(prompts) if answers is None else list(answers)
    runs = [_torch_run(loaded, *row) for row in zip(sides, prompts, given, strict=True)]
    answers = [answer for answer, _ in runs]
    logits = np.stack([run[len(prompt) - scored :] for prompt, (_, run) in zip(prompts, runs, strict=True)])
    check_finite(name, logits)
    return GenerationProbe(
        name=name,
        sources=None if sources is None else tuple(sources),
        prompts=tuple(prompts),
        answers=tuple(answers),
        chunk=chunk,
        scored=scored,
        outputs=logits,
        real=real,
    )


def _torch_run(
    loaded: LoadedGenerator, source: Ids | None, prompt: Ids, answer: Ids | None
) -> tuple[Ids, NDArray[np.float32]]:
    """Run one row token by token with torch's own cache, as transformers' `generate` does.

    Returns:
        The answer (`answer`, or torch's most likely tokens if it is None), and the logits, float32
        (prompt's length + answer's length, vocabulary).
    """
    steps = _STEPS if answer is None else len(answer)
    tokens: list[int] = []
    with torch.inference_mode():
        result, fixed = _begin(loaded, source, prompt)
        logits = [result.logits[0]]
        for step in range(steps):
            tokens.append(_likeliest(loaded, logits[-1][-1]) if answer is None else answer[step])
            new = torch.tensor([tokens[-1:]])
            seen = torch.ones(1, len(prompt) + len(tokens), dtype=torch.int64)
            inputs = (
                {"input_ids": new, "attention_mask": seen} if source is None else {"decoder_input_ids": new}
            )
            result = loaded.model(**inputs, **fixed, past_key_values=result.past_key_values, use_cache=True)
            logits.append(result.logits[0])
    return tuple(tokens), torch.cat(logits).numpy()


def _begin(loaded: LoadedGenerator, source: Ids | None, prompt: Ids) -> tuple[Any, dict[str, Any]]:
    """Run torch on the prompt, and return the result and the arguments that every further call needs.

    With a source, the arguments are the encoder's outputs and their mask; without a source, there are none.
    """
    row = torch.tensor([prompt])
    if source is None:
        return loaded.model(input_ids=row, attention_mask=torch.ones_like(row), use_cache=True), {}
    read = torch.tensor([source])
    # The mask keeps every token, even the padding token: a text may contain it.
    fixed: dict[str, Any] = {"attention_mask": torch.ones_like(read)}
    result = loaded.model(input_ids=read, decoder_input_ids=row, use_cache=True, **fixed)
    return result, {**fixed, "encoder_outputs": BaseModelOutput(result.encoder_last_hidden_state)}


def _likeliest(loaded: LoadedGenerator, logits: Tensor) -> int:
    order = logits.argsort(descending=True).tolist()
    return int(next(token for token in order if token != loaded.model.config.pad_token_id))
