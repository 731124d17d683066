"""Read and write the sentence-transformers files of a checkpoint: its pooling and the modules after the pooling.

The older file format is written on purpose, because every sentence-transformers release since 2.2 reads it.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file
from torch import nn

from ftool_export.checkpoints.files import find_file, read_json
from ftool_export.checkpoints.weights import allow_as_by_umask
from ftool_export.errors import CheckpointError

_MODULES = "modules.json"
_SETTINGS = "config_sentence_transformers.json"
_LENGTH = "sentence_bert_config.json"
_OLD_LENGTHS = [f"sentence_{name}_config.json" for name in ("roberta", "distilbert", "xlm-roberta", "albert")]
_VECTOR = "sentence_embedding"  # sentence-transformers' name for the pooled vector


@dataclass(frozen=True, kw_only=True)
class SentenceLayout:
    """The content of a checkpoint's sentence-transformers files."""

    pooling: str  # mean, cls, or another mode of sentence-transformers
    normalize: bool
    dense: tuple[str, ...]  # folders of the Dense modules, in order
    max_length: int | None
    prefix: str  # put before every text
    modules: tuple[tuple[str, str], ...]  # kind and folder of every module, in order
    prompts: Mapping[str, str]  # by name, such as query and document
    pools_prompt: bool  # whether a prompt's tokens are pooled with the text's
    lower_case: bool  # whether texts are lower-cased before the tokenizer's own steps
    truncate_to: int | None  # the number of dimensions to keep of a vector
    similarity: str | None  # the measure for comparing vectors; None if the files name none


def read_layout(source: str) -> SentenceLayout | None:
    """Return the content of a checkpoint's sentence-transformers files, or None if there are none.

    `source` is a folder or hub id. Raises CheckpointError if there is not exactly one pooling module.
    """
    modules = read_json(source, _MODULES)
    if modules is None:
        return None
    kinds = [(str(m["type"]).rsplit(".", 1)[-1], str(m["path"])) for m in modules]
    folders = [path for kind, path in kinds if kind == "Pooling"]
    if len(folders) != 1:
        raise CheckpointError(
            f"{source}/{_MODULES}: {len(folders)} Pooling modules among {', '.join(kind for kind, _ in kinds)}; "
            "an encoder with exactly one can be used"
        )
    pooling = read_json(source, f"{folders[0]}/config.json") or {}
    transformer = next((f"{path}/" for kind, path in kinds if kind == "Transformer" and path), "")
    lengths = (read_json(source, f"{transformer}{name}") for name in (_LENGTH, *_OLD_LENGTHS))
    length: dict[str, Any] = next((found for found in lengths if found), {})
    settings = read_json(source, _SETTINGS) or {}
    return SentenceLayout(
        pooling=_pooling_mode(pooling),
        normalize=any(kind == "Normalize" for kind, _ in kinds),
        dense=tuple(path for kind, path in kinds if kind == "Dense"),
        max_length=length.get("max_seq_length"),
        prefix=_default_prompt(settings),
        modules=tuple(kinds),
        prompts={str(name): str(text) for name, text in (settings.get("prompts") or {}).items()},
        pools_prompt=pooling.get("include_prompt") is not False,
        lower_case=length.get("do_lower_case") is True,
        truncate_to=_truncation(source, settings.get("truncate_dim")),
        similarity=settings.get("similarity_fn_name"),
    )


def read_head(source: str, folder: str) -> nn.Linear:
    """Return a classifier's head from the folder of a Dense module. Raises CheckpointError if it has an activation."""
    linear, activation = read_dense(source, folder)
    if activation != "Identity":
        raise CheckpointError(
            f"{source}/{folder}: its activation is {activation}, but a classifier's head has none"
        )
    return linear


def read_dense(source: str, folder: str) -> tuple[nn.Linear, str]:
    """Return the linear layer in the folder of a Dense module, and the torch.nn class name of the activation after it.

    Raises CheckpointError if the layer is missing, or the module does more than a linear layer and an activation.
    """
    config = read_json(source, f"{folder}/config.json") or {}
    if config.get("use_residual") or config.get("module_input_name", _VECTOR) != _VECTOR:
        raise CheckpointError(
            f"{source}/{folder}: a Dense module can't be used if it has a residual or reads anything other than the "
            "pooled vector"
        )
    path = find_file(source, f"{folder}/model.safetensors")
    if path is None:
        raise CheckpointError(
            f"{source}/{folder}/model.safetensors is missing; train the model again or fetch it whole (other weight "
            "files are not read, because unpickling them can run code)"
        )
    tensors = load_file(path)
    weight = tensors["linear.weight"]
    linear = nn.Linear(weight.shape[1], weight.shape[0], bias="linear.bias" in tensors)
    linear.load_state_dict({name.removeprefix("linear."): value for name, value in tensors.items()})
    # Tanh is sentence-transformers' default.
    return linear, str(config.get("activation_function", "Tanh")).rsplit(".", 1)[-1]


