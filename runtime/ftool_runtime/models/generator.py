"""`Generator`: base class of models that generate text from texts or token ids."""

from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, Literal, NamedTuple, Self, overload

import numpy as np
from numpy.typing import NDArray

from ftool_runtime.bundle.integrity import check_files
from ftool_runtime.bundle.manifest import Manifest
from ftool_runtime.bundle.paths import DECODER_FILE, ENCODER_FILE, TOKENIZER_FILE
from ftool_runtime.decoding.config import GenerationConfig
from ftool_runtime.decoding.detokenize import (
    IncrementalText,
    answer_text,
    stop_check_of,
    stop_checks,
    with_special_stops,
)
from ftool_runtime.decoding.generator_engine import GeneratorEngine
from ftool_runtime.decoding.prompt_lookup import lookup_refusal
from ftool_runtime.decoding.results import GeneratedRow, Generation
from ftool_runtime.decoding.stream import TextStream
from ftool_runtime.decoding.token_checks import whole_numbers
from ftool_runtime.errors import BundleError, InputError, is_one_of
from ftool_runtime.models.base import Model
from ftool_runtime.session.deadline import timed_steps
from ftool_runtime.session.decoder.prefix_cache import PrefixCache
from ftool_runtime.session.onnx_session import SessionSettings
from ftool_runtime.text.encode import Tokens

Overflow = Literal["refuse", "cut"]


class InputReader(NamedTuple):
    """The checked options of one call.

    Attributes:
        read: a function that encodes a text, given the text and its position in the call; raises InputError.
        config: the generation settings.
    """

    read: Callable[[str, int], Tokens]
    config: GenerationConfig


