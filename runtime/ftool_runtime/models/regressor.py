"""`TextRegressor` and `MultiRegressor`: regression, which gives one number or several for a text or a pair."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, overload

import numpy as np
from numpy.typing import NDArray

from ftool_runtime.bundle.manifest import Manifest
from ftool_runtime.errors import InputError
from ftool_runtime.models.base import Out
from ftool_runtime.models.text_model import TextModel
from ftool_runtime.postprocessing.classification import Score, Scores, TextInput
from ftool_runtime.session.encoder_engine import EncoderEngine
from ftool_runtime.text.encode import Tokens

if TYPE_CHECKING:
    from tokenizers import Tokenizer


class _Regressor(TextModel[Out]):
    """Base class of models whose answers are numbers."""

    # transformers' names: of regression, and of the order of documents
    tasks: ClassVar[tuple[str, ...]] = ("text-classification", "text-ranking")
    regression: ClassVar[bool] = True
    # A call refuses these options, with an error that explains why.
    call_options: ClassVar[tuple[str, ...]] = ("top_k", "thresholds", "none_below")

    @classmethod
    def width(cls, manifest: Manifest) -> int:
        """Return the number of outputs for each row: one for each name, or 1 if the only output has no name."""
        return len(manifest.labels) or 1

    @overload
    def __call__(  # type: ignore[overload-overlap]  # a str is Iterable[str] too, and the first overload wins
        self, texts: TextInput, text_pair: str | None = None
    ) -> Out: ...

    @overload
    def __call__(self, texts: Iterable[TextInput]) -> list[Out]: ...

    def __call__(
        self, texts: TextInput | Iterable[TextInput], text_pair: str | None = None, **options: None
    ) -> Out | list[Out]:
        """Return the answer to one input, or to many in one call.

        Args:
            texts: one input, or several in a list or another iterable. Each answer is independent of the other inputs.
            text_pair: for models that read pairs, the second text, if `texts` is the first text of a single pair.
            options: not supported; the options of classifiers raise InputError.

        Returns:
            One answer for one input; for several inputs a list of answers in the same order.

        Raises:
            InputError: a text is not a string, blank, not Unicode, or lacks its pair (`row` says which).
            ClosedError: after `close()`.
            OtherProcessError: in a child of the process that loaded the model.
        """
        self._settle(**options)
        return self._one_or_many(texts, text_pair, None)

    def logits(self, texts: Iterable[TextInput]) -> NDArray[np.float32]:
        """Return the graph's output, float32 (texts, outputs). Raises the errors of a call."""
        return np.asarray(self.outputs(texts))

    def _settle(self, *, top_k: None = None, thresholds: None = None, none_below: None = None) -> None:
        if any(option is not None for option in (top_k, thresholds, none_below)):
            raise InputError("top_k, thresholds and none_below are for labels; this model gives numbers")


class TextRegressor(_Regressor[Score]):
    """A loaded model whose answer is a number, such as the similarity of two texts.

    An input is a text. For models that read pairs, an input is a tuple of two texts, or a dict of "text" and
    "text_pair".
    """

    labels: ClassVar[tuple[str, ...]] = ()

    @classmethod
    def runs(cls, manifest: Manifest) -> bool:
        """Return whether this class runs bundles with this manifest."""
        return super().runs(manifest) and manifest.regression and not manifest.labels

    def _decode(self, given: TextInput, encoded: Tokens, outputs: NDArray[np.float32], _: None) -> Score:
        return Score(float(outputs[0]), encoded.truncated, given)


class MultiRegressor(_Regressor[Scores]):
    """A loaded model whose answer is several numbers by name, such as the grades of an essay.

    Inputs are those of `TextRegressor`. The names are in `labels`, in the order of the outputs.
    """

    def __init__(self, folder: Path, engine: EncoderEngine, tokenizer: "Tokenizer") -> None:
        """Make a model from `engine`, which runs the bundle in `folder`, and the bundle's tokenizer."""
        super().__init__(folder, engine, tokenizer)
        self.labels = engine.manifest.labels

    @classmethod
    def runs(cls, manifest: Manifest) -> bool:
        """Return whether this class runs bundles with this manifest."""
        return super().runs(manifest) and manifest.regression and bool(manifest.labels)

    def _decode(self, given: TextInput, encoded: Tokens, outputs: NDArray[np.float32], _: None) -> Scores:
        return Scores(dict(zip(self.labels, outputs.tolist(), strict=True)), encoded.truncated, given)