def write_layout(
    folder: Path, head: nn.Linear, *, pooling: str, normalize: bool, max_length: int, prefix: str
) -> None:
    """Write a classifier's pooling and head as sentence-transformers modules into `folder`, which holds the encoder.

    `SentenceTransformer(folder).encode(text)` then returns logits.
    """
    write_modules(
        folder,
        [*([None] if normalize else []), (head, "Identity")],
        pooling=pooling,
        width=head.in_features,
        max_length=max_length,
        settings={"prompts": {"text": prefix}, "default_prompt_name": "text"} if prefix else {},
    )


def write_modules(
    folder: Path,
    steps: Sequence[tuple[nn.Linear, str] | None],
    *,
    pooling: str,
    width: int,
    max_length: int,
    settings: Mapping[str, Any],
) -> None:
    """Write sentence-transformers' files for the modules after an encoder into `folder`, which holds the encoder.

    Args:
        folder: the checkpoint's folder.
        steps: the modules after the pooling, in order. None is a Normalize module, which scales vectors to length 1; a
            linear layer with the name of its activation in torch.nn is a Dense module.
        pooling: the pooling's name.
        width: the size of the encoder's token vectors.
        max_length: the largest number of tokens of a text.
        settings: the content of config_sentence_transformers.json, except "__version__".
    """
    kinds = ["Transformer", "Pooling", *("Normalize" if step is None else "Dense" for step in steps)]
    modules = [
        {
            "idx": index,
            "name": str(index),
            "path": "" if index == 0 else f"{index}_{kind}",
            "type": f"sentence_transformers.models.{kind}",
        }
        for index, kind in enumerate(kinds)
    ]
    _write_json(folder / _MODULES, modules)
    _write_json(folder / _LENGTH, {"max_seq_length": max_length, "do_lower_case": False})
    _write_json(folder / _SETTINGS, {"__version__": {}, **settings})
    for module in modules[1:]:
        (folder / str(module["path"])).mkdir()
    _write_json(folder / "1_Pooling" / "config.json", _pooling_config(pooling, width))
    for module, step in zip(modules[2:], steps, strict=True):
        if step is not None:
            _write_dense(folder / str(module["path"]), *step)


def _write_dense(folder: Path, linear: nn.Linear, activation: str) -> None:
    activation_class: type[nn.Module] = getattr(nn, activation)
    config = {
        "in_features": linear.in_features,
        "out_features": linear.out_features,
        "bias": linear.bias is not None,
        "activation_function": f"{activation_class.__module__}.{activation}",
    }
    _write_json(folder / "config.json", config)
    tensors = {f"linear.{name}": value.detach().contiguous() for name, value in linear.state_dict().items()}
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    allow_as_by_umask(folder)


def _pooling_config(pooling: str, width: int) -> dict[str, Any]:
    return {
        "word_embedding_dimension": width,
        "pooling_mode_cls_token": pooling == "cls",
        "pooling_mode_mean_tokens": pooling == "mean",
        "pooling_mode_max_tokens": False,
        "pooling_mode_mean_sqrt_len_tokens": False,
        **({"pooling_mode_lasttoken": True} if pooling == "last" else {}),  # unknown to the oldest releases
    }


def _pooling_mode(config: dict[str, Any]) -> str:
    if "pooling_mode" in config:  # sentence-transformers 6
        mode = config["pooling_mode"]
        return mode if isinstance(mode, str) else "+".join(mode)
    names = [key for key, on in config.items() if key.startswith("pooling_mode_") and on is True]
    return (
        "+".join(
            n.removeprefix("pooling_mode_").removesuffix("_tokens").removesuffix("_token") for n in names
        )
        or "mean"
    )


def _truncation(source: str, width: Any) -> int | None:
    if width is None or (type(width) is int and width > 0):
        return width
    raise CheckpointError(
        f"{source}/{_SETTINGS}: truncate_dim is {width!r}; write the number of dimensions to keep, or remove it"
    )


def _default_prompt(config: dict[str, Any]) -> str:
    name = config.get("default_prompt_name")
    return "" if name is None else str(config.get("prompts", {}).get(name, ""))


def _write_json(path: Path, content: Any) -> None:
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
