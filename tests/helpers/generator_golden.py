"""Golden answers for the bundles of tiny generators."""

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import ftool_runtime as ft
from ftool_runtime.bundle.golden import GREEDY, generator_golden
from ftool_runtime.bundle.manifest import Manifest
from ftool_runtime.bundle.origin import with_origin
from ftool_runtime.models.generator import Generator
from tests.helpers.tiny_bundles import relist

ROWS = [[7, 8, 9], [20, 21, 9, 8]]


def add_golden(
    folder: Path, *, inputs: Any = ROWS, spoil: Callable[[dict[str, Any]], Any] = lambda fields: None
) -> None:
    """Give a tiny generator's bundle golden answers; `spoil` changes their fields before they are written."""
    with ft.load(folder) as model:
        assert isinstance(model, Generator)
        rows = [model.tokenize([given])[0] if isinstance(given, str) else given for given in inputs]
        made = model.generate(rows, max_new_tokens=6, keep_logits=True)
        golden = generator_golden(
            model,
            inputs,
            [row.ids for row in made],
            [row.logits[0] for row in made],
            options={**GREEDY, "max_new_tokens": 6},
            source="bundle",
            tolerance=1e-4,
            texts="probes",
        )
    fields = json.loads(json.dumps(asdict(with_origin(golden, folder, Manifest.read(folder)))))
    spoil(fields)
    (folder / "golden.json").write_text(json.dumps(fields))
    relist(folder, "golden.json")
