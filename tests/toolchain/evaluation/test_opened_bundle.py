"""A bundle to evaluate is read by the runtime's reader of files, which takes regular files of the bundle only."""

import os
import sys
from pathlib import Path

import pytest
from tests.helpers.tiny_bundles import write_bundle

from ftool.evaluation.evaluate import opened_bundle
from ftool_runtime.errors import BundleError


@pytest.mark.skipif(sys.platform == "win32", reason="no named pipes in folders")
@pytest.mark.timeout(20)
def test_a_tokenizer_that_is_a_named_pipe_is_refused(tmp_path: Path) -> None:
    write_bundle(tmp_path / "bundle")
    path = tmp_path / "bundle" / "tokenizer.json"
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(BundleError, match=r"tokenizer\.json"), opened_bundle(path.parent, lambda: None):
        pass
