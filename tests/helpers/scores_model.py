"""The runtime's part of a task that a user adds to ftool: a model that gives a text several named numbers."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from ftool_runtime.bundle.manifest import Manifest
from ftool_runtime.models.text_model import TextModel
from ftool_runtime.postprocessing.classification import TextInput
from ftool_runtime.session.encoder_engine import EncoderEngine
from ftool_runtime.text.encode import Tokens


@dataclass(frozen=True, slots=True)
class NamedNumbers:
    """The model's answer to one text: numbers by name."""

    values: Mapping[str, float]
    truncated: bool = False

    def to_json(self, given: Any = None) -> dict[str, Any]:
        """Return the answer as the JSON object that `predict` prints."""
        return {"text": given, "numbers": dict(self.values), "truncated": self.truncated}


class TextScorer(TextModel[NamedNumbers]):
    """A loaded model that gives a text one number for each name in the manifest's labels."""

    tasks: ClassVar[tuple[str, ...]] = ("text-scoring",)

    def __init__(self, folder: Any, engine: EncoderEngine) -> None:
        super().__init__(folder, engine)
        self.labels = engine.manifest.labels

    @classmethod
    def width(cls, manifest: Manifest) -> int:
        """Return the width of the output: the number of names."""
        return len(manifest.labels)

    def __call__(self, texts: Any) -> Any:
        """Return the numbers of a text, or of each text in a list."""
        return self._one_or_many(texts, None, None)

    def _settle(self) -> None:
        pass

    def _decode(self, given: TextInput, encoded: Tokens, outputs: Any, _: None) -> NamedNumbers:
        return NamedNumbers(dict(zip(self.labels, outputs.tolist(), strict=True)), encoded.truncated)
