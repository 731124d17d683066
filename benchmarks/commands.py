"""Run ftool commands as a user would, time them, and save their results."""

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parent.parent
RESULTS = Path(__file__).resolve().parent / "results"
DATA = REPOSITORY.parent / "shared" / "data"
FTOOL = Path(sys.executable).with_name("ftool")


def ftool(*arguments: str | Path, expect: tuple[int, ...] = (0,)) -> dict[str, Any]:
    """Run an ftool command with --json; return the command's output, wall time in seconds and exit status.

    Ends this program if the command's exit status is not in `expect`.
    """
    command = [str(FTOOL), *map(str, arguments), "--json"]
    print("$ ftool " + " ".join(map(str, arguments)), flush=True)
    start = time.perf_counter()
    run = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    seconds = time.perf_counter() - start
    if run.returncode not in expect:
        sys.exit(f"exit status {run.returncode}")
    return {"wall_seconds": round(seconds, 2), "exit_status": run.returncode, **json.loads(run.stdout)}


# Keys left out of results: long tables, and paths on this machine.
_LEFT_OUT = {
    "confusion_matrix",
    "per_class",
    "recipe",
    "data",
    "loss_curve",
    "validation_curve",
    "grid",
    "files",
    "worst",
}


def _is_left_out(key: str, value: Any) -> bool:
    return key in _LEFT_OUT or (key == "bundle" and isinstance(value, str))  # a score has this key too


def _kept(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _kept(one) for key, one in value.items() if not _is_left_out(key, one)}
    return [_kept(one) for one in value] if isinstance(value, list) else value


def write_result(name: str, result: dict[str, Any]) -> None:
    """Save a result as benchmarks/results/NAME.json, without long tables and paths on this machine."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    path.write_text(json.dumps(_kept(result), indent=1) + "\n", encoding="utf-8")
    print(f"wrote {path.relative_to(REPOSITORY)}")
