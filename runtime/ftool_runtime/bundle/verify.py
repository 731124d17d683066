"""`verify`: check that a bundle is as exported and gives the same outputs and answers on this machine."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ftool_runtime.bundle.golden import Golden, encoder_answers, first_difference, largest_difference
from ftool_runtime.bundle.integrity import altered_files
from ftool_runtime.bundle.manifest import Manifest
from ftool_runtime.bundle.origin import changed_since
from ftool_runtime.bundle.paths import GOLDEN_FILE, SIGNATURE_FILE
from ftool_runtime.bundle.signature import TrustedKey, signer
from ftool_runtime.errors import BundleError, InputError, SignatureError, TimeLimitError
from ftool_runtime.limits import Limits
from ftool_runtime.loading import load
from ftool_runtime.session.onnx_session import Device

_NO_DIGEST: Final = (
    "ftool.json was written before manifests had a digest, so its labels, thresholds and lengths could not be checked: "
    "export the bundle again"
)
_NO_ANSWERS: Final = (
    "golden.json was written before it held answers, so only numbers were compared: export the bundle again"
)
_NO_SETTINGS: Final = (
    "golden.json was written before it held the bundle's settings, so only answers were compared: export the bundle "
    "again"
)
_EXPLAINED: Final = "explained"
_LONGEST_SHOWN: Final = 60  # characters of an input in a message


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """Comparison of golden outputs and answers with the outputs and answers on this machine.

    Attributes:
        source: the origin of the golden outputs, "torch" or "bundle".
        examples: the number of golden inputs.
        max_difference: the largest absolute difference of an output of the graph.
        tolerance: the largest difference that passes.
        same_answers: the number of answers that are the same.
        explained: the number of generated answers that differ, but whose first differing token and the golden token
            have logits within twice the tolerance of each other.
        changed: one line for each other answer that differs; empty if the bundle holds no golden answers.
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
        """Whether all outputs are within the tolerance and all answers are the same or differ by tied tokens."""
        return self.max_difference <= self.tolerance and not self.changed  # False for NaN

    def summary(self) -> str:
        """Return the comparison as one line of text."""
        explained = f" and {self.explained} differ where two tokens are tied" if self.explained else ""
        return (
            f"{self.examples} golden inputs ({self.source}): {self.same_answers} answers the same{explained}; largest "
            f"difference {self.max_difference:.2g}, tolerance {self.tolerance:.2g}"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifyReport:
    """The results of `verify`.

    Attributes:
        bundle: the bundle's folder.
        files: the number of files that the manifest lists.
        altered: the problem with each file that is not as exported, by file name.
        failure: why the replay failed; None if the replay ran, or was skipped because files are altered.
        replay: the comparison of golden outputs and answers; None if the golden inputs were not replayed.
        notes: one line for each check that was not possible.
        signed_by: the fingerprint of the trusted key that has signed the bundle; None if no keys were given.
    """

    bundle: str
    files: int
    altered: Mapping[str, str]
    failure: str | None
    replay: Replay | None
    notes: tuple[str, ...] = ()
    signed_by: str | None = None

    @property
    def passed(self) -> bool:
        """Whether the manifest and all files are as exported and the replay passed."""
        return not self.altered and self.replay is not None and self.replay.passed

    def to_json(self) -> dict[str, Any]:
        """Return the report as JSON values."""
        replay = None if self.replay is None else {"passed": self.replay.passed, **asdict(self.replay)}
        return {**asdict(self), "passed": self.passed, "replay": replay}


def verify(
    folder: Path | str,
    *,
    device: Device = "cpu",
    threads: int | None = None,
    trusted_keys: Sequence[TrustedKey] | None = None,
    limits: Limits | None = None,
) -> VerifyReport:
    """Check the manifest's digest, every file's hash and the settings, then replay the golden inputs one at a time.

    Args:
        folder: the bundle.
        device: the device, as for `load`.
        threads: the number of CPU threads, as for `load`.
        trusted_keys: public keys, of which one must have signed the bundle, as for `load`; None accepts any bundle.
        limits: how much the bundle and each replayed input may cost, as for `load`. Beyond a limit the bundle fails.

    Raises:
        BundleError: the folder is not a bundle, or its manifest is damaged.
        DeviceError, InputError, RuntimeMissingError: for the same reasons as `load`.
    """
    folder = Path(folder)
    manifest = Manifest.read(folder, accept_edited=True)
    altered, signed_by = dict(altered_files(folder, manifest)), None
    if trusted_keys is not None:
        try:
            signed_by = signer(folder, trusted_keys)
        except SignatureError as error:
            altered[SIGNATURE_FILE] = f"is no signature by a trusted key: {error}"
    golden, found, failure, changed = None, None, None, dict[str, str]()
    if not altered:
        try:
            golden = _golden(folder, manifest)
            changed = changed_since(golden, manifest)
            with load(folder, device=device, threads=threads, limits=limits) as model:
                found = replay(golden, model)
        except (BundleError, InputError, TimeLimitError) as error:
            failure = str(error)
    before = {
        _NO_DIGEST: manifest.schema == 1,
        _NO_ANSWERS: golden is not None and not golden.answers,
        _NO_SETTINGS: golden is not None and not golden.settings,
    }
    return VerifyReport(
        bundle=str(folder),
        files=len(manifest.files),
        altered={**altered, **changed},
        failure=failure,
        replay=found,
        notes=tuple(note for note, applies in before.items() if applies),
        signed_by=signed_by,
    )


def replay(golden: Golden, model: Any) -> Replay:
    """Answer the golden inputs with a loaded bundle, one at a time, and compare outputs and answers.

    Raises the errors of a call of the model.
    """
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
    """Compare an encoder's outputs, and the answers that its post-processing makes from the golden outputs.

    The answers are made from the golden outputs, because new outputs within the tolerance can still change an answer if
    two labels are nearly tied. Returns the largest difference of an output, and for each input the difference between
    the answers, or None.
    """
    found = [row for given in golden.inputs for row in model.outputs([given])]
    difference = largest_difference(golden.rows(), found)
    answers = encoder_answers(model, golden) if golden.answers else []
    return difference, [first_difference(a, b) for a, b in zip(golden.answers, answers, strict=True)]


def _compare_texts(golden: Golden, model: Any) -> tuple[float, list[str | None]]:
    """Compare a generator's first logits, the tokens of its answers, and their texts.

    Returns the largest difference of a logit, and for each input the difference between the answers: a description,
    `_EXPLAINED` or None.
    """
    differences, found = [0.0], []
    for given, answer, tokens, logits in zip(
        golden.inputs, golden.answers, golden.tokens, golden.rows(), strict=True
    ):
        row = model.tokenize([given])[0] if isinstance(given, str) else list(given)
        expected: list[int] = list(answer["token_ids"])
        got = list(model.generate([row], **golden.options)[0].ids)
        scores = model.score_tokens([row], [expected])[0]
        if not 0 <= min((*tokens, *expected)) <= max((*tokens, *expected)) < scores.shape[-1]:
            raise BundleError(f"{GOLDEN_FILE} has token ids that the model lacks")
        differences.append(float(np.abs(scores[0][list(tokens)] - logits).max()))
        text = {"text": model.decode(expected), "token_ids": expected}
        problem = first_difference(answer, text)
        found.append(problem or _answer_difference(expected, got, scores, golden.tolerance))
    return float(np.max(differences)), found  # NaN if one is NaN


def _answer_difference(
    expected: list[int], got: list[int], scores: NDArray[np.float32], tolerance: float
) -> str | None:
    """Return the difference between two answers, lists of token ids; None if they are the same.

    Returns `_EXPLAINED` if the logits, in `scores` (tokens, vocabulary), of the first differing tokens are tied.
    """
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
