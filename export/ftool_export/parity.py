"""Compare a bundle with its checkpoint on the same inputs, run singly and in batches of several shapes."""

from collections.abc import Mapping
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Any

import ftool_runtime as ft
from ftool_export.bundle.judged import judged_model
from ftool_export.checkpoints.base import LoadedModel
from ftool_export.checkpoints.pretrained import weights_sha256
from ftool_export.errors import ExportError
from ftool_export.examples.base import Examples
from ftool_export.gate import metric_pair
from ftool_export.pipeline import PRODUCER
from ftool_export.rederive import compare_with_derived
from ftool_export.report import ParityReport
from ftool_export.tokenizers.check import check_tokens
from ftool_export.tolerances import MAX_DROP, tolerance_for
from ftool_runtime.bundle.integrity import check_hashes
from ftool_runtime.bundle.manifest import Manifest


def parity(
    loaded: LoadedModel, bundle: Path, examples: Examples, *, graph: Path | None = None
) -> ParityReport:
    """Compare a bundle with the checkpoint it was made from.

    Generators also answer with greedy decoding and with four beams. An fp32 bundle must give torch's tokens, except at
    a tie: torch's two best logits (or, for beams, torch's scores of the two answers) differ by at most 1e-4. Ties are
    counted. A quantised generator must nearly always predict torch's next token after torch's preceding tokens.

    A bundle in float16 is run on the CPU in an imitation of float16 arithmetic, as in its export.

    The main metric of a bundle that is not in fp32 may drop by at most the limit that its export was given. The
    constants of every bundle must equal those obtained by exporting the checkpoint again (module `rederive`).

    Args:
        loaded: the checkpoint.
        bundle: a bundle folder.
        examples: the inputs that bundle and checkpoint answer.
        graph: the ONNX file of another tool that the bundle was made of (`foreign_source`); None if there was none.

    Returns:
        A report of all differences with their limits; its `passed` is True if all are within their limits.

    Raises:
        BundleError: a file of the bundle was changed, or the bundle can't be loaded.
        ExportError: `examples` is empty, the bundle was made of a file that is not given, bundle and checkpoint are
            not the same model, or they turn a text into different tokens.
    """
    if not examples.inputs:
        raise ExportError("parity needs examples to compare on; name some with --data")
    manifest = Manifest.read(bundle)
    check_hashes(bundle, manifest)
    check_same_model(loaded, manifest, bundle)
    _check_source(manifest, bundle, graph)
    with judged_model(bundle, manifest) as model:
        check_tokens(loaded, model)
        found = examples.examine(loaded, model, examples.compare(loaded, model))
    with ft.load(bundle) as model:
        stored = compare_with_derived(loaded, bundle, manifest, model, examples, graph)
    recorded = manifest.evidence.get("checkpoint_sha256")
    max_drop = manifest.evidence.get("gate", {}).get("max_drop", MAX_DROP)
    return ParityReport(
        precision=manifest.precision.name,
        same_weights=None if recorded is None else recorded == weights_sha256(loaded.model),
        found=found,
        metric=metric_pair(found.comparison, examples, max_drop),
        tolerance=tolerance_for(examples.kind, manifest.precision.name),
        stored=stored,
    )


def check_same_model(loaded: LoadedModel, manifest: Manifest, bundle: Path) -> None:
    """Raise ExportError unless manifest and checkpoint agree on the task, the labels and how texts become inputs."""
    expected = {
        "task": loaded.task,
        **loaded.manifest_fields(),
        "generation": loaded.generation_contract(manifest.generation and manifest.generation.caches),
        "input": loaded.input_contract(manifest.input.names),
    }
    actual = {name: getattr(manifest, name) for name in expected}
    expected, actual = _flat(expected), _flat(actual)
    differing = [
        f"{name} ({str(actual.get(name))[:60]!r} instead of {str(value)[:60]!r})"
        for name, value in expected.items()
        if name not in actual or actual[name] != value
    ]
    if differing:
        raise ExportError(
            f"{bundle} differs from its checkpoint in {', '.join(differing)}, so it was made from another one or "
            "with other settings: export again"
        )


def _check_source(manifest: Manifest, bundle: Path, graph: Path | None) -> None:
    """Raise ExportError unless the ONNX file of another tool is given for a bundle made of one, and no other."""
    tool = manifest.evidence.get("fp32_graph", {}).get(PRODUCER)
    if tool and graph is None:
        raise ExportError(
            f"{bundle} was made of a graph that {tool} exported: name that file too, with --graph"
        )
    if graph is not None and not tool:
        raise ExportError(f"{bundle} was made of a graph that ftool made: leave --graph out")


def _flat(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields with each dataclass replaced by its own fields, such as "input.prefix"."""
    found: dict[str, Any] = {}
    for name, value in fields.items():
        if is_dataclass(value) and not isinstance(value, type):
            found |= {f"{name}.{field}": inner for field, inner in asdict(value).items()}
        else:
            found[name] = value
    return found
