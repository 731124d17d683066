"""A task of one's own, the runtime's side: a model that gives a text several named numbers."""

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
    """Numbers by name."""

    values: Mapping[str, float]
    truncated: bool = False

    def to_json(self, given: Any = None) -> dict[str, Any]:
        """The answer as `predict` prints it."""
        return {"text": given, "numbers": dict(self.values), "truncated": self.truncated}


class TextScorer(TextModel[NamedNumbers]):
    """A loaded model that gives a text a number for each of its names."""

    tasks: ClassVar[tuple[str, ...]] = ("text-scoring",)

    def __init__(self, folder: Any, engine: EncoderEngine) -> None:
        super().__init__(folder, engine)
        self.labels = engine.manifest.labels

    @classmethod
    def width(cls, manifest: Manifest) -> int:
        """A number for each name."""
        return len(manifest.labels)

    def __call__(self, texts: Any) -> Any:
        """The numbers of a text, or of several in a list."""
        return self._one_or_many(texts, None, None)

    def _settle(self) -> None:
        pass

    def _decode(self, given: TextInput, encoded: Tokens, outputs: Any, _: None) -> NamedNumbers:
        return NamedNumbers(dict(zip(self.labels, outputs.tolist(), strict=True)), encoded.truncated)
