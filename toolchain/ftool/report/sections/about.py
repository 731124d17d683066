"""What the model is: task, base, labels, data, training, sizes, precision; and the figures at the head of the page."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from markupsafe import Markup

from ftool.bench.report import disturbed
from ftool.bench.scale import number
from ftool.report.figures import count, interval, metric_name, percent, plural, score, times
from ftool.report.folder_facts import TEST, FolderFacts, Found
from ftool.report.html_page import Section, Tile, fill
from ftool_runtime.bundle.manifest import Manifest

_SHOWN_LABELS: Final = 20
_MB: Final = 1e6


def lead(facts: FolderFacts) -> str:
    """Return what the model does, and what it learnt from."""
    learnt, labels = _training_examples(facts), _labels(facts)
    parts = [
        facts.task.name,
        plural(len(labels), "label") if labels else "",
        f"learnt from {plural(learnt, 'example')}" if learnt else "",
        "" if facts.manifest else "no bundle yet",
    ]
    return " · ".join(part for part in parts if part)


def tiles(facts: FolderFacts) -> list[Tile]:
    """Return the figures that matter most, of those that were measured."""
    return [*_quality_tiles(facts), *_parity_tiles(facts), *_speed_tiles(facts), *_size_tiles(facts)]


def about(facts: FolderFacts, *, texts: bool = True) -> Section:
    """Return the section on what the model is. `texts` says whether warnings, which quote texts, are shown."""
    data = facts.training.get("data", {})
    body = fill(
        "about",
        rows=list(_rows(facts)),
        labels=_labels(facts),
        several=facts.manifest is not None and facts.manifest.multi_label,
        shown=_SHOWN_LABELS,
        warnings=_without_source(data.get("warnings", ()), facts) if texts else (),
        notes=_without_source(data.get("notes", ()), facts) if texts else (),
        next_step=_next_step(facts),
    )
    return Section(anchor="model", title="The model", body=body)


def bundle_mb(manifest: Manifest) -> float:
    """Return the size of a bundle's files in MB (10^6 bytes), without its manifest."""
    return sum(record.bytes for record in manifest.files.values()) / _MB


def _labels(facts: FolderFacts) -> list[str]:
    if facts.manifest is not None:
        return list(facts.manifest.labels)
    return list(facts.training.get("metrics", {}).get("labels", ()))


def _without_source(sentences: Sequence[str], facts: FolderFacts) -> list[str]:
    """Return sentences on the data without the path of the data before them: it stands above."""
    name = re.escape(Path((facts.recipe.data.path if facts.recipe else None) or "").name)
    return [re.sub(rf"^\S*{name}: ", "", one) for one in sentences] if name else list(sentences)


def _rows(facts: FolderFacts) -> Iterator[tuple[str, str | Markup]]:
    manifest, training = facts.manifest, facts.training
    yield "Task", facts.task.name
    base = manifest.base if manifest else facts.recipe.base if facts.recipe else ""
    yield "Base", f"{base} ({manifest.architecture})" if manifest else base
    if facts.recipe is not None and facts.recipe.data.path:
        yield "Data", str(facts.recipe.data.path)
    examples = training.get("data", {}).get("examples", {})
    if examples:
        yield "Examples", ", ".join(f"{count(number_of)} {split}" for split, number_of in examples.items())
    if training.get("training"):
        yield "Training", _training(training)
    if manifest is not None:
        yield "Bundle", _bundle(manifest)
        yield "Longest input", f"{count(manifest.input.max_length)} tokens, special ones included"
        yield "Exported", f"{manifest.created[:10]} with ftool {manifest.ftool}"
        yield "Licence", manifest.licence or "unknown: the base model names none"


def _training(training: Any) -> str:
    settings, found = training.get("recipe", {}).get("train", {}), training["training"]
    parts = [f"kept {found['kept']}"] if found.get("kept") else []
    if settings.get("method"):
        parts.insert(0, f"method {settings['method']}, {settings['epochs']:g} epochs at most")
    if found.get("seconds"):
        parts.append(f"{found['seconds']:,.0f} s on {found.get('device', 'cpu')}")
    return "; ".join(parts)


def _bundle(manifest: Manifest) -> str:
    precision = manifest.precision
    embeddings = ", embeddings in 4 bits" if precision.embedding_bits == 4 else ""
    finer = f", {plural(len(precision.left_out), 'layer')} in higher precision" if precision.left_out else ""
    return (
        f"{precision.name}{embeddings}{finer}; {number(bundle_mb(manifest))} MB in "
        f"{plural(len(manifest.files) + 1, 'file')}; runs on {', '.join(precision.devices)}"
    )


def _examples(found: Found) -> str:
    """Return how many examples of which split something was measured on."""
    return f"{count(found['examples'])} {found.get('split', TEST)} example{'' if found['examples'] == 1 else 's'}"


def _training_examples(facts: FolderFacts) -> int:
    if facts.manifest is not None and facts.manifest.training_data.examples:
        return facts.manifest.training_data.examples
    return int(facts.training.get("data", {}).get("examples", {}).get("train", 0))


def _next_step(facts: FolderFacts) -> tuple[str, str] | None:
    """Return what is missing for a model that can be shipped, and the command that makes it."""
    if facts.model is not None and not facts.training and facts.manifest is None:
        return "This model has not been trained.", facts.command("train")
    if facts.manifest is None:
        return "There is no bundle yet: what follows is the checkpoint in PyTorch.", facts.command("export")
    return None


def _quality_tiles(facts: FolderFacts) -> Iterator[Tile]:
    told, metric = facts.best_told, facts.main_metric
    if told is None or metric is None:
        return
    ends = told.get("intervals", {}).get(metric, {})
    note = interval(ends.get("low"), ends.get("high"))
    on = f"{_examples(told)}; {facts.shown_on(told)}"
    yield Tile(
        name=metric_name(metric),
        value=score(told["metrics"][metric]),
        note=f"{note} with 95% confidence; {on}" if note else on,
    )


def _parity_tiles(facts: FolderFacts) -> Iterator[Tile]:
    if (found := facts.parity) is not None:
        verdict = "passed" if found["passed"] else f"FAILED: {', '.join(found['failed'])}"
        yield Tile(
            name=f"same {found.get('compared', 'answers')} as PyTorch",
            value=percent(found["agreement"]),
            note=f"{_examples(found)}; {verdict}",
        )


def _speed_tiles(facts: FolderFacts) -> Iterator[Tile]:
    if (found := facts.bench) is None:
        return
    subject = found["engines"][found["subject"]]
    ratios = [
        f"{times(ratio['latency_p50'])} as fast as {found['engines'][name].get('title', name)}"
        for name, ratio in found["ratios"].items()
    ]
    note = ratios[0] if ratios else f"p99 {number(subject['latency_ms']['p99'])} ms"
    if disturbed(found):
        note = "other programs were running: likely too long"
    yield Tile(
        name="one input at a time, median", value=f"{number(subject['latency_ms']['p50'])} ms", note=note
    )


def _size_tiles(facts: FolderFacts) -> Iterator[Tile]:
    if facts.manifest is not None:
        memory = ""
        if facts.bench is not None:
            used = facts.bench["engines"][facts.bench["subject"]]["peak_memory_mb"]
            memory = f"{used:,.0f} MB of memory at the peak"
        yield Tile(name="size of the bundle", value=f"{number(bundle_mb(facts.manifest))} MB", note=memory)
