"""`Seq2SeqGenerator`: encoder-decoder models for summarization and translation."""

from collections.abc import Mapping
from functools import partial
from typing import Any, ClassVar, Final

from ftool_runtime.decoding.config import GenerationConfig
from ftool_runtime.decoding.prompts import fit
from ftool_runtime.decoding.requested_languages import Direction, direction
from ftool_runtime.decoding.results import LongGeneration
from ftool_runtime.errors import InputError
from ftool_runtime.models.generator import Generator, InputReader, Overflow
from ftool_runtime.text.chunks import split_long
from ftool_runtime.text.encode import Tokens

_LANGUAGES: Final = ("source_language", "target_language")


class Seq2SeqGenerator(Generator):
    """A loaded summariser or translator. Call it with one text or many.

    A source that is too long is cut on the same side as by the checkpoint's tokenizer, usually at the end, and the
    answer is marked as truncated; with overflow="refuse" such a source raises InputError instead.
    """

    tasks: ClassVar[tuple[str, ...]] = ("summarization", "translation")
    family: ClassVar[str] = "encoder-decoder"
    default_overflow: ClassVar[Overflow] = "cut"

    def summarize_long(
        self,
        text: str,
        *,
        budget: int | None = None,
        separator: str = " ",
        config: GenerationConfig | None = None,
        **options: Any,
    ) -> LongGeneration:
        """Answer a text of any length chunk by chunk, and join the answers in order.

        Args:
            text: the text, which is split at paragraphs, or at sentences if a paragraph is too long, or at words if a
                sentence is too long.
            budget: the largest number of tokens in a chunk, including prefix and special tokens; None for as many as
                the model reads.
            separator: the text between the answers.
            config: generation settings, as in a call.
            options: the options of a call.

        Raises InputError if the budget is too small, or larger than the model reads, and the errors of a call.
        """
        most = self._engine.manifest.input.max_length
        budget = most if budget is None else budget
        if isinstance(budget, bool) or not isinstance(budget, int) or not 1 <= budget <= most:
            raise InputError(f"budget must be a whole number of tokens from 1 to {most}, got {budget!r}")
        reader = self._settle(config=config, overflow="refuse", **options)
        self._engine.tokens.encode(text, 0)  # raises unless `text` is a valid text
        prefix = self._direction(reader.config, options).prefix
        overhead = self._engine.tokens.count(prefix)
        if budget <= overhead:
            raise InputError(
                f"budget is {budget}, and the prefix and special tokens alone take {overhead}; raise it"
            )
        chunks = split_long(
            text,
            budget,
            lambda chunk: self._engine.tokens.count(prefix + chunk),
            lambda chunk, tokens: self._engine.tokens.beginning(chunk, tokens - overhead),
        )
        answers = self._answer(chunks, reader)
        joined = separator.join(answer.text for answer in answers if answer.text)
        return LongGeneration(joined, tuple(answers), tuple(chunks), text)

    def _reader(self, config: GenerationConfig, overflow: Overflow, options: dict[str, Any]) -> InputReader:
        chosen = self._direction(config, options)
        others = {name: value for name, value in options.items() if name not in _LANGUAGES}
        settled = config.changed(**chosen.changes).changed(**others)
        return InputReader(partial(self._source, chosen, overflow == "refuse"), settled)

    def _direction(self, config: GenerationConfig, options: Mapping[str, Any]) -> Direction:
        return direction(self._engine.manifest, config, *(options.get(name) for name in _LANGUAGES))

    def _source(self, chosen: Direction, refuse: bool, text: str, row: int) -> Tokens:
        ids, added = self._engine.tokens.encode(text, row, prefix=chosen.prefix)
        ids = [
            chosen.replacements.get(number, number) if flag else number
            for number, flag in zip(ids, added, strict=True)
        ]
        contract = self._engine.manifest.input
        side, limit = contract.truncation_side, contract.max_length
        return fit(ids, added, limit, side=side, refuse=refuse, row=row, what="source")
