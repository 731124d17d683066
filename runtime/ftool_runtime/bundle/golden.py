"""`golden.json`: inputs with the outputs and answers that they gave at export, for `verify` to compare."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Final, Literal, Self

import numpy as np
from numpy.typing import NDArray

from ftool_runtime.atomic import replacing
from ftool_runtime.bundle.files import LARGEST_GOLDEN, read_json_file
from ftool_runtime.bundle.paths import GOLDEN_FILE
from ftool_runtime.errors import BundleError
from ftool_runtime.schema import JSON
from ftool_runtime.session.encoder_engine import Outputs

Source = Literal["torch", "bundle"]
Texts = Literal["probes", "data"]
TokenIds = tuple[int, ...]

GREEDY: Final[Mapping[str, Any]] = {"num_beams": 1, "do_sample": False, "num_return_sequences": 1}
BEST_TOKENS: Final = 16  # logits kept for each input: enough to tell models apart, and small in a file
_DIGITS: Final = 6  # decimal places of numbers in the file; the rounding is far below any tolerance
_CLOSE: Final = (
    1e-4  # relative difference of scores in answers that is rounding, since they use the same outputs
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Golden:
    """The content of `golden.json`. The constructor raises BundleError for inconsistent content.

    Attributes:
        source: the origin of the outputs: "torch" for fp32 bundles, "bundle" (the exported bundle) otherwise.
        tolerance: the largest absolute difference from `outputs` at which `verify` still passes.
        inputs: the inputs, as JSON values, to be answered one at a time. An input of a generator is a text or a list of
            token ids.
        outputs: the graph's outputs. An input has one or more rows. The output for a row is a list of numbers, or one
            such list for each token. For generators, each input has one row, which holds the logits of `tokens`.
        answers: the answer to each input, as JSON values; empty in old bundles.
        texts: the origin of the inputs: "probes" for ftool's own texts, "data" for examples of the user's data.
        tokens: for generators, for each input the ids of the most probable first tokens, whose logits are in `outputs`.
        options: for generators, the options of the call that gave the answers.
        settings: the manifest's settings at export, by field (`ftool_runtime.bundle.origin`); empty in old bundles.
        files: the SHA-256 of the files at export that change answers and that golden inputs may not show, by name.
    """

    source: Source
    tolerance: float
    inputs: tuple[Any, ...]
    outputs: tuple[tuple[Any, ...], ...]
    answers: tuple[Mapping[str, Any], ...] = ()
    texts: Texts = "data"
    tokens: tuple[TokenIds, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.tolerance > 0:
            raise BundleError(f"tolerance must be above 0, got {self.tolerance}")
        if not self.inputs or len(self.outputs) < len(self.inputs):
            raise BundleError(f"{len(self.inputs)} inputs and {len(self.outputs)} rows of outputs")
        if not all(np.isfinite(row).all() for row in self.rows()):
            raise BundleError("outputs must be finite numbers")
        if self.answers and len(self.answers) != len(self.inputs):
            raise BundleError(f"{len(self.inputs)} inputs and {len(self.answers)} answers")
        if self.tokens and [*map(len, self.tokens)] != [*map(len, self.outputs)]:
            raise BundleError("tokens and their outputs differ in number")
        if self.tokens:
            self._check_texts()

    def _check_texts(self) -> None:
        """Check what only generators have. Raises BundleError."""
        if not len(self.inputs) == len(self.outputs) == len(self.answers):
            raise BundleError(
                f"{len(self.inputs)} inputs, {len(self.outputs)} rows of outputs and {len(self.answers)} answers"
            )
        for given in self.inputs:
            if not isinstance(given, str) and not _are_ids(given):
                raise BundleError(f"an input must be a text or token ids, got {str(given)[:40]!r}")
        for answer in self.answers:
            if not _are_ids(answer.get("token_ids")):
                raise BundleError(f"an answer needs a list of token_ids, got {str(dict(answer))[:60]!r}")

    def rows(self) -> list[NDArray[np.float32]]:
        """Return `outputs` as float32 arrays, (width,) or (tokens, width) for each row."""
        return [np.asarray(row, dtype=np.float32) for row in self.outputs]

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Return the golden answers of the bundle in `folder`. Raises BundleError if the file is missing or damaged."""
        try:
            return JSON.build(cls, _as_now(read_json_file(folder, GOLDEN_FILE, LARGEST_GOLDEN)))
        except (ValueError, TypeError, BundleError) as error:  # outputs that are not numbers
            raise BundleError(f"can't use {folder / GOLDEN_FILE}: {error}") from error

    def write(self, folder: Path) -> None:
        """Write `golden.json` into `folder`; the file is replaced whole or not at all. Raises OSError."""
        with replacing(folder / GOLDEN_FILE) as file:
            json.dump(asdict(self), file, ensure_ascii=False, allow_nan=False)
            file.write("\n")


def _are_ids(value: object) -> bool:
    return isinstance(value, list | tuple) and all(type(one) is int and 0 <= one < 2**31 for one in value)


