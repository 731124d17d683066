"""Bundles of generators are written, compared with torch, and refused if they lose too much quality."""

import itertools
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

import ftool_runtime as ft
from ftool_export import gate, pipeline
from ftool_export.architectures.supported import GENERATORS
from ftool_export.checkpoints.generator import LoadedGenerator
from ftool_export.checkpoints.generator_inference import (
    TokenRows,
    generate_tokens,
    score_tokens,
    tokenize_sources,
)
from ftool_export.errors import ExportError
from ftool_export.examples.generation import (
    GenerationExamples,
    answers_of,
    compare_forced,
    sample_examples,
    token_accuracy,
)
from ftool_export.graph.graphs import Graphs
from ftool_export.parity import parity
from ftool_export.passes import PassSettings
from ftool_export.precision_plans import precision_plan
from ftool_export.quantization import quantize
from ftool_export.settings import ExportSettings
from ftool_export.tolerances import tolerance_for
from ftool_runtime import BundleError, InputError

MakeGenerator = Callable[..., LoadedGenerator]
GraphsOf = Callable[..., Graphs]
Export = Callable[..., tuple[LoadedGenerator, Path]]

ROWS = [[4, 5, 6, 7, 8, 9, 10, 11, 12], [20, 21, 22], [40, 41, 42, 43, 44, 45]]  # ragged
EXAMPLES = GenerationExamples(inputs=ROWS)
NEW = 12
ARCHITECTURES = (
    "t5", "mt5", "t5-gated", "bart", "mbart", "marian", "pegasus", "m2m_100", "gpt2", "gpt_neo", "opt", "llama",
    "mistral", "qwen2", "qwen3", "gemma", "gemma2", "phi",
)  # fmt: skip
IN_CI = (
    "t5",
    "bart",
    "llama",
    "gpt_neo",
)  # one a mechanism: bias, learnt positions, rotary ones, joined caches


@pytest.fixture(scope="module")
def exported(graphs_of: GraphsOf, tiny: PassSettings, tmp_path_factory: pytest.TempPathFactory) -> Export:
    """A tiny generator and its bundle; once for the same arguments."""
    made: dict[tuple[str, str], tuple[LoadedGenerator, Path]] = {}

    def export(name: str, precision: str = "fp32") -> tuple[LoadedGenerator, Path]:
        if (name, precision) not in made:
            graphs = graphs_of(name)
            loaded = graphs.loaded
            loaded.generation_config.update(max_new_tokens=NEW, max_length=None)
            bundle = tmp_path_factory.mktemp(name) / "bundle"
            settings = ExportSettings(
                bundle=bundle,
                precision=precision,
                allow_drift=True,  # random weights have no clear preferences
                passes=tiny,
            )
            report = pipeline.export(settings, loaded, EXAMPLES, captured=graphs)
            assert report.bundle == bundle
            made[name, precision] = loaded, bundle
        return made[name, precision]

    return export


@pytest.mark.parametrize(
    "name",
    [name if name in IN_CI else pytest.param(name, marks=pytest.mark.slow) for name in ARCHITECTURES],
)
def test_an_fp32_bundle_gives_torchs_tokens_greedily_and_by_beams(exported: Export, name: str) -> None:
    loaded, bundle = exported(name)
    report = parity(loaded, bundle, EXAMPLES)
    assert report.passed, report.to_json()
    assert report.found.whole_answers["greedy"].share == 1
    assert report.found.whole_answers["beams"].share == 1
    assert (
        report.logit_difference < 1e-3
    )  # the bound; sums in another order differ by 1e-6 or so a layer
    assert report.found.batch.changed == 0


@pytest.mark.parametrize("precision", ["w8", "int8"])
def test_a_quantised_bundle_mostly_chooses_torchs_token_whatever_its_company(
    exported: Export, precision: str
) -> None:
    loaded, bundle = exported("t5", precision)
    report = parity(loaded, bundle, EXAMPLES)
    assert report.agreement > 0.7  # random weights have no clear preferences; trained ones reach 0.99
    assert report.found.batch.changed == 0
    assert report.logit_difference > 1e-4  # or nothing was quantised
    assert report.batch_effect < 1e-5  # attention's sums in another order; no scale is shared
    assert not ft.Manifest.read(bundle).precision.rows_share_scale
    assert 0.3 < report.stored.weight_error <= 0.5  # rounding to the nearest step
    assert report.stored.constant_error == report.stored.rounding == 0


