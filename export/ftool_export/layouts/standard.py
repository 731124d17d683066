"""Complete a bundle with `--layout standard`: what other libraries need, proved before the bundle is committed."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import onnx_ir as ir

from ftool_export.checkpoints.base import LoadedModel
from ftool_export.checkpoints.encoder import LoadedEncoder
from ftool_export.checkpoints.generator import LoadedGenerator
from ftool_export.layouts.genai import write_genai_config
from ftool_export.layouts.names import ENCODER_MODEL, MERGED_DECODER, weights_of
from ftool_export.layouts.proof import prove_generator, prove_parts
from ftool_export.layouts.seq2seq import merge, standard_encoder
from ftool_export.layouts.standard_runs import MergedDecoderRun, StandardDecoderRun
from ftool_export.passes.standard_decoder import LENGTHS, StandardDecoder
from ftool_runtime.bundle.paths import DECODER_FILE, ENCODER_FILE, MODEL_FILE

# By family and by the graph's name, the file of the weights that a graph shares with one of other libraries' graphs:
# transformers.js looks for weights under the name of the graph that it reads.
_SHARED: Final[Mapping[str, Mapping[str, str]]] = MappingProxyType(
    {
        "decoder": {"decoder": weights_of(MODEL_FILE)},
        "encoder-decoder": {"encoder": weights_of(ENCODER_MODEL), "decoder": weights_of(MERGED_DECODER)},
    }
)


def shared_weights(loaded: LoadedModel, layout: str) -> Mapping[str, str]:
    """Return, by the graph's name, the files of weights that don't have the name of the runtime's graph."""
    return _SHARED.get(loaded.family, {}) if layout == "standard" else {}


def complete(
    folder: Path, loaded: LoadedModel, model: Any, inputs: Sequence[Any], *, exact: bool
) -> dict[str, Any]:
    """Write a generator's second graphs, and check what other libraries will read; return evidence for the manifest.

    Args:
        folder: the draft of the bundle.
        loaded: the checkpoint.
        model: the draft, loaded by the runtime.
        inputs: inputs of the task, to compare answers on.
        exact: whether answers must be the same up to rounding, as in fp32.

    Raises:
        GuardError: answers differ from those of `model`, or the graphs can't have the layout.
        OSError: a file can't be written.
    """
    if isinstance(loaded, LoadedGenerator):
        write = _write_decoder if loaded.family == "decoder" else _write_encoder_decoder
        return prove_generator(write(folder, loaded), model, inputs, exact=exact)
    assert isinstance(loaded, LoadedEncoder)
    return prove_parts(folder / MODEL_FILE, loaded, inputs)


def _write_decoder(folder: Path, loaded: LoadedGenerator) -> StandardDecoderRun:
    """Write the decoder's graph with standard names, which reads the weights of the runtime's graph; open it."""
    model = ir.load(folder / DECODER_FILE)
    in_place = any(value.name == LENGTHS for value in model.graph.inputs)
    StandardDecoder()(model)
    ir.save(model, folder / MODEL_FILE)
    write_genai_config(folder, model, loaded, shared=in_place)
    return StandardDecoderRun(folder / MODEL_FILE)


def _write_encoder_decoder(folder: Path, loaded: LoadedGenerator) -> MergedDecoderRun:
    """Write both graphs with standard names, which read the weights of the runtime's graphs; open them.

    The weights of the branch that computes the source's keys and values are stored once more, inside the graph.
    """
    encoder = ir.load(folder / ENCODER_FILE)
    standard_encoder(encoder)
    ir.save(encoder, folder / ENCODER_MODEL)
    decoder = ir.load(folder / DECODER_FILE)
    merge(decoder, ir.load(folder / ENCODER_FILE))
    ir.save(decoder, folder / MERGED_DECODER)
    return MergedDecoderRun(folder / ENCODER_MODEL, folder / MERGED_DECODER, loaded.start_token)
