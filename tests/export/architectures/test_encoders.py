"""Encoders of all architectures are captured, optimised and quantised; guards compare each stage with torch."""

from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest
import torch
from transformers import AutoConfig

from ftool_export.architectures.checks import attention_layers, check_exportable
from ftool_export.capture.attention import IMPLEMENTATION, attention_at_the_source
from ftool_export.capture.encoder import capture_encoder
from ftool_export.capture.torch_export import Signature
from ftool_export.checkpoints.classifier import load_classifier
from ftool_export.errors import ExportError
from ftool_export.graph.graphs import Graphs, capture
from ftool_export.graph.guards import count_operators
from ftool_export.graph.probes import EncoderProbe
from ftool_export.graph.session import open_session
from ftool_export.passes import PassSettings
from ftool_export.passes.matching import constant_matmuls
from ftool_export.precision_plans import PLANS
from ftool_export.quantization import quantize, quantize_products

slow = pytest.mark.slow

WriteCheckpoint = Callable[..., Path]
CaptureOf = Callable[..., Graphs]


@pytest.mark.parametrize(
    ("architecture", "attention"),
    [
        pytest.param("bert", "fused", id="bert"),
        pytest.param("modernbert", "fused", id="modernbert: a sliding window as attention bias"),
        pytest.param("gpt2", "fused", id="gpt2: causal, Conv1D, the last token's logits"),
        pytest.param("mpnet", "plain", id="mpnet: an attention of its own"),
        pytest.param("albert", "fused", id="albert: layers share weights", marks=slow),
        pytest.param("distilbert", "fused", id="distilbert", marks=slow),
        pytest.param("roberta", "fused", id="roberta", marks=slow),
        pytest.param("xlm-roberta", "fused", id="xlm-roberta", marks=slow),
        pytest.param("electra", "fused", id="electra", marks=slow),
        pytest.param("deberta-v2", "plain", id="deberta-v2", marks=slow),
        pytest.param("llama", "fused", id="llama: rotary positions, grouped keys", marks=slow),
        pytest.param("mistral", "fused", id="mistral: a causal sliding window", marks=slow),
    ],
)
def test_all_precisions_answer_as_torch_does(
    architecture: str, attention: str, capture_of: CaptureOf, tiny: PassSettings
) -> None:
    source = capture_of(architecture)  # raises where a logit is 1e-4 or more from torch's
    assert source.attention == attention
    assert source.contracts["model"].operators == {"MultiHeadAttention": 2 if attention == "fused" else 0}
    for name in ("int8", "int8-rows", "w8"):
        plan = PLANS["encoder"][name]
        assert plan.quantize_products is not None
        graph = quantize(source, plan, tiny).models["model"]
        assert count_operators(graph)[plan.quantize_products.operator] >= 8
    halves = quantize(source, PLANS["encoder"]["fp16"], tiny).models[
        "model"
    ]  # raises if answers are far from torch's
    products = [node for node in halves.graph if node.op_type == "MatMul"]
    assert all(value.dtype == ir.DataType.FLOAT16 for node in products for value in node.outputs)
    graph = source.models["model"].clone()
    quantize_products(
        graph, PLANS["encoder"]["w4"], tiny
    )  # 4 bits are too few for the answers of random weights
    assert count_operators(graph)["MatMulNBits"] >= 8
    assert not constant_matmuls(graph, tiny.smallest)


def test_a_window_narrower_than_the_text_is_kept(
    write_checkpoint: WriteCheckpoint, capture_of: CaptureOf, texts: list[str]
) -> None:
    source = capture_of("modernbert")  # raises where an answer is not torch's
    wide = load_classifier(write_checkpoint("modernbert", local_attention=64))
    longest = wide.batch(wide.tokenize([max(texts, key=len)]))
    with torch.inference_mode():
        narrow = source.loaded.model(**longest)
        assert not torch.allclose(narrow, wide.model(**longest), atol=0.01)  # so the window matters here


