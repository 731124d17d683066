"""Evaluations kept in a model folder: metrics, confusions, wrong answers to read, calibration and slices.

`ftool report` shows them without opening a model. Each is a JSON file in reports/evaluations/, named after what was
measured and on which split, such as bundle-test.json. A file holds what `ftool evaluate --json` prints, and

    of            hash of the model that was measured, as `model_hash` returns it
    created       when, ISO 8601 in UTC
    data          the path given with --data; null for the recipe's own data
    confusions    of models that give labels: {"metric", "counted", "found": [...]}
    label_errors  with --mistakes: labels of the data that are likely wrong
    wrong         wrong answers to read: {"order", "measure", "total", "found": [...]}
    reliability   confidence against the share of right answers: {"counted", "expected_calibration_error", "bins"}
    thresholds    the probability from which a label applies, by label
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any, Final, Literal

from ftool.errors import ModelFolderError
from ftool.evaluation.mistakes import WrongAnswers
from ftool.evaluation.results import Evaluation
from ftool.workspace import METRICS_FILE, ModelFolder, read_json, write_json
from ftool_runtime.bundle.paths import MANIFEST_FILE

_TEXT: Final = 2_000  # characters of a text that are kept; a context can be a whole document
_KEPT: Final = ("slices", "label_errors")  # what only some calls measure, and later ones do not undo


def keep_evaluation(folder: ModelFolder, report: Evaluation, data: str | None = None) -> Path:
    """Write an evaluation to reports/evaluations/ of its model folder, and return the file's path.

    `data` is the path of the data if it is not the recipe's own. Slices and label errors that an earlier call measured
    of the same model on the same split stay. Raises OSError if the file can't be written.
    """
    path = folder.evaluations / _file_name(report, data)
    found = {
        "of": model_hash(folder, report.on),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "data": data,
        **{name: value for name, value in report.to_json().items() if name != "mistakes"},
        **_details(report),
    }
    earlier = _kept(path, found)
    slices = {**earlier.get("slices", {}), **found.get("slices", {})}
    write_json(path, _plain({**earlier, **found, **({"slices": slices} if slices else {})}))
    return path


def read_evaluations(folder: ModelFolder) -> list[dict[str, Any]]:
    """Return the evaluations that are kept in a model folder, by file name. Raises ModelFolderError for other files."""
    files = sorted(folder.evaluations.glob("*.json")) if folder.evaluations.is_dir() else []
    return [found for file in files if (found := read_json(file)) is not None]


def model_hash(folder: ModelFolder, on: Literal["run", "bundle"]) -> str | None:
    """Return a hash that changes when run/ is trained or bundle/ is exported again; None if there is no such folder."""
    file = folder.run / METRICS_FILE if on == "run" else folder.bundle / MANIFEST_FILE
    return sha256(file.read_bytes()).hexdigest() if file.is_file() else None


def _details(report: Evaluation) -> dict[str, Any]:
    """Return what the printed report lacks."""
    mistakes = report.mistakes
    if mistakes is None and report.find_mistakes is not None and report.examples:
        mistakes = report.find_mistakes()
    wrong = None if report.find_wrong is None or not report.examples else report.find_wrong()
    found: dict[str, Any] = {}
    if mistakes is not None:
        told = mistakes.to_json()
        found["confusions"] = {
            "metric": told["metric"], "counted": told["counted"], "found": told["confusions"]
        }  # fmt: skip
        if told["label_errors"] is not None:
            found["label_errors"] = told["label_errors"]
        wrong = wrong or WrongAnswers.of(mistakes)
    if wrong is not None:
        found["wrong"] = wrong.to_json()
    if report.reliability is not None and report.examples:
        found["reliability"] = report.reliability().to_json()
    if report.thresholds:
        found["thresholds"] = dict(report.thresholds)
    return found


def _kept(path: Path, found: Mapping[str, Any]) -> dict[str, Any]:
    """Return what an earlier call measured of the same model on the same examples, and stays."""
    try:
        earlier = read_json(path)
    except ModelFolderError:  # it is replaced
        earlier = None
    if earlier is None or any(earlier.get(name) != found[name] for name in ("of", "examples", "data")):
        return {}
    return {name: earlier[name] for name in _KEPT if name in earlier}


def _file_name(report: Evaluation, data: str | None) -> str:
    other = "" if data is None else f"-{sha256(data.encode()).hexdigest()[:8]}"
    return f"{report.on}-{re.sub(r'[^0-9A-Za-z_.-]+', '_', report.split)}{other}.json"


def _plain(value: Any) -> Any:
    """Return plain JSON whose texts are of readable length and can be encoded: half a surrogate pair can't be."""
    if isinstance(value, str):
        text = value if len(value) <= _TEXT else f"{value[:_TEXT]}… ({len(value):,} characters)"
        return text.encode("utf-8", "replace").decode("utf-8")
    if isinstance(value, Mapping):
        return {_plain(key): _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return value
