"""The folder of caches is found from the environment, or its remedy is named."""

import pwd

import pytest

from ftool.errors import ModelFolderError
from ftool.workspace import cache_folder


def test_a_user_without_name_and_home_is_told_of_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HOME", "FTOOL_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)

    def unknown(uid: int) -> None:
        raise KeyError(uid)

    monkeypatch.setattr(pwd, "getpwuid", unknown)
    with pytest.raises(ModelFolderError, match="no home folder; set FTOOL_CACHE"):
        cache_folder()
