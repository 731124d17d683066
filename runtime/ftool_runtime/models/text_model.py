"""`TextModel`: base class of encoder models that read a text, or a pair of texts, as one row of tokens."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from ftool_runtime.errors import InputError
from ftool_runtime.models.base import Out
from ftool_runtime.models.encoder_model import EncoderModel
from ftool_runtime.postprocessing.classification import TextInput
from ftool_runtime.session.encoder_engine import EncoderEngine
from ftool_runtime.text.encode import TokenEncoder, Tokens

if TYPE_CHECKING:
    from tokenizers import Tokenizer


class TextModel(EncoderModel[TextInput, Out]):
    """Base class of loaded models whose input is a text, or, if `pairs`, two texts.

    Two texts are a tuple, or a mapping of "text" and "text_pair".
    """

    regression: ClassVar[bool] = False  # whether answers are numbers

    def __init__(self, folder: Path, engine: EncoderEngine, tokenizer: "Tokenizer") -> None:
        """Make a model from `engine`, which runs the bundle in `folder`, and the bundle's tokenizer."""
        super().__init__(folder, engine, tokenizer)
        self._tokens = TokenEncoder(self._tokenizer, engine.manifest.input, self._limits)
        self.pairs = engine.manifest.pairs

    @property
    def input_fields(self) -> tuple[str, ...]:
        """The names of an input's texts: "text", and "text_pair" if the model reads pairs."""
        return ("text", "text_pair") if self.pairs else ("text",)

    def _one_or_many(self, texts: Any, text_pair: Any, options: Any) -> Out | list[Out]:
        """Return the answer to one input, or a list of answers to several inputs."""
        if text_pair is not None:
            texts = self._pair(texts, text_pair)
        if isinstance(texts, str) or (self.pairs and isinstance(texts, tuple | Mapping)):
            return self._one(texts, options)
        return self._many(texts, options)

    def _pair(self, text: Any, text_pair: Any) -> tuple[str, str]:
        if not self.pairs:
            raise InputError("this model takes one text at a time; give several in a list")
        if not isinstance(text, str) or not isinstance(text_pair, str):
            raise InputError("this model takes a pair as two strings, or pairs in a list")
        return text, text_pair

    def _encode(self, given: Any, row: int, _: Any) -> Tokens:
        if not self.pairs:
            return self._tokens.encode(given, row)
        text, pair = _pair_of(given, row)
        return self._tokens.encode(text, row, pair)


def _pair_of(given: object, row: int) -> tuple[str, str]:
    if isinstance(given, Mapping) and given.keys() == {"text", "text_pair"}:
        return given["text"], given["text_pair"]
    if isinstance(given, tuple | list) and len(given) == 2:
        return given[0], given[1]
    raise InputError(
        f'input {row}: this model takes two texts, as a tuple or as a dict of "text" and "text_pair"', row=row
    )
