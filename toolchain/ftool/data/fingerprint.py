"""A hash that says which examples a model was trained on."""

import hashlib
import json
from collections.abc import Sequence

from ftool.data.examples import Examples


def fingerprint(examples: Examples, label_names: Sequence[str]) -> str:
    """The sha256, in hexadecimal, of the label names and then each text, or two, with its labels or its number, as
    lines of JSON.

    The file's format, its name and other columns do not count.
    """
    digest = hashlib.sha256()
    answers = examples.labels if examples.scores is None else examples.scores
    columns = [examples.texts, *([] if examples.pairs is None else [examples.pairs]), answers]
    for line in (list(label_names), *zip(*columns, strict=True)):
        digest.update(json.dumps(line, ensure_ascii=False, separators=(",", ":")).encode() + b"\n")
    return digest.hexdigest()
