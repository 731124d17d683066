"""`verify`: prove that a bundle is what was exported and computes here what it computed there."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from ftool_runtime.bundle.generation_golden import GenerationGolden, GenerationReplay, replay
from ftool_runtime.bundle.golden import Golden, largest_difference
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """How the golden inputs came out here; `max_difference` and `tolerance` are absolute, of a number of the graph."""

    source: str
    examples: int
    max_difference: float
    tolerance: float

    @property
    def passed(self) -> bool:
        """Whether no number differs by more than the tolerance."""
        return self.max_difference <= self.tolerance  # False for NaN

    def summary(self) -> str:
        """One line for people."""
        return (
            f"{self.examples} golden inputs ({self.source}): largest difference {self.max_difference:.2g}, "
            f"tolerance {self.tolerance:.2g}"
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
    replay: Replay | GenerationReplay | None
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
    replay, failure = None, None
    if not altered:
        try:
            replay = _replay(folder, manifest, device, threads)
        except BundleError as error:
            failure = str(error)
    return VerifyReport(
        bundle=str(folder),
        files=len(manifest.files),
        altered=altered,
        failure=failure,
        replay=replay,
        notes=(_NO_DIGEST,) if manifest.schema == 1 else (),
    )


def _replay(
    folder: Path, manifest: Manifest, device: Device, threads: int | None
) -> Replay | GenerationReplay:
    if GOLDEN_FILE not in manifest.files:
        raise BundleError(f"the manifest does not list {GOLDEN_FILE}: nothing to replay")
    if manifest.generation is not None:
        answers = GenerationGolden.read(folder)
        with load(folder, device=device, threads=threads) as generator:
            return replay(answers, generator)
    golden = Golden.read(folder)
    with load(folder, device=device, threads=threads) as model:
        found = [row for given in golden.inputs for row in model.outputs([given])]
    return Replay(
        source=golden.source,
        examples=len(golden.inputs),
        max_difference=largest_difference(golden.outputs, found),
        tolerance=golden.tolerance,
    )
