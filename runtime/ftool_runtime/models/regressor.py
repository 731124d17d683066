"""Regression: a number for a text, or for a pair of them."""

from collections.abc import Iterable
from typing import ClassVar, overload

import numpy as np
from numpy.typing import NDArray

from ftool_runtime.bundle.manifest import Manifest
from ftool_runtime.errors import InputError
from ftool_runtime.models.text_model import TextModel
from ftool_runtime.postprocessing.classification import Score, TextInput
from ftool_runtime.text.encode import Tokens


class TextRegressor(TextModel[Score]):
    """A loaded model whose answers are numbers, such as the similarity of two texts.

    An input is a text; for models that read pairs it is two: a tuple of them, or a dict of "text" and "text_pair".
    """

    tasks: ClassVar[tuple[str, ...]] = ("text-classification",)  # as transformers names it
    regression: ClassVar[bool] = True
    labels: ClassVar[tuple[str, ...]] = ()
    call_options: ClassVar[tuple[str, ...]] = ("top_k", "thresholds")  # refused with a reason

    @classmethod
    def runs(cls, manifest: Manifest) -> bool:
        """Whether this class runs bundles with this manifest."""
        return super().runs(manifest) and manifest.regression

    @classmethod
    def width(cls, _: Manifest) -> int:
        """One number."""
        return 1

    @overload
    def __call__(  # type: ignore[overload-overlap]  # a str is Iterable[str] too, and the first overload wins
        self, texts: TextInput, text_pair: str | None = None
    ) -> Score: ...

    @overload
    def __call__(self, texts: Iterable[TextInput]) -> list[Score]: ...

    def __call__(
        self, texts: TextInput | Iterable[TextInput], text_pair: str | None = None, **options: None
    ) -> Score | list[Score]:
        """Return the number for one input, or for many in one call.

        Args:
            texts: a string, or strings; for models that read pairs a tuple or a dict, or several in a list. Each answer
                is independent of the other inputs.
            text_pair: for models that read pairs the second text, if `texts` is the first of one pair.
            options: none are supported; those of classifiers are refused.

        Returns:
            One answer for one input; for several a list in the same order.

        Raises:
            InputError: a text is not a string, blank, not Unicode, or lacks its pair (`row` says which).
            ClosedError: after `close()`.
            OtherProcessError: in a child of the process that loaded the model.
        """
        self._settle(**options)
        return self._one_or_many(texts, text_pair, None)

    def logits(self, texts: Iterable[TextInput]) -> NDArray[np.float32]:
        """The graph's output, float32 (texts, 1). Raises as `__call__`."""
        return np.asarray(self.outputs(texts))

    def _settle(self, *, top_k: None = None, thresholds: None = None) -> None:
        if top_k is not None or thresholds is not None:
            raise InputError("top_k and thresholds are for labels; this model gives a number")

    def _decode(self, given: TextInput, encoded: Tokens, outputs: NDArray[np.float32], _: None) -> Score:
        return Score(float(outputs[0]), encoded.truncated, given)
