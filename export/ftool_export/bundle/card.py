"""Render a bundle's `README.md`, with the facts to know before shipping the bundle, from `card.md.jinja`."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from huggingface_hub import EvalResult, ModelCard, ModelCardData

from ftool_export.bundle.disclosure import SCRATCH, disclosed
from ftool_export.bundle.how_to_run import snippets
from ftool_export.precision_plans import summary_of
from ftool_runtime.bundle.manifest import Manifest
from ftool_runtime.text.printable import printable

_TEMPLATE: Final = Path(__file__).with_name("card.md.jinja")
_SHOWN_LABELS: Final = 40
_HTML: Final = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}
_MARKDOWN: Final = re.compile(r"([\\`*_\[\]|~#$])")
_OTHER_LICENCE: Final = re.compile(r"other \((?P<license_name>[^,()]+)(?:, (?P<license_link>[^,()]+))?\)")
_HUB_ID: Final = re.compile(r"[\w.-]+/[\w.-]+")  # of a model or data set that somebody published


@dataclass(frozen=True, slots=True, kw_only=True)
class Publication:
    """What a model card says only if the model is published.

    Attributes:
        repository: the hub id under which the bundle is published; None if it is not.
        languages: codes of the languages of the texts, such as "en".
        datasets: hub ids of the data that the model was trained and measured on.
    """

    repository: str | None = None
    languages: tuple[str, ...] = ()
    datasets: tuple[str, ...] = ()


def model_card(manifest: Manifest, publication: Publication | None = None) -> str:
    """Return the model card of a bundle as Markdown, with a YAML header for the Hugging Face hub."""
    publication = publication or Publication()
    data = _metadata(manifest, publication)
    questions = manifest.questions
    card = ModelCard.from_template(
        data,
        template_path=str(_TEMPLATE),
        manifest=manifest,
        gate=manifest.evidence.get("gate", {}),
        golden=manifest.evidence.get("golden", {}),
        labels=manifest.labels[:_SHOWN_LABELS],
        disclosed=disclosed(manifest),
        scratch=SCRATCH,
        same=_same_answers(manifest),
        difference=_difference(manifest),
        precision=summary_of(manifest),
        snippets=list(snippets(manifest, publication.repository)),
        only_here=_only_in_ftool_runtime(manifest),
        can_decline=questions is not None and questions.no_answer_threshold is not None,
        text=escape_text,
        code=code_span,
    )
    return f"{card.content.strip()}\n"


def _metadata(manifest: Manifest, publication: Publication) -> ModelCardData:
    """Return the card's YAML header: the fields that the hub knows, as far as the manifest and `publication` have them.

    Source of the fields: the hub's documentation of model cards.
    """
    gate = manifest.evidence.get("gate", {})
    fields: dict[str, Any] = _licence_fields(manifest.licence)
    if _HUB_ID.fullmatch(manifest.base):
        trained = manifest.training_data.sha256 is not None
        fields |= {
            "base_model": manifest.base,
            "base_model_relation": "finetune" if trained else "quantized",
        }
    if gate.get("judged"):
        metric = str(gate["metric"])
        source = publication.datasets[0] if publication.datasets else "unpublished"
        result = EvalResult(
            task_type=manifest.task,
            dataset_type=source,
            dataset_name=source,
            dataset_split="validation",
            metric_type="f1" if metric.startswith("f1") else metric,
            metric_name=metric,
            metric_value=round(float(gate["bundle"]), 4),
        )
        fields |= {"metrics": [result.metric_type], "eval_results": [result]}
    return ModelCardData(
        model_name=manifest.name,
        library_name="onnxruntime",
        pipeline_tag=manifest.task,
        language=list(publication.languages) or None,
        datasets=list(publication.datasets) or None,
        tags=["onnx", "onnxruntime", "ftool", str(manifest.precision.name)],
        **fields,
    )


def _licence_fields(licence: str | None) -> dict[str, Any]:
    """Return the header's fields for a licence in the form of `ftool_export.checkpoints.pretrained.read_licence`."""
    if licence is None:
        return {"license": None}
    if found := _OTHER_LICENCE.fullmatch(licence):
        return {"license": "other", **found.groupdict()}
    if " and " in licence:
        return {"license": "other", "license_name": licence}
    return {"license": licence}


def escape_text(value: str) -> str:
    """Return `value` as one line of literal Markdown text: no markup, no HTML, no table cells."""
    line = "".join(_HTML.get(character, character) for character in _one_line(value))
    return _MARKDOWN.sub(r"\\\1", line)


def code_span(value: str) -> str:
    """Return `value` as a Markdown code span, with a fence longer than any run of backticks in `value`."""
    line = _one_line(value)
    fence = "`" * (1 + max(map(len, re.findall("`+", line)), default=0))
    space = " " if "`" in line or line != line.strip() or not line else ""
    return f"{fence}{space}{line}{space}{fence}"


def _one_line(value: str) -> str:
    return printable(re.sub(r"\s+", " ", value))


def _same_answers(manifest: Manifest) -> str:
    """Return the model card's phrase for equal answers of bundle and torch, such as "gave the same labels to"."""
    if manifest.generation is not None:
        return "chose the same tokens for"
    if manifest.entities is not None:
        return "found the same entities in"
    if manifest.embedding is not None:
        return "found the same nearest text for"
    return "gave the same labels to" if manifest.has_labels else "gave the same answers to"


def _only_in_ftool_runtime(manifest: Manifest) -> list[str]:
    """Return the parts of the model's answers that no other program computes."""
    windows = manifest.questions is not None or manifest.entities is not None
    known = (
        (manifest.thresholds is not None, "the labels' thresholds"),
        (manifest.none_below is not None, '"none of these"'),
        (windows, "windows over long texts"),
        (
            manifest.questions is not None and manifest.questions.no_answer_threshold is not None,
            '"no answer"',
        ),
        (manifest.embedding is not None and bool(manifest.embedding.prompts), "prompts before texts"),
        (manifest.generation is not None, "streams and chats"),
    )
    return [name for applies, name in known if applies]


def _difference(manifest: Manifest) -> str:
    """Return the model card's name for what the gate's `largest_difference` measures."""
    if manifest.embedding is not None:
        return "1 minus the cosine similarity of a text's two vectors"
    if manifest.regression:
        return "the difference of a number, as a share of the numbers' range,"
    return "the difference of a probability"
