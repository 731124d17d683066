"""`--layout standard` for generators: graphs for other libraries, with the runtime's answers and its weights."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest

import ftool_runtime as ft
from ftool_export.bundle import writer
from ftool_export.checkpoints.generator import LoadedGenerator
from ftool_export.errors import GuardError
from ftool_export.examples.generation import GenerationExamples
from ftool_export.layouts.names import ENCODER_MODEL, MERGED_DECODER
from ftool_export.layouts.standard_runs import MergedDecoderRun, StandardDecoderRun
from ftool_export.parity import parity
from ftool_export.passes import PassSettings, standard_decoder
from ftool_export.pipeline import export
from ftool_export.settings import ExportSettings
from ftool_runtime.bundle.paths import DECODER_FILE, ENCODER_FILE, MODEL_FILE

MakeGenerator = Callable[..., LoadedGenerator]

ROWS = [
    [4, 5, 6, 7, 8, 9, 10, 11, 12],
    [20, 21, 22],
    [40, 41, 42, 43, 44, 45],
]  # ragged, so that batches are padded
ANSWERS = [[9, 8, 7, 6, 5], [30, 31], [50, 51, 52]]
EXAMPLES = GenerationExamples(inputs=ROWS)
SAME = 1e-4  # of logits of up to 20: sums in another order, in four layers


@pytest.fixture(scope="module")
def exported(
    make_generator: MakeGenerator, tiny: PassSettings, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], Path]:
    """A tiny generator's bundle in fp32, whose weights are in files of their own, as a large one's are."""
    made: dict[str, Path] = {}

    def make(name: str) -> Path:
        if name not in made:
            loaded = make_generator(name)
            loaded.generation_config.update(max_new_tokens=12, max_length=None)
            made[name] = tmp_path_factory.mktemp(name) / "bundle"
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(writer, "_MAX_INLINE", 0)
                export(settings(made[name], tiny), loaded, EXAMPLES)
        return made[name]

    return make


def settings(bundle: Path, passes: PassSettings) -> ExportSettings:
    return ExportSettings(bundle=bundle, precision="fp32", layout="standard", allow_drift=True, passes=passes)


def names(values: Any) -> list[str]:
    return [value.name for value in values]


# A decoder with learnt positions, one with rotary ones and grouped heads, and one whose caches are concatenated.
@pytest.mark.parametrize("name", ["gpt2", "llama", "gpt_neo"])
def test_a_decoder_gives_the_runtimes_logits_in_a_batch_padded_on_the_left(
    exported: Callable[[str], Path], name: str
) -> None:
    bundle = exported(name)
    with ft.TextGenerator.load(bundle) as model:
        expected = model.score_tokens(ROWS, ANSWERS)
    found = StandardDecoderRun(bundle / MODEL_FILE).score_tokens(ROWS, ANSWERS)
    for one, other in zip(expected, found, strict=True):
        np.testing.assert_allclose(other, one, atol=SAME)
    graph = onnx.load(bundle / MODEL_FILE, load_external_data=False).graph
    layers = ["0.key", "0.value", "1.key", "1.value"]
    assert sorted(names(graph.input)) == sorted(
        ["input_ids", "attention_mask", "position_ids", *(f"past_key_values.{one}" for one in layers)]
    )
    assert names(graph.output) == ["logits", *(f"present.{one}" for one in layers)]
    axes = {
        value.name: [size.dim_param for size in value.type.tensor_type.shape.dim] for value in graph.input
    }
    assert axes["input_ids"] == ["batch_size", "sequence_length"]
    assert axes["past_key_values.0.key"][2] == "past_sequence_length"


@pytest.mark.parametrize("name", ["t5", "bart"])
def test_an_encoder_decoder_gives_the_runtimes_logits_with_sources_of_several_lengths(
    exported: Callable[[str], Path], name: str
) -> None:
    bundle = exported(name)
    start = json.loads((bundle / "generation_config.json").read_text())["decoder_start_token_id"]
    with ft.Seq2SeqGenerator.load(bundle) as model:
        expected = model.score_tokens(ROWS, ANSWERS)
    found = MergedDecoderRun(bundle / ENCODER_MODEL, bundle / MERGED_DECODER, start).score_tokens(
        ROWS, ANSWERS
    )
    for one, other in zip(expected, found, strict=True):
        np.testing.assert_allclose(other, one, atol=SAME)
    graph = onnx.load(bundle / MERGED_DECODER, load_external_data=False).graph
    parts = ["decoder.key", "decoder.value", "encoder.key", "encoder.value"]
    caches = [f"{layer}.{part}" for layer in range(2) for part in parts]  # the order that optimum relies on
    assert names(graph.input) == [
        "encoder_attention_mask",
        "input_ids",
        "encoder_hidden_states",
        *(f"past_key_values.{one}" for one in caches),
        "use_cache_branch",
    ]
    assert names(graph.output) == ["logits", *(f"present.{one}" for one in caches)]


@pytest.mark.parametrize(
    ("name", "shared"),
    [
        ("llama", {DECODER_FILE: MODEL_FILE}),
        ("t5", {ENCODER_FILE: ENCODER_MODEL, DECODER_FILE: MERGED_DECODER}),
    ],
)
def test_graphs_for_both_share_the_weights_under_the_name_that_browsers_look_for(
    exported: Callable[[str], Path], name: str, shared: dict[str, str]
) -> None:
    bundle = exported(name)
    files = {path.relative_to(bundle).as_posix() for path in (bundle / "onnx").iterdir()}
    assert files == {*shared, *shared.values(), *(f"{other}_data" for other in shared.values())}
    for own, other in shared.items():
        for graph in (own, other):
            stored = ir.load(bundle / graph).graph.initializers.values()
            places = {
                one.const_value.location for one in stored if isinstance(one.const_value, ir.ExternalTensor)
            }
            assert places == {f"{Path(other).name}_data"}
    config = json.loads((bundle / "config.json").read_text())["transformers.js_config"]
    assert config["use_external_data_format"] == {Path(other).name: 1 for other in shared.values()}


def test_parity_and_verify_pass(exported: Callable[[str], Path], make_generator: MakeGenerator) -> None:
    loaded = make_generator("t5")
    loaded.generation_config.update(max_new_tokens=12, max_length=None)
    assert parity(loaded, exported("t5"), EXAMPLES).passed
    assert ft.verify(exported("t5")).passed


def test_genai_config_names_what_the_graph_has(exported: Callable[[str], Path]) -> None:
    config = json.loads((exported("llama") / "genai_config.json").read_text(encoding="utf-8"))
    decoder = config["model"]["decoder"]
    graph = onnx.load(exported("llama") / decoder["filename"], load_external_data=False).graph
    layers = range(decoder["num_hidden_layers"])
    stated = [name for name in decoder["inputs"].values() if "%" not in name]
    stated += [
        decoder["inputs"][f"past_{part}_names"] % layer for layer in layers for part in ("key", "value")
    ]
    assert sorted(stated) == sorted(names(graph.input))
    assert (decoder["num_attention_heads"], decoder["num_key_value_heads"], decoder["head_size"]) == (4, 2, 8)
    assert (config["model"]["vocab_size"], config["model"]["eos_token_id"]) == (200, 2)
    assert config["search"]["past_present_share_buffer"] is True


def test_buffers_of_a_fixed_length_may_be_input_and_output_at_once(exported: Callable[[str], Path]) -> None:
    """As onnxruntime-genai runs the graph that genai_config.json describes."""
    run = StandardDecoderRun(exported("llama") / MODEL_FILE)
    shapes = {
        one.name: one.shape for one in run.session.get_inputs() if one.name.startswith("past_key_values.")
    }
    import onnxruntime as ort

    buffers = {
        name: ort.OrtValue.ortvalue_from_numpy(np.full((1, shape[1], 32, shape[3]), 3.0, dtype=np.float32))
        for name, shape in shapes.items()
    }
    found, tokens, seen = [], ROWS[0], 0
    for token in [*ANSWERS[0], 0]:
        binding = run.session.io_binding()
        seen += len(tokens)
        positions = np.arange(seen - len(tokens), seen)[None]
        binding.bind_cpu_input("input_ids", np.array([tokens]))
        binding.bind_cpu_input("position_ids", positions)
        binding.bind_cpu_input("attention_mask", np.ones((1, seen), dtype=np.int64))
        for name, buffer in buffers.items():
            binding.bind_ortvalue_input(name, buffer)
            binding.bind_ortvalue_output(name.replace("past_key_values.", "present."), buffer)
        binding.bind_output("logits")
        run.session.run_with_iobinding(binding)
        found.append(binding.get_outputs()[-1].numpy()[0, -1])
        tokens = [token]
    with ft.TextGenerator.load(exported("llama")) as model:
        expected = model.score_tokens(ROWS[:1], ANSWERS[:1])[0]
    np.testing.assert_allclose(np.array(found)[: len(expected)], expected, atol=SAME)


def test_a_graph_that_answers_otherwise_is_refused_and_nothing_is_written(
    make_generator: MakeGenerator, tiny: PassSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(standard_decoder, "_LOW", 0.0)  # padding on the left is seen
    with pytest.raises(
        GuardError, match=r"layout standard: .* tokens have other logits than in ftool-runtime"
    ):
        export(settings(tmp_path / "bundle", tiny), make_generator("llama"), EXAMPLES)
    assert not (tmp_path / "bundle").exists()
