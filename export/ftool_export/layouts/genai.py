"""Write genai_config.json, by which onnxruntime-genai runs a decoder's graph with standard names."""

import json
from pathlib import Path
from typing import Any, Final

import onnx_ir as ir

from ftool_export.checkpoints.generator import LoadedGenerator
from ftool_runtime.bundle.paths import MODEL_FILE

GENAI_FILE: Final = "genai_config.json"
_TYPE: Final = "decoder"  # onnxruntime-genai's name for decoders of any architecture
_SAMPLING: Final = ("temperature", "top_k", "top_p", "repetition_penalty")


def write_genai_config(folder: Path, model: ir.Model, loaded: LoadedGenerator, *, shared: bool) -> None:
    """Write genai_config.json for the graph `model`, which is in `folder` under `MODEL_FILE`. Raises OSError.

    `shared` says whether caches may be buffers of a fixed length, which are input and output at once.
    """
    content = {"model": _model(model, loaded), "search": _search(loaded, shared=shared)}
    (folder / GENAI_FILE).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def _model(model: ir.Model, loaded: LoadedGenerator) -> dict[str, Any]:
    settings, config = loaded.generation_config, loaded.config
    tokens = {
        "bos_token_id": settings.bos_token_id if settings.bos_token_id is not None else config.bos_token_id,
        "eos_token_id": settings.eos_token_id if settings.eos_token_id is not None else config.eos_token_id,
        "pad_token_id": loaded.tokenizer.pad_token_id,
    }
    return {
        "type": _TYPE,
        **{name: value for name, value in tokens.items() if value is not None},
        "vocab_size": model.graph.outputs[0].shape[-1],  # type: ignore[index]
        "context_length": loaded.max_length,
        "decoder": _decoder(model, loaded),
    }


def _decoder(model: ir.Model, loaded: LoadedGenerator) -> dict[str, Any]:
    names = [str(value.name) for value in model.graph.inputs]
    caches = [value for value in model.graph.inputs if str(value.name).startswith("past_key_values.")]
    shape = caches[0].shape
    assert shape is not None
    inputs = {name: name for name in ("input_ids", "attention_mask", "position_ids") if name in names}
    embeddings: Any = loaded.model.get_input_embeddings()
    return {
        "filename": MODEL_FILE,
        "session_options": {"log_id": "onnxruntime-genai", "provider_options": []},
        "num_hidden_layers": len(caches) // 2,
        "num_attention_heads": loaded.config.num_attention_heads,
        "num_key_value_heads": shape[1],
        "head_size": shape[3],
        "hidden_size": embeddings.weight.shape[1],
        "inputs": {
            **inputs,
            "past_key_names": "past_key_values.%d.key",
            "past_value_names": "past_key_values.%d.value",
        },
        "outputs": {
            "logits": "logits",
            "present_key_names": "present.%d.key",
            "present_value_names": "present.%d.value",
        },
    }


def _search(loaded: LoadedGenerator, *, shared: bool) -> dict[str, Any]:
    settings = loaded.generation_config
    beams = settings.num_beams or 1
    sampling = {name: getattr(settings, name, None) for name in _SAMPLING}
    return {
        "do_sample": bool(settings.do_sample),
        "num_beams": beams,
        **{name: value for name, value in sampling.items() if value is not None},
        "max_length": loaded.max_length,
        "past_present_share_buffer": shared and beams == 1,  # beams reorder caches
    }
