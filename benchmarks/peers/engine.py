"""`PeerEngine`: another project's engine, which a worker of this folder runs in an environment of its own."""

import dataclasses
import json
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ftool.bench.engines import Engine

WORKER = Path(__file__).with_name("worker.py")


@dataclasses.dataclass(frozen=True, kw_only=True)
class PeerEngine(Engine):
    """An engine whose worker, the module of benchmarks/peers/workers that `kind` names, runs in Python `python`.

    `settings` are added to the worker's SPEC.
    """

    python: Path
    settings: Mapping[str, str | int] = dataclasses.field(default_factory=dict)

    def command(self) -> list[str]:
        """Return the command line that starts the engine's worker process."""
        return [str(self.python), str(WORKER), self.spec()]

    def spec(self) -> str:
        """Return the worker's argument: the engine's settings as a JSON object."""
        return json.dumps({**json.loads(super().spec()), **self.settings})


def write_training_texts(path: Path, split: Any) -> Path:
    """Write the texts and labels of a split of labelled texts, for workers that train or calibrate; return `path`."""
    labels = [one.labels[0] for one in split.examples]
    path.write_text(json.dumps({"texts": list(split.inputs), "labels": labels}), encoding="utf-8")
    return path.absolute()


def prepare(engine: PeerEngine) -> None:
    """Let the engine's worker make its model in the engine's folder, unless the folder is there.

    Ends this program if the worker fails.
    """
    if engine.folder.exists():
        return
    print(f"making the model of {engine.name}", flush=True)
    partial = engine.folder.with_name(engine.folder.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    command = [*dataclasses.replace(engine, folder=partial).command(), "prepare"]
    if code := subprocess.run(command, check=False).returncode:
        sys.exit(f"the model of {engine.name} was not made: the worker ended with exit status {code}")
    partial.rename(engine.folder)
