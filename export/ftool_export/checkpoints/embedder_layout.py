"""Read how an embedder makes vectors: pooling, projections, prompts. Raises for what a bundle can't do."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, get_args

from tokenizers import normalizers

from ftool_export.checkpoints.sentence_layout import SentenceLayout, read_dense, read_layout
from ftool_export.errors import CheckpointError
from ftool_export.networks.embedder import Pooling, Projection, UnitLength

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
_SILENT = ("Transformer", "Pooling", "Dropout")  # handled apart, or nothing outside training


@dataclass(frozen=True, kw_only=True)
class EmbedderLayout:
    """The steps from a text to its vector. The defaults are sentence-transformers' own for a plain encoder."""

    root: str  # the encoder's folder or hub id
    pooling: Pooling = "mean"
    steps: Sequence[UnitLength | Projection] = ()
    max_length: int | None = None
    prefix: str = ""
    prompts: Mapping[Kind, str] = field(default_factory=dict)
    similarity: Similarity = "cosine"
    lower_case: bool = False
    plain: bool = True  # there are no sentence-transformers files


def read_embedder_layout(source: str) -> EmbedderLayout:
    """The layout of `source`, a folder or hub id. Raises CheckpointError if a bundle can't do the same."""
    files = read_layout(source)
    if files is None:
        return EmbedderLayout(root=source)
    prompts = _prompts(files)
    if not files.pools_prompt and any([files.prefix, *prompts.values()]):
        raise CheckpointError(
            f"{source}: its pooling leaves the prompt's tokens out (include_prompt), which a bundle can't do"
        )
    return EmbedderLayout(
        root=_root(source, files),
        pooling=_pooling(source, files),
        steps=_steps(source, files),
        max_length=files.max_length,
        prefix=files.prefix,
        prompts=prompts,
        similarity=_similarity(source, files),
        lower_case=files.lower_case,
        plain=False,
    )


def prompt_file(prefix: str, prompts: Mapping[Kind, str], similarity: Similarity) -> dict[str, object]:
    """The content of config_sentence_transformers.json from which `read_embedder_layout` reads these again."""
    named = {_PROMPT_NAMES[kind][0]: text for kind, text in prompts.items()}
    if prefix:
        named["text"] = prefix
    return {
        "prompts": named,
        "default_prompt_name": "text" if prefix else None,
        "similarity_fn_name": similarity,
    }


def lower_case(tokenizer: object) -> None:
    """Make a fast Hugging Face tokenizer lower-case texts first, as the old do_lower_case demands."""
    backend = tokenizer.backend_tokenizer  # type: ignore[attr-defined]
    own = [] if backend.normalizer is None else [backend.normalizer]
    backend.normalizer = normalizers.Sequence([normalizers.Lowercase(), *own])


def _root(source: str, files: SentenceLayout) -> str:
    """The encoder's folder: beside the modules, or in old models a folder of its own."""
    folder = next((path for kind, path in files.modules if kind == "Transformer"), None)
    if folder is None:
        kinds = ", ".join(kind for kind, _ in files.modules)
        raise CheckpointError(
            f"{source}: made of {kinds}, without a Transformer; a bundle needs one, so take a model that has it"
        )
    if folder and not Path(source).is_dir():
        raise CheckpointError(f"{source}: its encoder stands in {folder}/; download it and give its folder")
    return str(Path(source) / folder) if folder else source


def _pooling(source: str, files: SentenceLayout) -> Pooling:
    if files.pooling not in _POOLINGS:
        raise CheckpointError(
            f"{source}: its vectors are pooled by {files.pooling!r}, and a bundle knows mean, cls and last; "
            "take a model that is pooled so"
        )
    return _POOLINGS[files.pooling]


def _steps(source: str, files: SentenceLayout) -> list[UnitLength | Projection]:
    after = [kind for kind, _ in files.modules].index("Pooling")
    steps: list[UnitLength | Projection] = []
    for position, (kind, folder) in enumerate(files.modules):
        if kind == "Normalize" and position > after:
            steps.append(UnitLength())
        elif kind == "Dense" and position > after:
            steps.append(_projection(source, folder))
        elif kind not in _SILENT:
            raise CheckpointError(
                f"{source}: its module {kind} can't be part of a bundle, which knows Dense and Normalize after the "
                "pooling"
            )
    return steps


def _projection(source: str, folder: str) -> Projection:
    linear, activation = read_dense(source, folder)
    if activation not in _ACTIVATIONS:
        raise CheckpointError(
            f"{source}/{folder}: the activation {activation} can't be part of a bundle, which knows "
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
