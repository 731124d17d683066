"""Cross-fitting: judge models on the examples on which training tuned numbers, such as the thresholds of labels.

On these examples the numbers fit the trained model's answers too well, and so its score is too high. A quantised bundle
with the same numbers loses that advantage, even if its answers are as good (docs/adr/0020). So each example is judged
with numbers that were tuned on other examples (cross-fitting: Chernozhukov et al. 2018).
"""

import functools
import logging
from collections.abc import Callable
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ftool.data.dataset import fingerprint

log = logging.getLogger(__name__)

FOLDS: Final = 10

# Takes the positions of some examples, int64 (n,), and returns the numbers that are tuned on them.
Tuner = Callable[[NDArray[np.int64]], Any]


def cross_fitted(tune: Tuner, examples: int) -> NDArray[np.float64]:
    """Return for each example the numbers that are tuned on the other folds' examples, float64 (examples, ...).

    The folds depend only on the number of examples, so that all models are judged with the same. A single example,
    which has no others, gets the numbers that are tuned on itself.
    """
    folds = np.random.default_rng(0).permutation(examples) % FOLDS
    found: list[Any] = [None] * examples
    for fold in range(min(FOLDS, examples)):
        inside = np.flatnonzero(folds == fold)
        outside = np.flatnonzero(folds != fold)
        numbers = tune(outside if len(outside) else inside)
        for example in inside:
            found[example] = numbers
    return np.array(found, dtype=np.float64)


def tuned_for(judged: Any, tuning: Any, tune: Tuner) -> Any:
    """Return numbers to judge the examples of the split `judged` with, tuned on the examples of the split `tuning`.

    They are cross-fitted if `tuning` has all examples of `judged`.
    """
    places = {fingerprint([one]): place for place, one in enumerate(tuning.examples)}
    found = [place for one in judged.examples if (place := places.get(fingerprint([one]))) is not None]
    if len(found) < len(judged):
        return tune(np.arange(len(tuning)))
    return cross_fitted(tune, len(tuning))[found]


def judging_numbers(
    loaded: Any, split: Any, shipped: Any, fit: Callable[[], Any]
) -> tuple[bool, Callable[[], Any]]:
    """Return whether `loaded` is judged on `split` with cross-fitted numbers, and a function that returns the numbers.

    They are those of `fit`, which is called once, if training tuned the `shipped` ones on these examples.
    """
    crossed = loaded.has_tuned_numbers and tuned_on(loaded, split)
    return crossed, functools.cache(fit) if crossed else lambda: shipped


def tuned_on(loaded: Any, split: Any) -> bool:
    """Return whether training tuned the numbers of `loaded`, a `LoadedModel` that has some, on the examples of `split`.

    Logs a warning if that is not known, because an older ftool trained the model.
    """
    if loaded.tuned_on is None and loaded.training_sha256 is not None:
        log.warning(
            "%s was trained by an ftool that did not record on which examples it tuned thresholds, so bundles are "
            "judged with these thresholds, which favours torch if the examples are the same; train again",
            loaded.task,
        )
    return loaded.tuned_on is not None and bool(loaded.tuned_on == fingerprint(split.examples))
