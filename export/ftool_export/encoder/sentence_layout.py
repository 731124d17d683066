"""The sentence-transformers files of a checkpoint: how it pools, and the head we write in the same layout.

The older file format is written on purpose: every sentence-transformers release since 2.2 reads it.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import nn

from ftool_export.errors import CheckpointError
from ftool_export.pretrained import find_file

_MODULES = "modules.json"
_PROMPTS = "config_sentence_transformers.json"
_LENGTH = "sentence_bert_config.json"


@dataclass(frozen=True, kw_only=True)
class SentenceLayout:
    """What sentence-transformers' files say of a checkpoint."""

    pooling: str  # mean, cls, or another mode of sentence-transformers
    normalize: bool
    dense: tuple[str, ...]  # folders of the Dense modules, in order
    max_length: int | None
    prefix: str  # goes before every text


def read_json(source: str, name: str) -> Any:
    """The content of a checkpoint's JSON file, or None where there is no such file.

    Raises CheckpointError where it is no JSON.
    """
    path = find_file(source, name)
    if path is None:
        return None
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise CheckpointError(
            f"{path}: not valid JSON ({error}); fetch or write the checkpoint again"
        ) from error


def read_layout(source: str) -> SentenceLayout | None:
    """What the sentence-transformers files of `source` say, or None where it has none.

    Raises CheckpointError where the files contradict each other.
    """
    modules = read_json(source, _MODULES)
    if modules is None:
        return None
    kinds = [(str(m["type"]).rsplit(".", 1)[-1], str(m["path"])) for m in modules]
    folders = [path for kind, path in kinds if kind == "Pooling"]
    if len(folders) != 1:
        raise CheckpointError(
            f"{source}/{_MODULES}: {len(folders)} Pooling modules, and a classifier needs exactly one"
        )
    return SentenceLayout(
        pooling=_pooling_mode(read_json(source, f"{folders[0]}/config.json") or {}),
        normalize=any(kind == "Normalize" for kind, _ in kinds),
        dense=tuple(path for kind, path in kinds if kind == "Dense"),
        max_length=(read_json(source, _LENGTH) or {}).get("max_seq_length"),
        prefix=_default_prompt(read_json(source, _PROMPTS) or {}),
    )


def read_head(source: str, folder: str) -> nn.Linear:
    """The linear head in a Dense module's folder. Raises CheckpointError where there is none."""
    config = read_json(source, f"{folder}/config.json") or {}
    activation = str(config.get("activation_function", "missing"))
    if not activation.endswith("Identity"):
        raise CheckpointError(
            f"{source}/{folder}: activation is {activation}, and a classifier's head has none"
        )
    path = find_file(source, f"{folder}/model.safetensors")
    if path is None:
        raise CheckpointError(f"{source}/{folder}/model.safetensors is missing; train the model again")
    tensors = load_file(path)
    weight = tensors["linear.weight"]
    head = nn.Linear(weight.shape[1], weight.shape[0])
    with torch.no_grad():
        head.weight.copy_(weight)
        head.bias.copy_(tensors["linear.bias"])
    return head


def write_layout(
    folder: Path, head: nn.Linear, *, pooling: str, normalize: bool, max_length: int, prefix: str
) -> None:
    """Write the modules beside an encoder: `SentenceTransformer(folder).encode(text)` gives the logits."""
    kinds = ["Transformer", "Pooling", *(["Normalize"] if normalize else []), "Dense"]
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
    prompts: dict[str, Any] = {"prompts": {"text": prefix}, "default_prompt_name": "text"} if prefix else {}
    _write_json(folder / _PROMPTS, {"__version__": {}, **prompts})
    for module in modules[1:]:
        (folder / str(module["path"])).mkdir()
    _write_json(folder / "1_Pooling" / "config.json", _pooling_config(pooling, head.in_features))
    _write_head(folder / str(modules[-1]["path"]), head)


def _write_head(folder: Path, head: nn.Linear) -> None:
    config = {
        "in_features": head.in_features,
        "out_features": head.out_features,
        "bias": True,
        "activation_function": "torch.nn.modules.linear.Identity",
    }
    _write_json(folder / "config.json", config)
    tensors = {f"linear.{name}": value.detach().contiguous() for name, value in head.state_dict().items()}
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


def _pooling_config(pooling: str, width: int) -> dict[str, Any]:
    return {
        "word_embedding_dimension": width,
        "pooling_mode_cls_token": pooling == "cls",
        "pooling_mode_mean_tokens": pooling == "mean",
        "pooling_mode_max_tokens": False,
        "pooling_mode_mean_sqrt_len_tokens": False,
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


def _default_prompt(config: dict[str, Any]) -> str:
    name = config.get("default_prompt_name")
    return "" if name is None else str(config.get("prompts", {}).get(name, ""))


def _write_json(path: Path, content: Any) -> None:
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
