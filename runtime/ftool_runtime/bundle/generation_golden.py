"""`golden.json` of models that generate text: token ids with the answers they must get, and proof of them."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, Self

import numpy as np
from numpy.typing import ArrayLike

from ftool_runtime.atomic import replacing
from ftool_runtime.bundle.golden import SOURCES
from ftool_runtime.bundle.paths import GOLDEN_FILE, path_inside
from ftool_runtime.errors import BundleError
from ftool_runtime.schema import JSON

if TYPE_CHECKING:
    from ftool_runtime.models.generator import Generator

BEST_TOKENS: Final = 16  # of each row: enough to tell one model from another, and small in a file

Ids = tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerationGolden:
    """Sources or prompts, and what must come of them.

    Attributes:
        source: whose answers they are: torch's (fp32 bundles) or the bundle's own, as exported (other precisions).
        tolerance: the largest absolute difference of a logit that passes.
        rows: token ids of the sources or prompts.
        max_new_tokens: of the answers.
        answers: their token ids, by the bundle's config with num_beams=1, do_sample=False and `max_new_tokens`.
        best: for each row the best tokens to begin its answer with, by the graph's own logits.
        logits: for each row the logits of these.
    """

    source: Literal["torch", "bundle"]
    tolerance: float
    rows: tuple[Ids, ...]
    max_new_tokens: int
    answers: tuple[Ids, ...]
    best: tuple[Ids, ...]
    logits: tuple[tuple[float, ...], ...]

    def __post_init__(self) -> None:
        if self.source not in SOURCES:
            raise BundleError(f"source must be one of {', '.join(SOURCES)}, got {self.source!r}")
        if not self.tolerance > 0:
            raise BundleError(f"tolerance must be above 0, got {self.tolerance}")
        if self.max_new_tokens < 1:
            raise BundleError(f"max_new_tokens must be at least 1, got {self.max_new_tokens}")
        if not self.rows or {len(self.answers), len(self.best), len(self.logits)} != {len(self.rows)}:
            raise BundleError(
                f"{len(self.rows)} rows, {len(self.answers)} answers and {len(self.best)} logits"
            )
        for row, answer, best, logits in zip(self.rows, self.answers, self.best, self.logits, strict=True):
            if not row or not answer or not best or len(best) != len(logits):
                raise BundleError("a row, an answer or its logits are empty or of different lengths")

    @classmethod
    def of(
        cls,
        *,
        source: Literal["torch", "bundle"],
        tolerance: float,
        rows: Sequence[Sequence[int]],
        max_new_tokens: int,
        answers: Sequence[Sequence[int]],
        first_logits: Sequence[ArrayLike],
    ) -> Self:
        """Keep the best of `first_logits`: for each row (vocabulary,), the graph's of its answer's first token."""
        arrays = [np.asarray(logits, np.float64) for logits in first_logits]
        best = [np.argsort(-logits, kind="stable")[:BEST_TOKENS] for logits in arrays]
        return cls(
            source=source,
            tolerance=tolerance,
            rows=tuple(tuple(row) for row in rows),
            max_new_tokens=max_new_tokens,
            answers=tuple(tuple(answer) for answer in answers),
            best=tuple(tuple(places.tolist()) for places in best),
            logits=tuple(tuple(logits[places].tolist()) for logits, places in zip(arrays, best, strict=True)),
        )

    @classmethod
    def read(cls, folder: Path) -> Self:
        """The golden answers of the bundle in `folder`. Raises BundleError where the file is missing or damaged."""
        path = path_inside(folder, GOLDEN_FILE)
        try:
            return JSON.build(cls, json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError, RecursionError, BundleError) as error:
            raise BundleError(f"can't use {path}: {error}") from error

    def write(self, folder: Path) -> None:
        """Write `golden.json` into `folder`, whole or not at all. Raises OSError as writing does."""
        with replacing(folder / GOLDEN_FILE) as file:
            json.dump(asdict(self), file, ensure_ascii=False, allow_nan=False)
            file.write("\n")


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerationReplay:
    """How the golden answers came out here.

    Attributes:
        source: whose they are.
        examples: how many.
        same_answers: how many came out the same in every token.
        explained: how many of the others part where two tokens' logits lie closer than twice the tolerance.
        max_difference: the largest difference of a logit of the first token.
        tolerance: the largest that passes.
    """

    source: str
    examples: int
    same_answers: int
    explained: int
    max_difference: float
    tolerance: float

    @property
    def passed(self) -> bool:
        """Whether no logit differs by more than the tolerance, and no answer by more than that explains."""
        close = self.max_difference <= self.tolerance  # False for NaN
        return close and self.same_answers + self.explained == self.examples

    def summary(self) -> str:
        """One line for people."""
        return (
            f"{self.examples} golden answers ({self.source}): {self.same_answers} the same, {self.explained} part "
            f"where two tokens are as good; largest difference of a logit {self.max_difference:.2g}, "
            f"tolerance {self.tolerance:.2g}"
        )


def replay(golden: GenerationGolden, model: "Generator") -> GenerationReplay:
    """Answer the golden rows one at a time. Raises as the model does."""
    options: dict[str, Any] = {"num_beams": 1, "do_sample": False, "num_return_sequences": 1}
    options["max_new_tokens"] = golden.max_new_tokens
    differences, same, explained = [0.0], 0, 0
    for row, answer, best, logits in zip(
        golden.rows, golden.answers, golden.best, golden.logits, strict=True
    ):
        got = model.generate([row], **options)[0].ids
        scores = model.score_tokens([row], [answer])[0]
        differences.append(float(np.abs(scores[0][list(best)] - np.array(logits)).max()))
        parting = next(
            (i for i, pair in enumerate(zip(answer, got, strict=False)) if pair[0] != pair[1]), None
        )
        if parting is None:
            same += len(got) == len(answer)
        else:
            gap = abs(float(scores[parting][answer[parting]] - scores[parting][got[parting]]))
            explained += gap <= 2 * golden.tolerance
    return GenerationReplay(
        source=golden.source,
        examples=len(golden.rows),
        same_answers=same,
        explained=explained,
        max_difference=float(np.max(differences)),  # NaN where one is
        tolerance=golden.tolerance,
    )
