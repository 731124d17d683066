"""`PeerEngine`: another project's engine, which a worker of this folder runs in an environment of its own."""

import dataclasses
from pathlib import Path

from ftool.bench.engines import Engine


@dataclasses.dataclass(frozen=True, kw_only=True)
class PeerEngine(Engine):
    """An engine whose `worker`, a file of this folder, runs with the Python interpreter `python`."""

    python: Path
    worker: str

    def command(self) -> list[str]:
        """Return the command line that starts the engine's worker process."""
        return [str(self.python), str(Path(__file__).with_name(self.worker)), self.spec()]