def test_capturing_leaves_the_model_as_it_was(source: Graphs) -> None:
    loaded, probe = source.loaded, source.probes[0]  # torch answered it before the capture
    assert isinstance(probe, EncoderProbe)
    inputs = {name: torch.from_numpy(array) for name, array in probe.feeds.items()}
    with torch.inference_mode():
        np.testing.assert_array_equal(loaded.model(**inputs).numpy(), probe.outputs)
    assert loaded.model.config._attn_implementation != IMPLEMENTATION


def test_a_failing_capture_puts_attention_back(bert: Path) -> None:
    loaded = load_classifier(bert)
    implementation = loaded.model.config._attn_implementation
    with suppress(KeyboardInterrupt), attention_at_the_source(loaded.model):
        assert loaded.model.config._attn_implementation == IMPLEMENTATION
        raise KeyboardInterrupt
    assert loaded.model.config._attn_implementation == implementation
    with pytest.raises(ValueError, match=IMPLEMENTATION):
        loaded.model.encoder.set_attn_implementation(IMPLEMENTATION)


def test_a_model_in_training_mode_is_refused(bert: Path) -> None:
    model = load_classifier(bert).model.train()
    with pytest.raises(ExportError, match="training mode"):
        capture_encoder(model, ("input_ids", "attention_mask"), 20)


def test_a_model_that_cannot_be_traced_is_refused_with_the_reason() -> None:
    class Branching(torch.nn.Module):
        def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
            return input_ids.float() if input_ids.sum() > 3 else attention_mask.float()

    signature = Signature()
    for name in ("input_ids", "attention_mask"):
        signature.add(name, torch.ones(2, 9), {})
    with pytest.raises(ExportError, match="can't capture Branching"):
        signature.trace(Branching().eval(), ["logits"])


def test_token_types_are_an_input_only_where_they_matter(source: Graphs, capture_of: CaptureOf) -> None:
    assert source.input_names == ("input_ids", "attention_mask")
    typed = capture_of("bert", first_type=1)
    assert typed.input_names == ("input_ids", "attention_mask", "token_type_ids")
    session, probe = open_session(typed.models["model"]), typed.probes[0]
    assert isinstance(probe, EncoderProbe)
    (other,) = session.run(None, {**probe.feeds, "token_type_ids": np.zeros_like(probe.feeds["input_ids"])})
    assert np.abs(other - probe.outputs).max() > 0.01


@slow
def test_weights_that_layers_share_stay_shared(capture_of: CaptureOf, tiny: PassSettings) -> None:
    source = capture_of("albert")
    graph = quantize(source, PLANS["encoder"]["int8"], tiny).models["model"]
    weights = Counter(n.inputs[1].name for n in graph.graph if n.op_type == "DynamicQuantizeMatMul")
    assert sorted(weights.values()) == [1, 1, 2, 2, 2, 2]  # mapping in, pooler; 4 of the shared layer


def test_a_decoder_without_a_padding_token_is_refused(write_checkpoint: WriteCheckpoint) -> None:
    config = AutoConfig.from_pretrained(write_checkpoint("gpt2"))
    config.pad_token_id = None
    with pytest.raises(ExportError, match="pad_token_id"):
        check_exportable(config)


def test_an_encoder_decoder_is_refused() -> None:
    with pytest.raises(ExportError, match="encoder-decoder"):
        check_exportable(AutoConfig.for_model("bart"))


def test_layers_are_counted_under_any_name() -> None:
    assert attention_layers(AutoConfig.for_model("distilbert", n_layers=3)) == 3
    assert attention_layers(AutoConfig.for_model("gpt2", n_layer=5)) == 5


@pytest.mark.parametrize("architecture", ["fnet", "funnel", "nystromformer"])
def test_a_network_that_fails_on_some_lengths_is_refused_by_name(
    write_checkpoint: WriteCheckpoint, texts: list[str], architecture: str
) -> None:
    loaded = load_classifier(write_checkpoint(architecture))
    with pytest.raises(ExportError, match=rf"{architecture}: .* can't run inputs of all lengths"):
        capture(loaded, texts)


def test_a_length_below_one_in_the_configuration_is_not_a_limit(write_checkpoint: WriteCheckpoint) -> None:
    loaded = load_classifier(write_checkpoint("xlnet"))
    assert loaded.config.max_position_embeddings == -1
    assert loaded.max_length == loaded.tokenizer.model_max_length