class Generator(Model[str, Generation]):
    """Base class of loaded models that generate text. Several threads can call a model at the same time."""

    family: ClassVar[str]
    default_overflow: ClassVar[Overflow]

    @classmethod
    def open(cls, folder: Path, manifest: Manifest, settings: SessionSettings) -> Self:
        """Load the bundle in `folder`, given its manifest. Raises the errors of `ftool_runtime.load`."""
        if manifest.generation is None or manifest.generation.family != cls.family:
            raise BundleError(f"{folder}: a {manifest.task} bundle must hold the family {cls.family!r}")
        needed = (DECODER_FILE, ENCODER_FILE) if cls.family == "encoder-decoder" else (DECODER_FILE,)
        check_files(folder, manifest, needed=(*needed, TOKENIZER_FILE))
        return cls(folder, GeneratorEngine(folder, manifest, settings))

    def __init__(self, folder: Path, engine: GeneratorEngine) -> None:
        """Make a model from `engine`, which runs the bundle in `folder`."""
        super().__init__(folder, engine)
        self._engine = engine

    @property
    def generation_config(self) -> GenerationConfig:
        """The bundle's generation settings; `changed` makes a copy with other settings for a call's `config`."""
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
            texts: a string, or several in a list or another iterable. Each answer is independent of the other texts.
            config: generation settings that replace the bundle's `generation_config`.
            overflow: "refuse" to raise an error for a text that is too long, or "cut" to cut it, which sets `truncated`
                in the answer. None for the class's default.
            options: fields of GenerationConfig, such as max_new_tokens=64, num_beams=4, do_sample=True, seed=1,
                prompt_lookup_num_tokens=10; for translators with a choice of languages also source_language and
                target_language.

        Returns:
            One answer for a string; for several strings a list of answers in the same order.

        Raises:
            InputError: a text is not a string, blank, not Unicode or too long (`row` says which); or a wrong option.
            ClosedError: after `close()`.
            OtherProcessError: in a child of the process that loaded the model.
        """
        settled = self._settle(config=config, overflow=overflow, **options)
        return self._one(texts, settled) if isinstance(texts, str) else self._many(texts, settled)

    @overload  # type: ignore[override]  # the base class refuses a single string; here it is streamed
    def stream(
        self,
        text: str,
        *,
        config: GenerationConfig | None = None,
        overflow: Overflow | None = None,
        **options: Any,
    ) -> TextStream: ...

    @overload
    def stream(
        self, text: Iterable[str], *, batch_size: int = 64, **options: Any
    ) -> Iterator[Generation]: ...

    def stream(
        self, text: str | Iterable[str], *, batch_size: int = 64, **options: Any
    ) -> TextStream | Iterator[Generation]:
        """Stream the answer to one text, as chunks of text, or the answers to any number of texts.

        Args:
            text: a string, or an iterable of strings, which is read as answers are consumed.
            batch_size: for many texts, the largest number of texts in memory.
            options: `config`, `overflow` and the other options of a call.

        Raises the errors of a call, with rows counted from the start of the stream. For one text, also raises
        InputError if num_beams or num_return_sequences is above 1, since beam search can change text already read.
        """
        if not isinstance(text, str):
            return super().stream(text, batch_size=batch_size, **options)
        settled = self._settle(**options)
        return self._text_stream(text, settled.read(text, 0), settled.config)

    def tokenize(
        self, texts: Sequence[str], *, overflow: Overflow | None = None, **options: Any
    ) -> list[list[int]]:
        """Return the token ids of sources or prompts. Options and errors are the same as for a call."""
        return [row.ids for [row] in self.encode(texts, overflow=overflow, **options)]

    def generate(
        self,
        rows: Sequence[Sequence[int]],
        config: GenerationConfig | None = None,
        *,
        keep_logits: bool = False,
        **options: Any,
    ) -> list[GeneratedRow]:
        """Answer sources or prompts that are given as token ids.

        Args:
            rows: the token ids of each source or prompt, at least one.
            config: generation settings that replace the bundle's `generation_config`.
            keep_logits: whether answers keep the graph's logits, float32 (tokens, vocabulary); only for num_beams=1.
            options: the options of a call.

        Returns:
            `num_return_sequences` answers for each row, in the order of the rows.

        Raises the errors of a call.
        """
        chosen = self._settle(config=config, **options).config
        new_stop_check = stop_checks(self._engine.tokens, chosen.stop_strings, chosen.num_beams)
        return self._engine.generate(rows, chosen, new_stop_check=new_stop_check, keep_logits=keep_logits)

    def score_tokens(
        self, rows: Sequence[Sequence[int]], answers: Sequence[Sequence[int]], **options: Any
    ) -> list[NDArray[np.float32]]:
        """Return the logits that predict each token of given answers from all tokens before it.

        Args:
            rows: the token ids of each source or prompt.
            answers: the token ids of each answer.
            options: the options of a call.

        Returns:
            For each row float32 (answer tokens, vocabulary).

        Raises InputError if a row and its answer together are too long for the model, and the errors of a call.
        """
        return self._engine.score(rows, answers, self._settle(**options).config)

    def time_tokens(self, row: Sequence[int], **options: Any) -> list[float]:
        """Return the time, in seconds from the start of the call, at which each token of an answer was generated.

        With prompt lookup, several tokens of one run follow each other at once.

        `row` holds the token ids of a source or prompt. Options and errors are the same as for a call.
        """
        import time

        config = self._settle(**options).config
        started = time.perf_counter()
        made = self._engine.new_row(row, config, None)
        return [time.perf_counter() - started for _ in self._engine.steps(row, config, made)]

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text of an answer's token ids, without special tokens and without white space at either end.

        An id that the tokenizer doesn't know has no text. Raises InputError if `ids` is not a list of token ids.
        """
        return self._engine.tokens.decode(whole_numbers(ids)).strip()

    def outputs(self, inputs: Iterable[str]) -> list[NDArray[np.float32]]:
        """Return, for each input, the logits of the answer's first token, float32 (1, vocabulary), unprocessed.

        Raises the errors of a call.
        """
        options = self._settle(num_beams=1, num_return_sequences=1, max_new_tokens=1)
        rows = [options.read(text, row).ids for row, text in enumerate(self._listed(inputs))]
        answers = self._engine.generate(rows, options.config, keep_logits=True)
        return [answer.logits for answer in answers if answer.logits is not None]

    @abstractmethod
    def _reader(self, config: GenerationConfig, overflow: Overflow, options: dict[str, Any]) -> InputReader:
        """Return the checked options of a call, with the function that encodes its texts.

        Raises InputError for a wrong option.
        """

    def _settle(
        self, *, config: GenerationConfig | None = None, overflow: Overflow | None = None, **options: Any
    ) -> InputReader:
        if overflow is not None and not is_one_of(overflow, ("refuse", "cut")):
            raise InputError(f'overflow must be "refuse" or "cut", got {overflow!r}')
        reader = self._reader(self._engine.resolve(config), overflow or self.default_overflow, options)
        refusal = lookup_refusal(reader.config, self._engine.manifest.precision)
        if reader.config.looks_up and refusal is not None:
            raise InputError(refusal)
        return reader._replace(config=with_special_stops(reader.config, self._engine.tokens.special))

    def _encode(self, given: str, row: int, options: InputReader) -> Tokens:
        return options.read(given, row)

    def _run(
        self, encoded: Sequence[Tokens], first_row: int, options: InputReader
    ) -> list[list[GeneratedRow]]:
        config = options.config
        new_stop_check = stop_checks(self._engine.tokens, config.stop_strings, config.num_beams)
        ids = [row.ids for row in encoded]
        rows = self._engine.generate(ids, config, new_stop_check=new_stop_check, first_row=first_row)
        count = config.num_return_sequences
        return [rows[start : start + count] for start in range(0, len(rows), count)]

    def _decode(
        self, given: str | None, encoded: Tokens, outputs: Sequence[GeneratedRow], options: InputReader
    ) -> Generation:
        return self._generation(given, encoded, outputs, options.config)

    def _text_stream(
        self,
        given: str | None,
        prompt: Tokens,
        config: GenerationConfig,
        cache: PrefixCache | None = None,
        ended: Callable[[Generation, bool], None] | None = None,
    ) -> TextStream:
        if config.num_beams > 1:
            raise InputError(
                f"num_beams is {config.num_beams}, and beam search knows its answer only at the end, so that "
                "nothing can be streamed; set num_beams=1, or call the model"
            )
        if config.num_return_sequences > 1:
            raise InputError(
                f"num_return_sequences is {config.num_return_sequences}; a stream holds one answer"
            )
        text = IncrementalText(self._engine.tokens, config.stop_strings)
        row = self._engine.new_row(prompt.ids, config, stop_check_of(text))

        def finish(answer: GeneratedRow, text: str) -> Generation:
            return replace(self._generation(given, prompt, [answer], config), text=text)

        if cache is None:
            steps = self._engine.steps(prompt.ids, config, row)
        else:
            steps = self._engine.steps_with_cache(cache, prompt.ids, row)
        steps = timed_steps(steps, self._limits.call_seconds)
        return TextStream(steps, row, text, finish, ended)

    def _generation(
        self,
        given: str | None,
        prompt: Tokens,
        rows: Sequence[GeneratedRow],
        config: GenerationConfig,
    ) -> Generation:
        best, *others = rows
        return Generation(
            text=answer_text(self._engine.tokens, best.ids, config.stop_strings),
            token_ids=best.ids,
            finish_reason=best.finish_reason,
            prompt_tokens=len(prompt.ids),
            truncated=prompt.truncated,
            score=best.score,
            others=tuple(self._generation(given, prompt, [other], config) for other in others),
            input=given,
        )
