"""Generators: settings that sampling or prompt lookup reads do not stand in the way."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ftool_export.checkpoints.generator import LoadedGenerator, load_generator
from ftool_export.checkpoints.generator_inference import generate_tokens
from ftool_runtime.decoding.config import GenerationConfig


@pytest.mark.parametrize(
    ("settings", "kept"),
    [
        ({"do_sample": False, "temperature": 0.0}, {}),
        ({"temperature": 0}, {}),
        ({"do_sample": False, "temperature": 0.0, "top_p": 0.9, "top_k": -1}, {"top_p": 0.9}),
        ({"do_sample": False, "temperature": 0.6}, {"temperature": 0.6}),
        ({"do_sample": True, "temperature": 0.6}, {"temperature": 0.6}),
    ],
)
def test_settings_of_sampling_are_left_out_if_nothing_is_sampled_and_they_are_not_valid(
    make_generator: Callable[..., LoadedGenerator],
    settings: dict[str, Any],
    kept: dict[str, Any],
    tmp_path: Path,
) -> None:
    for name in ("base", "run", "bundle"):
        (tmp_path / name).mkdir()
    make_generator("gpt2").save(tmp_path / "base")
    path = tmp_path / "base" / "generation_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **settings}))
    loaded = load_generator(tmp_path / "base", "text-generation")
    loaded.generation_config.update(max_new_tokens=7)
    loaded.save(tmp_path / "run")
    loaded.write_files(tmp_path / "bundle")
    for name in ("run", "bundle"):
        written = json.loads((tmp_path / name / "generation_config.json").read_text())
        assert {key: written[key] for key in ("temperature", "top_p", "top_k") if key in written} == kept
        read = GenerationConfig.read(tmp_path / name / "generation_config.json")
        assert (read.max_new_tokens, read.do_sample) == (7, settings.get("do_sample", False))
        assert read.temperature == kept.get("temperature", 1.0)
    assert load_generator(tmp_path / "run", "text-generation").generation_config.max_new_tokens == 7


def test_batches_are_answered_in_torch_if_a_checkpoint_looks_tokens_up(
    make_generator: Callable[..., LoadedGenerator], tmp_path: Path
) -> None:
    """transformers looks tokens up only for single rows."""
    loaded = make_generator("gpt2")
    expected = generate_tokens(loaded, [[5, 6, 7], [8, 9]], max_new_tokens=12)
    loaded.generation_config.update(prompt_lookup_num_tokens=4)
    assert generate_tokens(loaded, [[5, 6, 7], [8, 9]], max_new_tokens=12) == expected
    loaded.write_files(tmp_path)
    assert GenerationConfig.read(tmp_path / "generation_config.json").prompt_lookup_num_tokens == 4