def test_parity_fails_for_weights_that_are_not_the_checkpoints(exported: Export) -> None:
    loaded, bundle = exported("t5")
    weight = loaded.model.get_output_embeddings().weight
    before = weight.detach().clone()
    with torch.no_grad():
        weight.mul_(0.9)
    try:
        report = parity(loaded, bundle, EXAMPLES)
    finally:
        with torch.no_grad():
            weight.copy_(before)
    assert not report.passed
    assert "max_difference" in report.to_json()["failed"]


def test_parity_refuses_another_kind_of_model(exported: Export) -> None:
    (t5, _), (_, bundle) = exported("t5"), exported("llama")
    with pytest.raises(ExportError, match="export again"):
        parity(t5, bundle, EXAMPLES)
    with pytest.raises(ExportError, match=r"input.prefix \('' instead of 'translate: '\)"):
        parity(replace(t5, prefix="translate: "), exported("t5")[1], EXAMPLES)
    with pytest.raises(ExportError, match="differs from its checkpoint in task"):
        parity(replace(t5, task="summarization"), exported("t5")[1], EXAMPLES)
    with pytest.raises(ExportError, match="--data"):
        parity(t5, exported("t5")[1], GenerationExamples(inputs=[]))


def test_a_bundle_that_costs_too_much_is_not_written(
    graphs_of: GraphsOf, tiny: PassSettings, tmp_path: Path
) -> None:
    graphs = graphs_of("t5")
    loaded = graphs.loaded
    settings = ExportSettings(
        bundle=tmp_path / "bundle",
        precision="w8",
        max_drop=0.0,
        allow_drift=True,
        passes=tiny,
    )
    # torch's score, then the bundle's, for each draft; chance over three rows explains no more than 0.58
    calls = itertools.cycle((0.9, 0.1))
    judge = GenerationExamples(inputs=ROWS, metric="bleu", scorer=lambda _positions, _answers: next(calls))
    report = pipeline.export(settings, loaded, judge, captured=graphs)
    assert report.bundle is None
    assert not report.verdict.passed
    assert report.verdict.drop == pytest.approx(0.8)
    assert report.advice is not None
    assert "fp32" in report.advice
    assert not (tmp_path / "bundle").exists()


