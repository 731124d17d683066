"""`Limits`: how much one call, one question or one bundle may cost before it is refused."""

import math
from dataclasses import dataclass, fields
from typing import Final

from ftool_runtime.errors import InputError

_TIMES = ("template_seconds", "call_seconds")  # numbers; all other limits are whole numbers


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Bounds for `load` and `KnowledgeBase.open`. None switches a bound off.

    The defaults are far above any usual input: they stop texts, templates and files that were made to use up memory or
    time. A program that answers strangers should set lower ones.

    Attributes:
        text_characters: the largest number of characters in a text, a question, or all strings of a conversation; also
            in a conversation as its chat template renders it.
        texts: the largest number of texts in a call; `stream` and `predict_batches`, which read texts as they go, have
            no such bound.
        new_tokens: the largest number of tokens in an answer. A longer answer ends there, as with `max_new_tokens`:
            its `finish_reason` is "length".
        template_seconds: the longest time for rendering a conversation with its chat template.
        call_seconds: the longest time for a call, in which texts are encoded and the graphs run; for a stream of text
            the time since its first chunk was asked for. It is checked between the operators of a graph.
        bundle_bytes: the largest size of a bundle, the sum of the sizes in its manifest.
        sql_steps: the largest number of steps of SQLite's virtual machine in one read of a knowledge base.

    Raises InputError for a limit that is not a whole number of at least 1, or of seconds, a number above 0.
    """

    text_characters: int | None = 1_000_000
    texts: int | None = 10_000_000
    new_tokens: int | None = 100_000
    template_seconds: float | None = 10.0
    call_seconds: float | None = None
    bundle_bytes: int | None = 2**35
    sql_steps: int | None = 1_000_000_000

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if value is None:
                continue
            if field.name in _TIMES:
                valid = isinstance(value, int | float) and math.isfinite(value) and value > 0
                wanted = "a number of seconds above 0"
            else:
                valid, wanted = isinstance(value, int) and value >= 1, "a whole number of at least 1"
            if not valid or isinstance(value, bool):
                raise InputError(
                    f"limits: {field.name} must be {wanted}, or None for no limit, got {value!r}"
                )

    def check_text(self, text: object, place: str, row: int | None = None) -> None:
        """Raise InputError if a text has too many characters; anything but a string passes.

        `place` names the text in the error, such as "text 3"; `row` is the position of the input in the call.
        """
        if isinstance(text, str):
            self.check_characters(len(text), place, row)

    def check_characters(self, count: int, place: str, row: int | None = None) -> None:
        """Raise InputError if `count`, the number of characters of the text `place`, is too large."""
        if self.text_characters is not None and count > self.text_characters:
            raise InputError(
                f"{place} has {count:,} characters, and the limit text_characters is {self.text_characters:,}; shorten "
                "it, or load with limits=Limits(text_characters=…)",
                row=row,
            )

    def check_texts(self, row: int) -> None:
        """Raise InputError if a call may not have an input at the position `row`."""
        if self.texts is not None and row >= self.texts:
            raise InputError(
                f"a call takes at most {self.texts:,} inputs (the limit texts); give the others in further calls, use "
                "stream, or load with limits=Limits(texts=…)",
                row=row,
            )

    def check_bundle(self, place: object, size: int) -> None:
        """Raise InputError if the files of the bundle in `place` have more bytes, `size`, than a bundle may have."""
        if self.bundle_bytes is not None and size > self.bundle_bytes:
            raise InputError(
                f"{place} is a bundle of {size:,} bytes, and the limit bundle_bytes is {self.bundle_bytes:,}; load it "
                "with limits=Limits(bundle_bytes=…) if you trust its source"
            )


DEFAULT_LIMITS: Final = Limits()


def limits_of(given: Limits | None) -> Limits:
    """Return the limits of an argument `limits`, the defaults for None. Raises InputError for another type."""
    if given is not None and not isinstance(given, Limits):
        raise InputError(f"limits must be ftool_runtime.Limits(…) or None, got {type(given).__name__}")
    return DEFAULT_LIMITS if given is None else given
