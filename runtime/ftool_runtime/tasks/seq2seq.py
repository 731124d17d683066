"""Encoder-decoders: summaries and translations."""

from functools import partial
from typing import Any, ClassVar

from ftool_runtime.generation.config import GenerationConfig
from ftool_runtime.generation.languages import Direction, direction
from ftool_runtime.generation.prompts import Prompt, fit
from ftool_runtime.tasks.generator import Generator, Overflow, Reader


class Seq2SeqGenerator(Generator):
    """A loaded summariser or translator. Call it on one text or on many.

    A source that is too long is cut at its end, as a classifier's text is, and the answer says so; overflow="refuse"
    raises InputError instead.
    """

    family: ClassVar[str] = "encoder-decoder"
    default_overflow: ClassVar[Overflow] = "cut"

    def _reader(self, config: GenerationConfig, overflow: Overflow, options: dict[str, Any]) -> Reader:
        source, target = options.pop("source_language", None), options.pop("target_language", None)
        chosen = direction(self._engine.manifest, config, source, target)
        settled = config.changed(**chosen.changes).changed(**options)
        return Reader(partial(self._source, chosen, overflow == "refuse"), settled)

    def _source(self, chosen: Direction, refuse: bool, text: str, row: int) -> Prompt:
        ids, added = self._engine.tokens.encode(text, row, prefix=chosen.prefix)
        ids = [
            chosen.exchanged.get(number, number) if flag else number
            for number, flag in zip(ids, added, strict=True)
        ]
        limit = self._engine.manifest.input.max_length
        return fit(ids, added, limit, side="right", refuse=refuse, row=row, what="source")
