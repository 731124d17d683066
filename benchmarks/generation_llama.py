"""llama.cpp as an engine of `python -m benchmarks.generation`: GPT-2 checkpoints as GGUF files, generated greedily.

The environment needs llama-cpp-python, built for this processor (`CMAKE_ARGS=-DGGML_NATIVE=ON pip install
--no-binary llama-cpp-python llama-cpp-python`), gguf and safetensors.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

CONTEXT: Final = 1024  # tokens, as GPT-2 has
_LAYER: Final = {
    "ln_1": "attn_norm",
    "attn.c_attn": "attn_qkv",
    "attn.c_proj": "attn_output",
    "ln_2": "ffn_norm",
    "mlp.c_fc": "ffn_up",
    "mlp.c_proj": "ffn_down",
}
_OUTER: Final = {"wte": "token_embd", "wpe": "position_embd", "ln_f": "output_norm"}


def gguf_file(checkpoint: Path, kind: str) -> Path:
    """Return a GPT-2 checkpoint as a GGUF file beside its folder, in the type `kind`, such as "Q4_0".

    Matrices are quantised; norms, biases and positions stay float32. The table of tokens, which is also the head, is in
    8 bits, where llama.cpp's own quantisation uses 6.
    """
    import gguf
    import numpy as np
    from safetensors.numpy import load_file

    path = checkpoint.with_name(f"{checkpoint.name}-{kind}.gguf")
    if path.exists():
        return path
    writer = gguf.GGUFWriter(path, "gpt2")
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(768)
    writer.add_block_count(12)
    writer.add_feed_forward_length(3072)
    writer.add_head_count(12)
    writer.add_layer_norm_eps(1e-5)
    writer.add_tokenizer_model("no_vocab")
    matrices, table = gguf.GGMLQuantizationType[kind], gguf.GGMLQuantizationType.Q8_0
    for name, array in load_file(checkpoint / "model.safetensors").items():
        found = _gguf_name(name)
        if found is None:
            continue
        if found == "token_embd.weight":
            writer.add_tensor(found, gguf.quants.quantize(array, table), raw_dtype=table)
        elif array.ndim == 2 and found.startswith("blk"):
            transposed = np.ascontiguousarray(array.T)  # transformers' Conv1D is (inputs, outputs)
            writer.add_tensor(found, gguf.quants.quantize(transposed, matrices), raw_dtype=matrices)
        else:
            writer.add_tensor(found, array.astype(np.float32))
    writer.add_vocab_size(50257)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _gguf_name(name: str) -> str | None:
    """Return llama.cpp's name of a tensor of GPT-2; None for buffers."""
    parts = name.removeprefix("transformer.").split(".")
    if parts[0] in _OUTER:
        return f"{_OUTER[parts[0]]}.{parts[1]}"
    inner = ".".join(parts[2:-1])
    return f"blk.{parts[1]}.{_LAYER[inner]}.{parts[-1]}" if parts[0] == "h" and inner in _LAYER else None


def load(checkpoint: Path, kind: str, threads: int) -> Callable[[list[list[int]], int], object]:
    """Load the GGUF file in llama.cpp, and return a function that generates `new` tokens for each row in turn."""
    import ctypes

    import llama_cpp as llama

    llama.llama_backend_init()
    model = llama.llama_model_load_from_file(
        str(gguf_file(checkpoint, kind)).encode(), llama.llama_model_default_params()
    )
    settings: Any = llama.llama_context_default_params()
    settings.n_ctx = settings.n_batch = settings.n_ubatch = CONTEXT
    settings.n_threads = settings.n_threads_batch = threads
    context = llama.llama_init_from_model(model, settings)
    greedy = llama.llama_sampler_init_greedy()

    def generate(rows: list[list[int]], new: int) -> list[list[int]]:
        return [one(row, new) for row in rows]

    def one(row: list[int], new: int) -> list[int]:
        llama.llama_memory_clear(llama.llama_get_memory(context), True)
        tokens, found = (ctypes.c_int32 * len(row))(*row), []
        while True:
            if llama.llama_decode(context, llama.llama_batch_get_one(tokens, len(tokens))):
                raise RuntimeError("llama_decode failed")
            found.append(llama.llama_sampler_sample(greedy, context, -1))
            if len(found) == new:
                return found
            tokens = (ctypes.c_int32 * 1)(found[-1])

    return generate
