"""What the models that generate text have in common: calls on texts and on token ids."""

import operator
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, Literal, NamedTuple, Self, overload

import numpy as np
from numpy.typing import NDArray

from ftool_runtime.bundle.info import describe
from ftool_runtime.bundle.integrity import check_sizes
from ftool_runtime.bundle.manifest import Manifest
from ftool_runtime.bundle.paths import DECODER_FILE, ENCODER_FILE, TOKENIZER_FILE
from ftool_runtime.decoding.config import GenerationConfig
from ftool_runtime.decoding.detokenize import GrowingText, answer_text, ending_at_special, follower, stoppers
from ftool_runtime.decoding.generator_engine import GeneratorEngine
from ftool_runtime.decoding.prompts import Prompt
from ftool_runtime.decoding.results import GeneratedRow, Generation
from ftool_runtime.decoding.stream import TextStream
from ftool_runtime.errors import BundleError, InputError
from ftool_runtime.models.inputs import cut, listed
from ftool_runtime.session.decoder.prefix_cache import Memory
from ftool_runtime.session.onnx_session import SessionSettings

Overflow = Literal["refuse", "cut"]


class Reader(NamedTuple):
    """How one call reads texts and answers them.

    Attributes:
        read: the token ids of a text at a position of the call; raises InputError.
        config: how to answer.
    """

    read: Callable[[str, int], Prompt]
    config: GenerationConfig


