"""`verify`: prove that a bundle is what was exported, and that it computes and answers here as it did there."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ftool_runtime.bundle.golden import Golden, encoder_answers, first_difference, largest_difference
from ftool_runtime.bundle.integrity import altered_files
from ftool_runtime.bundle.manifest import Manifest
from ftool_runtime.bundle.paths import GOLDEN_FILE
from ftool_runtime.errors import BundleError
from ftool_runtime.loading import load
from ftool_runtime.session.onnx_session import Device

_NO_DIGEST: Final = (
    "ftool.json was written before manifests had a digest, so its labels, thresholds and lengths could not be checked: "
    "export the bundle again"
)
_NO_ANSWERS: Final = (
    "golden.json was written before it held answers, so only numbers were compared: export the bundle again"
)
_EXPLAINED: Final = "explained"
_LONGEST_SHOWN: Final = 60  # characters of an input in a message


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """Comparison of the golden inputs' numbers and answers with those of this machine.

    Attributes:
        source: whose numbers the golden ones are: "torch" or "bundle".
        examples: golden inputs.
        max_difference: the largest absolute difference of a number of the graph.
        tolerance: the largest that passes.
        same_answers: answers that came out the same.
        explained: generated answers that part where two tokens' logits lie closer than twice the tolerance.
        changed: the other answers, one line each; empty too if the bundle holds no golden answers.
    """

    source: str
    examples: int
    max_difference: float
    tolerance: float
    same_answers: int = 0
    explained: int = 0
    changed: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether no number differs by more than the tolerance, and no answer by more than that explains."""
        return self.max_difference <= self.tolerance and not self.changed  # False for NaN

    def summary(self) -> str:
        """One line for people."""
        explained = f" and {self.explained} part where two tokens are as good" if self.explained else ""
        return (
            f"{self.examples} golden inputs ({self.source}): {self.same_answers} answers the same{explained}; largest "
            f"difference {self.max_difference:.2g}, tolerance {self.tolerance:.2g}"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifyReport:
    """What `verify` found.

    Attributes:
        bundle: the folder.
        files: how many files the manifest lists.
        altered: what is wrong with each file that is not as listed, by its name.
        failure: why the replay could not be run; None where it ran, or where files are altered (it is not tried).
        replay: how the golden inputs came out; None if they were not replayed.
        notes: what could not be checked, one line each.
    """

    bundle: str
    files: int
    altered: Mapping[str, str]
    failure: str | None
    replay: Replay | None
    notes: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether manifest and files are as exported and every golden input gave its outputs."""
        return not self.altered and self.replay is not None and self.replay.passed

    def to_json(self) -> dict[str, Any]:
        """The report as JSON values."""
        replay = None if self.replay is None else {"passed": self.replay.passed, **asdict(self.replay)}
        return {**asdict(self), "passed": self.passed, "replay": replay}


def verify(folder: Path | str, *, device: Device = "cpu", threads: int | None = None) -> VerifyReport:
    """Check the manifest's digest and every file's hash, then replay the golden inputs one at a time.

    Args:
        folder: the bundle.
        device: as for `load`.
        threads: as for `load`.

    Raises:
        BundleError: the folder is not a bundle, or its manifest is damaged.
        DeviceError, InputError, RuntimeMissingError: as for `load`.
    """
    folder = Path(folder)
    manifest = Manifest.read(folder, accept_edited=True)
    altered = altered_files(folder, manifest)
    golden, found, failure = None, None, None
    if not altered:
        try:
            golden = _golden(folder, manifest)
            with load(folder, device=device, threads=threads) as model:
                found = replay(golden, model)
        except BundleError as error:
            failure = str(error)
    before = {_NO_DIGEST: manifest.schema == 1, _NO_ANSWERS: golden is not None and not golden.answers}
    return VerifyReport(
        bundle=str(folder),
        files=len(manifest.files),
        altered=altered,
        failure=failure,
        replay=found,
        notes=tuple(note for note, applies in before.items() if applies),
    )


def replay(golden: Golden, model: Any) -> Replay:
    """Ask a loaded bundle the golden inputs, one at a time, and compare numbers and answers. Raises as the model."""
    compare = _compare_texts if golden.tokens else _compare_answers
    difference, found = compare(golden, model)
    changed = [
        f"golden input {place} {_shown(given)}: {problem}"
        for place, (given, problem) in enumerate(zip(golden.inputs, found, strict=False))
        if problem not in (None, _EXPLAINED)
    ]
    return Replay(
        source=golden.source,
        examples=len(golden.inputs),
        max_difference=difference,
        tolerance=golden.tolerance,
        same_answers=found.count(None),
        explained=found.count(_EXPLAINED),
        changed=tuple(changed),
    )


def _compare_answers(golden: Golden, model: Any) -> tuple[float, list[str | None]]:
    """Compare an encoder's numbers, and the answers that its post-processing makes of the golden numbers.

    Numbers within the tolerance may still turn an answer over that two labels share nearly evenly; the golden numbers
    themselves always give the golden answers.
    """
    found = [row for given in golden.inputs for row in model.outputs([given])]
    difference = largest_difference(golden.rows(), found)
    answers = encoder_answers(model, golden) if golden.answers else []
    return difference, [first_difference(a, b) for a, b in zip(golden.answers, answers, strict=True)]


def _compare_texts(golden: Golden, model: Any) -> tuple[float, list[str | None]]:
    """Compare a generator's first logits, its answers token for token, and their texts."""
    differences, found = [0.0], []
    for given, answer, tokens, logits in zip(
        golden.inputs, golden.answers, golden.tokens, golden.rows(), strict=True
    ):
        row = model.tokenize([given])[0] if isinstance(given, str) else list(given)
        expected: list[int] = list(answer["token_ids"])
        got = list(model.generate([row], **golden.options)[0].ids)
        scores = model.score_tokens([row], [expected])[0]
        differences.append(float(np.abs(scores[0][list(tokens)] - logits).max()))
        text = {"text": model.decode(expected), "token_ids": expected}
        problem = first_difference(answer, text)
        found.append(problem or _parting(expected, got, scores, golden.tolerance))
    return float(np.max(differences)), found  # NaN where one is


def _parting(
    expected: list[int], got: list[int], scores: NDArray[np.float32], tolerance: float
) -> str | None:
    """Return None for equal answers, `_EXPLAINED` if they part at two tokens that are as good, else what differs."""
    if expected == got:
        return None
    place = next((i for i, pair in enumerate(zip(expected, got, strict=False)) if pair[0] != pair[1]), None)
    if place is None:
        return f"the answer has {len(got)} tokens and not {len(expected)}"
    gap = abs(float(scores[place][expected[place]] - scores[place][got[place]]))
    if gap <= 2 * tolerance:
        return _EXPLAINED
    return f"token {place} of the answer is {got[place]} and not {expected[place]}"


def _shown(given: Any) -> str:
    text = given if isinstance(given, str) else json.dumps(given, ensure_ascii=False)
    return repr(text if len(text) <= _LONGEST_SHOWN else text[: _LONGEST_SHOWN - 3] + "...")


def _golden(folder: Path, manifest: Manifest) -> Golden:
    if GOLDEN_FILE not in manifest.files:
        raise BundleError(f"the manifest does not list {GOLDEN_FILE}: nothing to replay")
    return Golden.read(folder)
