"""All faults of one command: choose them, let them happen, run the command again, and compare with an unbroken run."""

import random
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from tests.faults.commands import Command
from tests.faults.contents import Content, content, documents, names
from tests.faults.runs import Fault, Outcome, used_bytes
from tests.faults.system import END, FULL, mount_disk, resize_disk, unmount

LARGE: Final = 2**30  # bytes of a disk that is not full
_BY_TIME: Final = 5  # one of so many kills is at a random time, the others at a random change of files


@dataclass(kw_only=True)
class Tally:
    """What has happened to one command. `broken` has a line for each promise that was not kept."""

    command: Command
    changes: int = 0
    seconds: float = 0.0
    kills: int = 0
    numbered: int = 0
    too_late: int = 0
    full: int = 0
    enough: int = 0
    read_only: int = 0
    broken: list[str] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """Return the numbers as plain JSON."""
        values = {name: value for name, value in vars(self).items() if name != "command"}
        return {"command": self.command.name, "promise": self.command.promise, **values}


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How many faults there are.

    Attributes:
        points: kills as a plain process, and again as process number 1.
        disks: disks of different sizes that fill.
        seed: what the points are drawn by, with the command's name.
        mounts: whether disks can be mounted; otherwise calls fail as they do on a full disk.
        numbered: whether processes can have a namespace of their own.
    """

    points: int
    disks: int
    seed: int
    mounts: bool
    numbered: bool


class Campaign:
    """The faults of one command, in a folder of its own."""

    def __init__(self, command: Command, place: Path, plan: Plan) -> None:
        self.command, self.plan = command, plan
        self.trial, self.start = place / "trial", place / "start"
        self.tally = Tally(command=command)
        self.before: Content = {}
        self.after: Content = {}
        self.files: set[str] = set()
        self.most = 0

    def run(self) -> Tally:
        """Let every fault of the plan happen, and return what became of the promises."""
        self._prepare()
        for fault in self._kills():
            self._one(fault)
        for share in range(self.plan.disks):
            self._full_disk((share + 0.5) / self.plan.disks)
        if self.plan.disks:
            self._read_only()
        return self.tally

    @property
    def artefact(self) -> Path:
        """What the command writes."""
        return self.trial / "work" / self.command.artefact

    def _prepare(self) -> None:
        self.trial.mkdir(parents=True)
        if self.plan.mounts:
            mount_disk(self.trial, LARGE)
        self._make_folders()
        self.command.begin(self.trial)
        shutil.copytree(self.trial, self.start, symlinks=True)
        self.before = content(self.artefact)
        found = []
        for _ in range(2):
            self._reset()
            outcome = self.command.again(self.trial)
            assert outcome.status == 0, outcome.said
            found.append(content(self.trial / "work"))
        first, second = found
        assert first.keys() == second.keys(), first.keys() ^ second.keys()
        self.after = {key: value for key, value in first.items() if second[key] == value}
        self.files = names(self.trial)
        self.tally.changes, self.tally.seconds, self.most = outcome.changes, outcome.seconds, outcome.bytes

    def _make_folders(self) -> None:
        for name in ("work", "tmp", "cache"):
            (self.trial / name).mkdir(exist_ok=True)

    def _reset(self) -> None:
        for path in self.trial.iterdir():
            shutil.rmtree(path)
        shutil.copytree(self.start, self.trial, symlinks=True, dirs_exist_ok=True)

    def _kills(self) -> Iterator[Fault]:
        for numbered in (False, True):
            if numbered and not self.plan.numbered:
                return
            rng = random.Random(f"{self.plan.seed} {self.command.name} {numbered}")
            for point in range(self.plan.points):
                if point % _BY_TIME == _BY_TIME - 1:
                    yield Fault(after_s=rng.uniform(0, self.tally.seconds), numbered=numbered)
                else:
                    yield Fault(mode=END, at=rng.randint(1, self.tally.changes), numbered=numbered)

    def _one(self, fault: Fault) -> None:
        self._reset()
        what = f"killed at {f'change {fault.at}' if fault.after_s is None else f'{fault.after_s:.2f} s'}"
        what += ", as process 1" if fault.numbered else ""
        outcome = self.command.again(self.trial, fault)
        self.tally.numbered += fault.numbered
        self.tally.kills += not fault.numbered
        self.tally.too_late += not outcome.killed
        self._check_artefact(what)
        self._repeat(what, Fault(numbered=fault.numbered))

    def _full_disk(self, share: float) -> None:
        fault, what = Fault(), f"a disk with {share:.0%} of the space"
        if self.plan.mounts:
            unmount(self.trial)
            mount_disk(self.trial, LARGE)
            self._reset()
            used = used_bytes(self.trial)
            resize_disk(self.trial, used + int(share * (self.most - used)))
        else:
            self._reset()
            fault = Fault(mode=FULL, at=max(1, int(share * self.tally.changes)))
        self._refused(what, self.command.again(self.trial, fault))
        self.tally.full += 1
        if self.plan.mounts:
            resize_disk(self.trial, LARGE)
        self._repeat(what)

    def _read_only(self) -> None:
        self._reset()
        what, folder = "a read-only folder", self.artefact.parent
        folder.chmod(0o555)
        outcome = self.command.again(self.trial, Fault(weak=True))
        folder.chmod(0o755)
        self.tally.read_only += 1
        if outcome.status == 0:
            self.tally.broken.append(f"{what}: no error")
        self._refused(what, outcome)
        self._repeat(what)

    def _refused(self, what: str, outcome: Outcome) -> None:
        """Check what a command that could not write says and leaves."""
        self.tally.enough += outcome.status == 0
        if outcome.status != 0:
            last = (outcome.said.splitlines() or [""])[-1]
            if outcome.status != 2 or not last.startswith("Error: ") or "Traceback" in outcome.said:
                self.tally.broken.append(f"{what}: status {outcome.status}, {outcome.said[-2000:]!r}")
            elif ".partial" in last.replace("run.partial", "") or ".lock" in last:
                self.tally.broken.append(f"{what}: names a hidden file: {last}")
            hidden = {one for one in names(self.trial) if one.startswith("tmp/") or "/." in one}
            if hidden - names(self.start):
                self.tally.broken.append(f"{what}: left {sorted(hidden)}")
        self._check_artefact(what)

    def _check_artefact(self, what: str) -> None:
        """Check that the artefact is the old one or the new one; a knowledge base, each of its documents."""
        if self.command.by_document:
            self._check_documents(what)
            return
        found = content(self.artefact)
        if found != self.before and self._changed(found):
            self.tally.broken.append(f"{what}: {self.command.artefact} is neither old nor new")

    def _check_documents(self, what: str) -> None:
        old, new = (self.before.get("kb.db:texts", {}), self.after["work/kb.db:texts"])
        try:
            found = documents(self.artefact)
        except Exception as error:  # noqa: BLE001  any is a broken promise
            self.tally.broken.append(f"{what}: {error!r}")
            return
        for name, text in found.items():
            if text not in (old.get(name), new.get(name)):
                self.tally.broken.append(f"{what}: {name} is neither old nor new")
        if old.keys() - found.keys():
            self.tally.broken.append(f"{what}: lost {sorted(old.keys() - found.keys())}")

    def _changed(self, found: Content) -> list[str]:
        """Return what differs in the artefact from the one of an unbroken run."""
        own = f"{Path(self.command.artefact).name}"
        place = self.command.artefact.removesuffix(own)
        expected = {key.removeprefix(f"work/{place}"): value for key, value in self.after.items()}
        expected = {key: value for key, value in expected.items() if key.startswith(own)}
        return [key for key, value in expected.items() if found.get(key) != value]

    def _repeat(self, what: str, fault: Fault | None = None) -> None:
        """Run the command again, and check that result and files are those of an unbroken run."""
        outcome = self.command.again(self.trial, fault)
        if outcome.status != 0:
            self.tally.broken.append(f"{what}, then again: status {outcome.status}: {outcome.said[-2000:]}")
            return
        found = content(self.trial / "work")
        if changed := [key for key, value in self.after.items() if found.get(key) != value]:
            self.tally.broken.append(f"{what}, then again: {changed[:5]} differ")
        if (files := names(self.trial)) != self.files:
            more, less = sorted(files - self.files), sorted(self.files - files)
            self.tally.broken.append(f"{what}, then again: more files {more[:5]}, fewer {less[:5]}")
