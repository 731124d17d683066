"""`install`: put a new bundle in the place of an old one, after it was proved on this machine."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from ftool_runtime.bundle.manifest import Manifest
from ftool_runtime.bundle.paths import MANIFEST_FILE, SIGNATURE_FILE, path_inside
from ftool_runtime.bundle.signature import TrustedKey, signer
from ftool_runtime.bundle.verify import VerifyReport, verify
from ftool_runtime.errors import BundleError, InputError
from ftool_runtime.folder_swap import replacing_folder
from ftool_runtime.session.onnx_session import Device

_COMMAND: Final = "python -m ftool_runtime install"


@dataclass(frozen=True, slots=True, kw_only=True)
class Installation:
    """The result of `install`.

    Attributes:
        place: the folder that is now the new bundle.
        replaced: whether there was a bundle before.
        report: the proof of the copy, before it took its place.
    """

    place: str
    replaced: bool
    report: VerifyReport

    def to_json(self) -> dict[str, Any]:
        """Return the result as JSON values."""
        return {"place": self.place, "replaced": self.replaced, "verified": self.report.to_json()}


def install(
    new: Path | str,
    place: Path | str,
    *,
    trusted_keys: Sequence[TrustedKey] | None = None,
    device: Device = "cpu",
    threads: int | None = None,
) -> Installation:
    """Copy a bundle next to `place`, verify the copy, and put it in the place of the bundle there.

    The old bundle stays until the new one has the right hashes, a trusted key's signature if keys are given, and has
    given its golden answers on this machine. Then the two change places in one step of the file system, where it has
    such a step, so that a reader, a kill or a power cut finds the old bundle or the new one. Models that a program has
    loaded from the old bundle stay usable. Only files that the manifest lists are copied.

    Args:
        new: the new bundle.
        place: the folder of the installed bundle; it need not exist.
        trusted_keys: public keys, of which one must have signed the new bundle, as for `load`; None accepts any.
        device: the device on which the golden answers are computed, as for `load`.
        threads: the number of CPU threads, as for `load`.

    Raises:
        BundleError: the new bundle is not one, is not signed by a trusted key, or did not pass; nothing has changed.
        BusyError: another process installs there.
        InputError: `place` holds something other than a bundle.
        OSError: the copy can't be written, for example because the disk is full; nothing has changed.
        DeviceError, RuntimeMissingError: for the same reasons as `load`.
    """
    new, place = Path(new), Path(place)
    replaced = place.exists()
    if replaced and not (place / MANIFEST_FILE).is_file():
        raise InputError(f"{place} exists and is not a bundle, so it is not replaced; name another folder")
    if trusted_keys is not None:
        signer(new, trusted_keys)  # before anything of it is copied
    manifest = Manifest.read(new)
    with replacing_folder(place, _COMMAND) as folder:
        for name in (MANIFEST_FILE, *manifest.files, SIGNATURE_FILE):
            _copy(new, folder, name)
        report = verify(folder, device=device, threads=threads, trusted_keys=trusted_keys)
        if not report.passed:
            raise BundleError(f"{new} is not installed: {_problem(report)}; {place} is unchanged")
    return Installation(place=str(place), replaced=replaced, report=report)


def _copy(new: Path, folder: Path, name: str) -> None:
    source, target = path_inside(new, name), path_inside(folder, name)
    if not source.exists():
        return  # `verify` names it, unless it is the signature, which need not exist
    if not source.is_file():
        raise BundleError(f"{source} is not a regular file; copy or export the bundle again")
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)


def _problem(report: VerifyReport) -> str:
    """Return the first problem that a report names."""
    for name, problem in report.altered.items():
        return f"{name} {problem}"
    if report.replay is None:
        return report.failure or "its golden inputs were not run"
    return next(iter(report.replay.changed), report.replay.summary())
