"""Worker process of another project's engine: `python worker.py SPEC [prepare]`, in the engine's environment.

SPEC is the JSON object of `PeerEngine.spec`. Its "engine" names a module of benchmarks/peers/workers with

    prepare(spec)          makes the engine's model from the checkpoint, in the empty folder spec["folder"]
    load(spec) -> Calls    loads this model

With `prepare` the process makes the model and ends; otherwise it answers the requests of `ftool.bench.worker`.
"""

import importlib
import json
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path[:1] = [
    str(REPOSITORY / part) for part in (".", "toolchain", "runtime")
]  # in place of this file's folder

from ftool.bench.worker import serve  # noqa: E402  ftool is not installed in this environment


def main() -> None:
    """Make the engine's model, or serve it."""
    spec = json.loads(sys.argv[1])
    module = importlib.import_module(f"benchmarks.peers.workers.{spec['engine']}")
    if sys.argv[2:] == ["prepare"]:
        module.prepare(spec)
    else:
        serve(module.load)


if __name__ == "__main__":
    main()