def _as_now(values: Any) -> Any:
    """Convert the old form of generators' files, with `rows`, `best` and `logits`, to the current form."""
    if not isinstance(values, dict) or "rows" not in values:
        return values
    answers = values.get("answers")
    return {
        "source": values.get("source"),
        "tolerance": values.get("tolerance"),
        "inputs": values["rows"],
        "outputs": values.get("logits"),
        "tokens": values.get("best"),
        "answers": [{"token_ids": ids} for ids in answers] if isinstance(answers, list) else answers,
        "options": {**GREEDY, "max_new_tokens": values.get("max_new_tokens")},
    }


GenerationGolden = Golden  # a public name from when generators had another form


def encoder_golden(
    model: Any, inputs: Sequence[Any], outputs: Outputs, *, source: Source, tolerance: float, texts: Texts
) -> Golden:
    """Return the golden answers of a model whose graph is one encoder.

    Args:
        model: the loaded bundle; its post-processing turns `outputs` into the answers.
        inputs: the golden inputs, as JSON values.
        outputs: the outputs for all rows of all inputs, in the form that the model's method `outputs` returns.
        source: as in `Golden`.
        tolerance: as in `Golden`.
        texts: as in `Golden`.
    """
    rows = [np.round(np.asarray(row, dtype=np.float64), _DIGITS).tolist() for row in outputs]
    golden = Golden(
        source=source,
        tolerance=tolerance,
        inputs=tuple(inputs),
        outputs=tuple(tuple(row) for row in rows),
        texts=texts,
    )
    return replace(golden, answers=tuple(encoder_answers(model, golden)))


def generator_golden(
    model: Any,
    inputs: Sequence[Any],
    answers: Sequence[Sequence[int]],
    first_logits: Sequence[NDArray[Any]],
    *,
    options: Mapping[str, Any],
    source: Source,
    tolerance: float,
    texts: Texts,
) -> Golden:
    """Return the golden answers of a model that generates text.

    Args:
        model: the loaded bundle; it decodes the answers.
        inputs: sources or prompts, each a text or token ids.
        answers: the token ids of each answer.
        first_logits: for each input the graph's logits of the answer's first token, (vocabulary,).
        options: the options of the call that gave the answers.
        source: as in `Golden`.
        tolerance: as in `Golden`.
        texts: as in `Golden`.
    """
    arrays = [np.asarray(logits, np.float64) for logits in first_logits]
    best = [np.argsort(-logits, kind="stable")[:BEST_TOKENS] for logits in arrays]
    rows = [np.round(logits[places], _DIGITS).tolist() for logits, places in zip(arrays, best, strict=True)]
    return Golden(
        source=source,
        tolerance=tolerance,
        inputs=tuple(inputs),
        outputs=tuple(map(tuple, rows)),
        answers=tuple({"text": model.decode(ids), "token_ids": list(ids)} for ids in answers),
        texts=texts,
        tokens=tuple(tuple(places.tolist()) for places in best),
        options=dict(options),
    )


def encoder_answers(model: Any, golden: Golden) -> list[dict[str, Any]]:
    """Return the model's answers to the golden inputs, computed from the golden outputs, as JSON values.

    The input's own texts are left out, and so are vectors, because `outputs` holds them.
    """
    return [
        {
            key: value
            for key, value in answer.to_json().items()
            if key not in model.input_fields and not _is_vector(value)
        }
        for answer in model.answers(golden.inputs, golden.rows())
    ]


def _is_vector(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(number, float) for number in value)


def first_difference(expected: Any, found: Any, at: str = "answer") -> str | None:
    """Return a description of the first difference between two answers; None if they are the same.

    `at` is the path of the answers in the description. Keys that only `found` has are ignored, because later versions
    may add keys. Scores may differ by rounding.
    """
    if isinstance(expected, Mapping) and isinstance(found, Mapping):
        pairs = [(f"{at}.{key}", expected[key], found.get(key)) for key in expected]
    elif isinstance(expected, list | tuple) and isinstance(found, list | tuple):
        if len(expected) != len(found):
            return f"{at} has length {len(found)} and not {len(expected)}"
        pairs = [(f"{at}[{i}]", *both) for i, both in enumerate(zip(expected, found, strict=True))]
    else:
        return None if _same(expected, found) else f"{at} is {found!r} and not {expected!r}"
    return next((text for place, a, b in pairs if (text := first_difference(a, b, place))), None)


def _same(expected: object, found: object) -> bool:
    if isinstance(expected, float) and isinstance(found, int | float):
        return abs(expected - found) <= _CLOSE * max(1.0, abs(expected))
    return expected == found and type(expected) is type(found)


def largest_difference(expected: Outputs, found: Outputs) -> float:
    """Return the largest absolute difference of two sets of outputs. Raises BundleError if their shapes differ."""
    shapes = [[np.shape(row) for row in rows] for rows in (expected, found)]
    if shapes[0] != shapes[1]:
        differing = (i for i, (a, b) in enumerate(zip(*shapes, strict=False)) if a != b)
        row = next(differing, min(map(len, shapes)))
        raise BundleError(
            f"the outputs differ in shape from row {row} on ({len(shapes[0])} and {len(shapes[1])} rows): the bundle "
            "splits its inputs into different tokens; export it again"
        )
    differences = [_difference(a, b) for a, b in zip(expected, found, strict=True)]
    return float(np.max(differences, initial=0.0))  # NaN stays NaN


def _difference(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    return float(np.abs(a.astype(np.float64) - b).max(initial=0.0))
