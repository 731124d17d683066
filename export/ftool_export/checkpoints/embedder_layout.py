"""Read the steps by which an embedder makes a vector from a text, and refuse steps that a bundle can't hold."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, get_args

from tokenizers import normalizers

from ftool_export.checkpoints.adapters import holder
from ftool_export.checkpoints.sentence_layout import SentenceLayout, read_dense, read_layout
from ftool_export.errors import CheckpointError
from ftool_export.networks.embedder import Pooling, Projection, Step, Truncation, UnitLength

log = logging.getLogger(__name__)

Kind = Literal["query", "passage"]
Similarity = Literal["cosine", "dot"]

# The names that sentence-transformers looks for, in its order.
_PROMPT_NAMES: Mapping[Kind, tuple[str, ...]] = {
    "query": ("query",),
    "passage": ("document", "passage", "corpus"),
}
_POOLINGS: Mapping[str, Pooling] = {"mean": "mean", "cls": "cls", "lasttoken": "last"}
_ACTIVATIONS = ("Identity", "Tanh", "ReLU", "GELU", "SiLU", "Sigmoid")
_SKIPPED = ("Transformer", "Pooling", "Dropout")  # handled elsewhere, or without effect outside training


@dataclass(frozen=True, kw_only=True)
class EmbedderLayout:
    """The steps from a text to its vector. The defaults are those of sentence-transformers for a plain encoder."""

    root: str  # the encoder's folder or hub id
    pooling: Pooling = "mean"
    steps: Sequence[Step] = ()
    max_length: int | None = None
    prefix: str = ""
    prompts: Mapping[Kind, str] = field(default_factory=dict)
    similarity: Similarity = "cosine"
    lower_case: bool = False
    plain: bool = True  # whether the checkpoint has no sentence-transformers files


def read_embedder_layout(source: str) -> EmbedderLayout:
    """Read an embedder's steps from a folder or hub id. Raises CheckpointError if a bundle can't hold them."""
    place = holder(source, "modules.json")
    files = read_layout(place)
    if files is None:
        return EmbedderLayout(root=source)
    prompts = _prompts(files)
    if not files.pools_prompt and any([files.prefix, *prompts.values()]):
        raise CheckpointError(
            f"{source}: its pooling leaves the prompt's tokens out (include_prompt), which a bundle can't do"
        )
    return EmbedderLayout(
        root=_root(source, files),
        pooling=_pooling(place, files),
        steps=_steps(place, files),
        max_length=files.max_length,
        prefix=files.prefix,
        prompts=prompts,
        similarity=_similarity(source, files),
        lower_case=files.lower_case,
        plain=False,
    )


def settings_file(
    prefix: str, prompts: Mapping[Kind, str], similarity: Similarity, steps: Iterable[object]
) -> dict[str, object]:
    """Return config_sentence_transformers.json's content: prefix, prompts, similarity and truncation in `steps`."""
    named = {_PROMPT_NAMES[kind][0]: text for kind, text in prompts.items()}
    if prefix:
        named["text"] = prefix
    truncation = next((step for step in steps if isinstance(step, Truncation)), None)
    return {
        "prompts": named,
        "default_prompt_name": "text" if prefix else None,
        "similarity_fn_name": similarity,
        **({} if truncation is None else {"truncate_dim": truncation.width}),
    }


def lower_case(tokenizer: object) -> None:
    """Make a fast Hugging Face tokenizer lower-case texts first, like do_lower_case in sentence-transformers."""
    backend = tokenizer.backend_tokenizer  # type: ignore[attr-defined]
    own = [] if backend.normalizer is None else [backend.normalizer]
    backend.normalizer = normalizers.Sequence([normalizers.Lowercase(), *own])


def _root(source: str, files: SentenceLayout) -> str:
    """Return the encoder's folder or hub id: `source`, or in old sentence-transformers models a subfolder."""
    folder = next((path for kind, path in files.modules if kind == "Transformer"), None)
    if folder is None:
        kinds = ", ".join(kind for kind, _ in files.modules)
        raise CheckpointError(
            f"{source}: its modules are {kinds}, but a bundle needs a Transformer; choose a model that has one"
        )
    if folder and not Path(source).is_dir():
        raise CheckpointError(
            f"{source}: its encoder is in the subfolder {folder}/; download the model and give its folder"
        )
    return str(Path(source) / folder) if folder else source


def _pooling(source: str, files: SentenceLayout) -> Pooling:
    if files.pooling not in _POOLINGS:
        raise CheckpointError(
            f"{source}: its vectors are pooled by {files.pooling!r}, but a bundle can pool only by mean, cls and last; "
            "choose a model with one of these"
        )
    return _POOLINGS[files.pooling]


def _steps(source: str, files: SentenceLayout) -> list[Step]:
    after = [kind for kind, _ in files.modules].index("Pooling")
    steps: list[Step] = []
    for position, (kind, folder) in enumerate(files.modules):
        if kind == "Normalize" and position > after:
            steps.append(UnitLength())
        elif kind == "Dense" and position > after:
            steps.append(_projection(source, folder))
        elif kind not in _SKIPPED:
            raise CheckpointError(
                f"{source}: its module {kind} can't be part of a bundle, which supports only Dense and Normalize after "
                "the pooling"
            )
    if files.truncate_to is not None:  # sentence-transformers truncates after all modules
        steps.append(Truncation(files.truncate_to))
    return steps


def _projection(source: str, folder: str) -> Projection:
    linear, activation = read_dense(source, folder)
    if activation not in _ACTIVATIONS:
        raise CheckpointError(
            f"{source}/{folder}: the activation {activation} can't be part of a bundle, which supports "
            f"{', '.join(_ACTIVATIONS)}"
        )
    return Projection(linear, activation)


def _prompts(files: SentenceLayout) -> dict[Kind, str]:
    found: dict[Kind, str] = {}
    for kind, names in _PROMPT_NAMES.items():
        name = next((name for name in names if name in files.prompts), None)
        if name is not None:
            found[kind] = files.prompts[name]
    return found


def _similarity(source: str, files: SentenceLayout) -> Similarity:
    if files.similarity in get_args(Similarity):
        return files.similarity  # type: ignore[return-value]
    if files.similarity is not None:
        log.warning("%s compares vectors by %s; ftool will compare them by cosine", source, files.similarity)
    return "cosine"