class Generator(ABC):
    """A loaded model that generates text. Several threads may use it at once.

    `ftool_runtime.load` makes one. It is a context manager; `close` lets go of the graphs, threads and buffers.
    """

    family: ClassVar[str]
    default_overflow: ClassVar[Overflow]

    @classmethod
    def open(cls, folder: Path, manifest: Manifest, settings: SessionSettings) -> Self:
        """Load the bundle in `folder`. Raises as `ftool_runtime.load`."""
        if manifest.generation is None or manifest.generation.family != cls.family:
            raise BundleError(f"{folder}: a {manifest.task} bundle must hold the family {cls.family!r}")
        needed = (DECODER_FILE, ENCODER_FILE) if cls.family == "encoder-decoder" else (DECODER_FILE,)
        check_sizes(folder, manifest, needed=(*needed, TOKENIZER_FILE))
        return cls(folder, GeneratorEngine(folder, manifest, settings))

    def __init__(self, folder: Path, engine: GeneratorEngine) -> None:
        """Wrap the engine of the bundle in `folder`."""
        self._folder = folder
        self._engine = engine

    @property
    def generation_config(self) -> GenerationConfig:
        """How the bundle wants answers to be generated; `changed` makes another one for a call's `config`."""
        return self._engine.config

    @overload
    def __call__(
        self,
        texts: str,
        *,
        config: GenerationConfig | None = None,
        overflow: Overflow | None = None,
        **options: Any,
    ) -> Generation: ...

    @overload
    def __call__(
        self,
        texts: Iterable[str],
        *,
        config: GenerationConfig | None = None,
        overflow: Overflow | None = None,
        **options: Any,
    ) -> list[Generation]: ...

    def __call__(
        self,
        texts: str | Iterable[str],
        *,
        config: GenerationConfig | None = None,
        overflow: Overflow | None = None,
        **options: Any,
    ) -> Generation | list[Generation]:
        """Answer one text, or many in one call.

        Args:
            texts: a string, or strings; an answer does not depend on the others.
            config: how, instead of the bundle's `generation_config`.
            overflow: what becomes of a text that is too long: "refuse" it, or "cut" it; the answer then says
                `truncated`. None: the class's own way.
            options: fields of GenerationConfig, such as max_new_tokens=64, num_beams=4, do_sample=True, seed=1;
                for translators that are told their languages source_language and target_language.

        Returns:
            One answer for a string; for strings a list of answers in the same order.

        Raises:
            InputError: a text is no string, blank, not Unicode or too long (`row` tells which), or an option is wrong.
            ClosedError: after `close()`.
            OtherProcessError: in a child of the process that loaded the model.
        """
        if isinstance(texts, str):
            return self._answer([texts], 0, config, overflow, options)[0]
        return self._answer(listed(texts), 0, config, overflow, options)

    def stream(
        self,
        text: str,
        *,
        config: GenerationConfig | None = None,
        overflow: Overflow | None = None,
        **options: Any,
    ) -> TextStream:
        """Answer one text piece by piece, as the pieces are asked for. Arguments and errors are a call's.

        Raises InputError for num_beams and num_return_sequences above 1 besides: beams may still change what was read.
        """
        reader = self._settle(config, overflow, options)
        return self._stream(reader.read(text, 0), reader.config)

    def predict_iter(
        self, texts: Iterable[str], *, batch_size: int = 64, **options: Any
    ) -> Iterator[Generation]:
        """Answer a stream of texts, in order, with at most `batch_size` of them in memory.

        Options are those of a call, and a wrong one is refused at once; a text's `row` counts from the stream's start.
        """
        batches = self.predict_batches(cut(texts, batch_size), **options)
        return (answer for answers in batches for answer in answers)

    def predict_batches(
        self,
        batches: Iterable[Sequence[str]],
        *,
        config: GenerationConfig | None = None,
        overflow: Overflow | None = None,
        **options: Any,
    ) -> Iterator[list[Generation]]:
        """Answer a stream of lists of texts, as long as the caller makes them. Raises as `predict_iter`."""
        self._settle(config, overflow, options)  # refuses what is wrong at once
        return self._batches(batches, config, overflow, options)

    def tokenize(
        self, texts: Sequence[str], *, overflow: Overflow | None = None, **options: Any
    ) -> list[list[int]]:
        """The token ids of sources or prompts, as a call makes them. Raises InputError as a call."""
        reader = self._settle(None, overflow, options)
        return [reader.read(text, row).ids for row, text in enumerate(texts)]

    def generate(
        self,
        rows: Sequence[Sequence[int]],
        config: GenerationConfig | None = None,
        *,
        keep_logits: bool = False,
        **options: Any,
    ) -> list[GeneratedRow]:
        """Answer sources or prompts that are token ids already.

        Args:
            rows: at least one token each.
            config: how, instead of the bundle's `generation_config`.
            keep_logits: whether each answer keeps the graph's logits, float32 (tokens, vocabulary); not with beams.
            options: as a call's.

        Returns:
            `num_return_sequences` answers a row, one row's after the other's.

        Raises as a call.
        """
        chosen = self._settle(config, None, options).config
        stopped = stoppers(self._engine.tokens, chosen.stop_strings, chosen.num_beams)
        return self._engine.generate(rows, chosen, stopped=stopped, keep_logits=keep_logits)

    def score_tokens(
        self, rows: Sequence[Sequence[int]], answers: Sequence[Sequence[int]], **options: Any
    ) -> list[NDArray[np.float32]]:
        """The logits that predict each token of given answers, each token given those before it.

        Returns:
            For each row float32 (tokens of its answer, vocabulary).

        Raises InputError where a row and its answer are longer than the model holds; as a call too.
        """
        return self._engine.score(rows, answers, self._settle(None, None, options).config)

    def time_tokens(self, row: Sequence[int], **options: Any) -> list[float]:
        """Seconds from the call to each token of the answer to `row`, token ids. Options and errors are a call's."""
        import time

        config = self._settle(None, None, options).config
        started = time.perf_counter()
        made = self._engine.new_row(row, config, None)
        return [time.perf_counter() - started for _ in self._engine.grow(row, config, made)]

    def decode(self, ids: Sequence[int]) -> str:
        """The text of an answer's token ids, special tokens left out, spaces at its ends taken off.

        Raises InputError where `ids` is no list of token ids; one that the tokenizer doesn't know has no text.
        """
        return self._engine.tokens.decode(_whole_numbers(ids)).strip()

    def info(self) -> dict[str, Any]:
        """What was loaded and how it runs: JSON values, for people and logs."""
        return describe(self._folder, self._engine)

    def close(self) -> None:
        """Let go of the graphs, threads and buffers. Calls under way finish; later ones raise ClosedError."""
        self._engine.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    @abstractmethod
    def _reader(self, config: GenerationConfig, overflow: Overflow, options: dict[str, Any]) -> Reader:
        """How a call with these options reads texts. Raises InputError for an option that is wrong."""

    def _settle(
        self, config: GenerationConfig | None, overflow: Overflow | None, options: dict[str, Any]
    ) -> Reader:
        """Check a call's options before any text is read."""
        if overflow not in (None, "refuse", "cut"):
            raise InputError(f'overflow must be "refuse" or "cut", got {overflow!r}')
        reader = self._reader(self._engine.resolve(config), overflow or self.default_overflow, dict(options))
        return reader._replace(config=ending_at_special(reader.config, self._engine.tokens.special))

    def _batches(
        self,
        batches: Iterable[Sequence[str]],
        config: GenerationConfig | None,
        overflow: Overflow | None,
        options: dict[str, Any],
    ) -> Iterator[list[Generation]]:
        first_row = 0
        for batch in batches:
            yield self._answer(batch, first_row, config, overflow, options)
            first_row += len(batch)

    def _answer(
        self,
        texts: Sequence[str],
        first_row: int,
        config: GenerationConfig | None,
        overflow: Overflow | None,
        options: dict[str, Any],
    ) -> list[Generation]:
        reader = self._settle(config, overflow, options)
        prompts = [reader.read(text, row) for row, text in enumerate(texts, first_row)]
        return self._answer_prompts(prompts, reader.config, first_row)

    def _stream(
        self,
        prompt: Prompt,
        config: GenerationConfig,
        memory: Memory | None = None,
        ended: Callable[[Generation, bool], None] | None = None,
    ) -> TextStream:
        if config.num_beams > 1:
            raise InputError(
                f"num_beams is {config.num_beams}, and an answer of beam search is known only at its end, so that "
                "nothing can be streamed; set num_beams=1, or call the model"
            )
        if config.num_return_sequences > 1:
            raise InputError(
                f"num_return_sequences is {config.num_return_sequences}; a stream holds one answer"
            )
        text = GrowingText(self._engine.tokens, config.stop_strings)
        row = self._engine.new_row(prompt.ids, config, follower(text))

        def finish(answer: GeneratedRow, text: str) -> Generation:
            return replace(self._generation(prompt, [answer], config), text=text)

        if memory is None:
            steps = self._engine.grow(prompt.ids, config, row)
        else:
            steps = self._engine.grow_on(memory, prompt.ids, row)
        return TextStream(steps, row, text, finish, ended)

    def _answer_prompts(
        self, prompts: Sequence[Prompt], config: GenerationConfig, first_row: int = 0
    ) -> list[Generation]:
        stopped = stoppers(self._engine.tokens, config.stop_strings, config.num_beams)
        ids = [prompt.ids for prompt in prompts]
        rows = self._engine.generate(ids, config, stopped=stopped, first_row=first_row)
        count = config.num_return_sequences
        return [
            self._generation(prompt, rows[place * count : (place + 1) * count], config)
            for place, prompt in enumerate(prompts)
        ]

    def _generation(
        self, prompt: Prompt, rows: Sequence[GeneratedRow], config: GenerationConfig
    ) -> Generation:
        best, *others = rows
        return Generation(
            text=answer_text(self._engine.tokens, best.ids, config.stop_strings),
            token_ids=best.ids,
            finish_reason=best.finish_reason,
            prompt_tokens=len(prompt.ids),
            truncated=prompt.truncated,
            score=best.score,
            others=tuple(self._generation(prompt, [other], config) for other in others),
        )


def _whole_numbers(ids: object) -> list[int]:
    """Token ids as the tokenizer takes them, 32 bits each. Raises InputError."""
    if isinstance(ids, str | bytes) or not isinstance(ids, Iterable):
        raise InputError(f"ids must be a list of token ids, got {ids!r}")
    numbers = []
    for position, token in enumerate(ids):
        try:
            number = operator.index(token)
        except TypeError:
            number = -1
        if not 0 <= number < 2**32:
            raise InputError(f"ids[{position}] is {token!r}, which is no token id")
        numbers.append(number)
    return numbers
