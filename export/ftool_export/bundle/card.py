"""`MODEL_CARD.md`: what a person must know of a bundle before they ship it."""

from typing import Any, Final

from ftool_export.bundle.card_words import card_words
from ftool_runtime.bundle.manifest import Manifest

_DRIFT: Final = (
    "\n\nThis bundle was written with `--allow-drift`: its answers differ more from its PyTorch reference's than "
    "`ftool parity` allows."
)
_SHOWN_LABELS: Final = 40

_PRECISIONS: Final = {
    "fp32": "32-bit floats throughout.",
    "int8": "Weights in 7-bit signed integers per channel, activations in 8 bits as they come, embeddings in 8 bits "
    "a row.",
    "w8": "Weights in 8-bit blocks (of 32 in encoders, of up to 128 in generators), activations in 8 bits a row, "
    "embeddings in 8 bits a row.",
}
_ALONE: Final = " Texts run one at a time, as those of one run would share a scale."


def model_card(manifest: Manifest) -> str:
    """The card as Markdown."""
    sections = [_front_matter(manifest), f"# {manifest.name}", _summary(manifest), _use(manifest)]
    sections += [
        *([_labels(manifest)] if manifest.labels else []),
        _quality(manifest),
        _precision(manifest),
        _data(manifest),
        _limits(manifest),
    ]
    return "\n\n".join(sections) + "\n"


def _front_matter(manifest: Manifest) -> str:
    lines = ["---", "library_name: onnxruntime", f"pipeline_tag: {manifest.task}"]
    if manifest.licence:
        lines.append(f"license: {manifest.licence}")
    return "\n".join([*lines, "---"])


def _summary(manifest: Manifest) -> str:
    return (
        f"{card_words(manifest).purpose} A {manifest.architecture} model, fine-tuned from "
        f"{manifest.base or 'an unnamed base'}, exported by ftool {manifest.ftool} on {manifest.created[:10]}."
    )


def _use(manifest: Manifest) -> str:
    return (
        "## Use\n\n"
        "Made to run inside an application, without PyTorch and without a network, with `pip install "
        '"ftool-runtime[cpu]"`:\n\n'
        "```python\nimport ftool_runtime as ft\n\n"
        f"{card_words(manifest).use}\n```\n\n"
        "`python -m ftool_runtime verify FOLDER` shows that every file is as exported and answers as it did then.\n"
        f"Runs on: {', '.join(manifest.precision.devices)}."
    )


def _labels(manifest: Manifest) -> str:
    shown = ", ".join(f"`{label}`" for label in manifest.labels[:_SHOWN_LABELS])
    more = len(manifest.labels) - _SHOWN_LABELS
    return f"## Labels\n\n{shown}" + (f" and {more} more (in `ftool.json`)" if more > 0 else "")


def _quality(manifest: Manifest) -> str:
    gate: dict[str, Any] = dict(manifest.evidence.get("gate", {}))
    return _measured_quality(manifest, gate) + (_DRIFT if gate.get("drift") else "")


def _measured_quality(manifest: Manifest, gate: dict[str, Any]) -> str:
    same = card_words(manifest).same
    if not gate.get("judged"):
        body = (
            "No labelled texts were given at export, so quality was not judged. On "
            f"{gate.get('examples', 0)} sample texts the bundle and its PyTorch reference {same} "
            f"{gate.get('agreement', 0):.1%}."
        )
        return f"## Quality\n\n{body}"
    rows = [
        "| | " + str(gate["metric"]) + " on validation |\n|---|---|",
        f"| PyTorch reference, fp32 | {gate['reference']:.4f} |",
        f"| this bundle, {manifest.precision.name} | {gate['bundle']:.4f} |",
    ]
    body = (
        f"Over {gate['examples']} texts the two {same} {gate['agreement']:.2%}; the largest "
        f"difference of a probability was {gate['largest_difference']:.3f}."
    )
    return "## Quality\n\n" + "\n".join(rows) + "\n\n" + body


def _precision(manifest: Manifest) -> str:
    text = f"## Precision\n\n{manifest.precision.name}: {_PRECISIONS[manifest.precision.name]}"
    text += _ALONE if manifest.precision.rows_share_scale else ""
    if manifest.precision.left_out:
        text += "\n\nMore exact than the rest, for accuracy: " + ", ".join(
            f"`{name}`" for name in manifest.precision.left_out
        )
    attention = "one operator a layer" if manifest.attention == "fused" else "spelled out, not fused"
    return f"{text}\n\nAttention: {attention}."


def _data(manifest: Manifest) -> str:
    data = manifest.training_data
    if data.sha256 is None:
        return "## Training data\n\nNot recorded in the checkpoint."
    return f"## Training data\n\n{data.examples} examples, SHA-256 of their canonical form `{data.sha256}`."


def _limits(manifest: Manifest) -> str:
    licence = manifest.licence or "not named by the base model; find out before you ship"
    lines = [
        *card_words(manifest).limits,
        "- Nobody examined it for bias between groups of people.",
        f"- Licence of the base model: {licence}.",
    ]
    return "## Limits\n\n" + "\n".join(lines)
