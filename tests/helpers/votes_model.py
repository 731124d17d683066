"""The runtime's part of a task that a user adds to ftool: a model that says how people would vote on a text."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from ftool_runtime.bundle.manifest import Manifest
from ftool_runtime.models.text_model import TextModel
from ftool_runtime.numerics import softmax
from ftool_runtime.postprocessing.classification import TextInput
from ftool_runtime.session.encoder_engine import EncoderEngine
from ftool_runtime.text.encode import Tokens


@dataclass(frozen=True, slots=True)
class Shares:
    """The model's answer to one text: the share of votes for each choice, from 0 to 1."""

    values: Mapping[str, float]
    truncated: bool = False

    def to_json(self, given: Any = None) -> dict[str, Any]:
        """Return the answer as the JSON object that `predict` prints."""
        return {"text": given, "shares": dict(self.values), "truncated": self.truncated}


class VoteGuesser(TextModel[Shares]):
    """A loaded model that gives a text the shares of votes for the choices in the manifest's labels."""

    tasks: ClassVar[tuple[str, ...]] = ("vote-guessing",)

    def __init__(self, folder: Any, engine: EncoderEngine, tokenizer: Any) -> None:
        super().__init__(folder, engine, tokenizer)
        self.labels = engine.manifest.labels

    @classmethod
    def width(cls, manifest: Manifest) -> int:
        """Return the width of the output: the number of choices."""
        return len(manifest.labels)

    def __call__(self, texts: Any) -> Any:
        """Return the shares of votes on a text, or on each text in a list."""
        return self._one_or_many(texts, None, None)

    def _settle(self) -> None:
        pass

    def _decode(self, given: TextInput, encoded: Tokens, outputs: Any, _: None) -> Shares:
        return Shares(
            dict(zip(self.labels, softmax(outputs[None])[0].tolist(), strict=True)), encoded.truncated
        )
