"""metrics.json, which training leaves in run/ whatever the task."""

import json
from pathlib import Path
from typing import Any

METRICS_FILE = "metrics.json"


def write_metrics(run: Path, report: dict[str, Any]) -> None:
    """Write metrics.json into the checkpoint folder `run`."""
    text = json.dumps(report, ensure_ascii=False, indent=2, allow_nan=False)
    (run / METRICS_FILE).write_text(text + "\n", encoding="utf-8")