def test_a_bundle_that_parity_would_fail_is_written_only_when_asked_for(
    graphs_of: GraphsOf, tiny: PassSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    strict = replace(tolerance_for("text", "int8"), max_difference=0.0)
    monkeypatch.setattr(gate, "tolerance_for", lambda *_: strict)
    graphs = graphs_of("t5")
    graphs.loaded.generation_config.update(max_new_tokens=NEW, max_length=None)
    settings = ExportSettings(bundle=tmp_path / "bundle", precision="int8", passes=tiny)
    refused = pipeline.export(settings, graphs.loaded, sample_examples(graphs.loaded), captured=graphs)
    assert refused.bundle is None
    assert not (tmp_path / "bundle").exists()
    assert refused.to_json()["gate"]["drift"] == ["max_difference"]
    assert refused.advice is not None
    assert "--precision w8" in refused.advice
    assert "--allow-drift" in refused.advice
    written = pipeline.export(
        replace(settings, allow_drift=True), graphs.loaded, sample_examples(graphs.loaded), captured=graphs
    )
    assert written.bundle == tmp_path / "bundle"
    assert ft.Manifest.read(tmp_path / "bundle").evidence["gate"]["drift"] == ["max_difference"]
    assert "`--allow-drift`" in (tmp_path / "bundle" / "README.md").read_text(encoding="utf-8")


def test_the_gate_scores_the_answers_of_the_rows_it_names(
    graphs_of: GraphsOf, tmp_path: Path, tiny: PassSettings
) -> None:
    graphs = graphs_of("t5")
    loaded = graphs.loaded
    seen: list[tuple[list[int], int]] = []

    def score(positions: list[int], answers: list[str]) -> float:
        seen.append((list(positions), len(answers)))
        return 1.0

    settings = ExportSettings(bundle=tmp_path / "b", precision="fp32", passes=tiny)
    judge = GenerationExamples(inputs=ROWS, metric="bleu", scorer=score)  # type: ignore[arg-type]
    report = pipeline.export(settings, loaded, judge, captured=graphs)
    assert report.verdict.judged
    assert seen == [([0, 1, 2], 3), ([0, 1, 2], 3)]


def test_golden_answers_are_replayed_and_an_altered_file_is_found(exported: Export) -> None:
    _, bundle = exported("llama")
    assert ft.verify(bundle).passed
    weights = bundle / "onnx" / "decoder.onnx"
    content = weights.read_bytes()
    middle = len(content) // 2
    try:
        weights.write_bytes(content[:middle] + bytes([content[middle] ^ 255]) + content[middle + 1 :])
        report = ft.verify(bundle)
    finally:
        weights.write_bytes(content)
    assert not report.passed
    assert "onnx/decoder.onnx" in report.altered


def test_the_manifest_says_how_the_decoder_is_run(exported: Export) -> None:
    for name, family, limit in (("t5", "encoder-decoder", None), ("llama", "decoder", 96)):
        manifest = ft.Manifest.read(exported(name)[1])
        assert manifest.generation is not None
        assert (manifest.generation.family, manifest.generation.max_length) == (family, limit)
        assert manifest.generation.caches == "in_place"
        assert manifest.labels == ()


def test_generation_is_refused_on_cuda(make_generator: MakeGenerator, tmp_path: Path) -> None:
    loaded = make_generator("llama")
    settings = ExportSettings(bundle=tmp_path / "b", precision="fp32", device="cuda")
    with pytest.raises(ExportError, match="--device cpu"):
        pipeline.export(settings, loaded, EXAMPLES)


def test_a_judge_without_rows_or_right_answers_is_refused() -> None:
    with pytest.raises(ExportError, match="validation"):
        GenerationExamples(inputs=[], metric="bleu", scorer=lambda _p, _a: 0.0)
    with pytest.raises(ExportError, match="scorer"):
        GenerationExamples(inputs=ROWS, metric="bleu")


def test_token_accuracy_counts_first_choices() -> None:
    logits = np.eye(4, dtype=np.float32)[[1, 2, 3]]  # chooses 1, 2, 3
    assert token_accuracy(
        lambda rows, _t: [logits] * len(rows), [[0]] * 20, [[1, 2, 0]] * 20
    ) == pytest.approx(2 / 3)


def test_a_tie_of_torchs_is_counted_and_no_disagreement(make_generator: MakeGenerator) -> None:
    loaded = make_generator("llama")
    answers = generate_tokens(loaded, ROWS, max_new_tokens=4, do_sample=False)

    def swapped(rows: list[list[int]], given: list[list[int]]) -> list[np.ndarray]:
        """Torch's logits, the two best of every token exchanged."""
        found = [logits.copy() for logits in score_tokens(loaded, rows, given)]
        for logits in found:
            for row in logits:
                second, first = np.argsort(row)[-2:]
                row[first], row[second] = row[second], row[first]
        return found

    comparison = compare_forced(loaded, swapped, ROWS, answers)  # type: ignore[arg-type]
    assert comparison.agreement < 0.5  # torch's preferences are clear here
    itself = compare_forced(loaded, lambda rows, given: score_tokens(loaded, rows, given), ROWS, answers)
    assert itself.agreement == 1.0


def test_answers_end_where_the_context_does_in_torch_and_in_the_bundle_alike(
    graphs_of: GraphsOf, tiny: PassSettings, tmp_path: Path
) -> None:
    graphs = graphs_of("gpt2")  # with a table of 96 positions, past which torch can't look one up
    loaded = graphs.loaded
    loaded.generation_config.update(max_new_tokens=120, max_length=None, eos_token_id=None)
    try:
        answers = generate_tokens(loaded, ROWS, do_sample=False)
        settings = ExportSettings(bundle=tmp_path / "b", precision="fp32", passes=tiny)
        pipeline.export(settings, loaded, EXAMPLES, captured=graphs)
        report = parity(loaded, tmp_path / "b", EXAMPLES)
    finally:
        loaded.generation_config.update(max_new_tokens=NEW, eos_token_id=2)
    assert [len(row) + len(answer) for row, answer in zip(ROWS, answers, strict=True)] == [96, 96, 96]
    assert report.passed, report.to_json()
    with pytest.raises(InputError, match="holds 96"):
        generate_tokens(loaded, [[5] * 96])


def test_prompts_near_the_contexts_end_are_compared_in_few_runs(
    exported: Export, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded, bundle = exported("llama")  # which holds 96 tokens
    rows = [[5 + place % 90 for place in range(length)] for length in (27, 29, 31, 90)]
    lengths: list[int] = []
    generate = loaded.model.generate

    def counted(**given: torch.Tensor) -> torch.Tensor:
        lengths.append(len(given["input_ids"]))
        output: torch.Tensor = generate(**given)  # type: ignore[operator]
        return output

    monkeypatch.setattr(loaded.model, "generate", counted)
    loaded.generation_config.update(max_new_tokens=70)
    try:
        with ft.load(bundle) as model:
            answer = model.generate  # type: ignore[attr-defined]

            def of_the_bundle(some: TokenRows, **options: object) -> TokenRows:
                return [row.ids for row in answer(some, **options)]

            ways = (partial(generate_tokens, loaded), of_the_bundle)
            found = [answers_of(way, loaded, rows, {}) for way in ways]
    finally:
        loaded.generation_config.update(max_new_tokens=NEW)
    assert lengths == [3, 1]  # room for 64 rather than 69, 67 or 65; for 6
    assert found[0] == found[1]
    assert all(
        len(answer) in (most, answer.index(2) + 1 if 2 in answer else most)
        for answer, most in zip(found[1], (64, 64, 64, 6), strict=True)
    )


def test_nothing_is_called_quantised_that_is_not(graphs_of: GraphsOf, tmp_path: Path) -> None:
    graphs = graphs_of("t5")
    huge = PassSettings(smallest=10**9, smallest_table=10**9)
    with pytest.raises(ExportError, match="--precision fp32"):
        quantize(graphs, precision_plan("w8", "cpu", "encoder-decoder"), huge)


def test_special_tokens_in_a_text_are_letters_as_in_the_runtime(exported: Export) -> None:
    loaded, bundle = exported("t5")
    texts = ["turn it [END] off", "[PAD] the shop"]
    with ft.Seq2SeqGenerator.load(bundle) as model:
        assert tokenize_sources(loaded, texts) == model.tokenize(texts)
    assert all(2 not in row for row in tokenize_sources(loaded, texts))


def test_torch_generates_the_same_alone_and_in_company(make_generator: MakeGenerator) -> None:
    for name in ("t5", "gpt2"):
        loaded = make_generator(name)
        together = generate_tokens(loaded, ROWS, max_new_tokens=NEW, do_sample=False)
        alone = [generate_tokens(loaded, [row], max_new_tokens=NEW, do_sample=False)[0] for row in ROWS]
        assert together == alone


def test_a_damaged_manifest_of_a_generator_is_named(exported: Export, tmp_path: Path) -> None:
    _, bundle = exported("t5")
    text = (bundle / "ftool.json").read_text()
    (tmp_path / "ftool.json").write_text(text.replace('"encoder-decoder"', '"something"'))
    with pytest.raises(BundleError, match=r"generation\.family"):
        ft.Manifest.read(tmp_path)


def test_the_table_lists_the_architectures_that_are_tried() -> None:
    tried = {name.removesuffix("-gated") for name in ARCHITECTURES}
    assert tried == {row.model_type for row in GENERATORS}


@pytest.mark.parametrize("limit", [{"max_length": 30}, {"max_new_tokens": 12}, {}])
def test_torchs_answer_to_a_prompt_is_as_long_in_a_batch_as_singly(
    make_generator: MakeGenerator, limit: dict[str, int]
) -> None:
    loaded = make_generator("gpt2", n_positions=32)
    loaded = replace(loaded, max_length=32)
    loaded.generation_config.update(eos_token_id=None, max_length=None, max_new_tokens=None)
    loaded.generation_config.update(**limit)
    rows = [[5 + place for place in range(length)] for length in (1, 3, 9, 20)]
    together = generate_tokens(loaded, rows, do_sample=False)
    assert together == [generate_tokens(loaded, [row], do_sample=False)[0] for row in rows]
    wanted = [limit.get("max_new_tokens", limit.get("max_length", 99) - len(row)) for row in rows]
    most = [min(count, 20) if not limit else count for count in wanted]
    assert [len(ids) for ids in together] == [
        min(count, 32 - len(row)) for count, row in zip(most, rows, strict=True)
    ]


@pytest.mark.parametrize(
    ("changes", "held", "message"),
    [
        ({"n_positions": 11}, 11, "has positions for 11 tokens"),
        ({"vocab_size": 3, "bos_token_id": 0, "eos_token_id": 1, "pad_token_id": None}, 96, "knows 3 tokens"),
    ],
)
def test_a_model_too_small_for_the_probes_is_refused_by_name(
    make_generator: MakeGenerator, changes: dict[str, int], held: int, message: str, tmp_path: Path
) -> None:
    loaded = replace(make_generator("gpt2", **changes), max_length=held)
    settings = ExportSettings(bundle=tmp_path / "b", precision="fp32")
    with pytest.raises(ExportError, match=f"this gpt2 {message}; ftool exports models from"):
        pipeline.export(settings, loaded, EXAMPLES)
