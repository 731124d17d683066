"""The fields of a bundle's config.json from which transformers.js finds the graphs without arguments."""

from pathlib import Path, PurePosixPath
from typing import Any, Final

from ftool_export.layouts.names import STANDARD_GRAPHS, weights_of

CONFIG_KEY: Final = "transformers.js_config"


def transformers_js_config(folder: Path) -> dict[str, Any] | None:
    """Return the settings for the graphs in `folder`; None if the bundle has no graph that transformers.js reads.

    In transformers.js `dtype` only chooses among files: `model.onnx` is "fp32", whatever its precision, and the default
    in a browser is `model_quantized.onnx`. A browser must also be told which graphs have a second file, with the
    weights.
    """
    graphs = [name for name in STANDARD_GRAPHS if (folder / name).is_file()]
    if not graphs:
        return None
    weights = {PurePosixPath(name).name: 1 for name in graphs if (folder / weights_of(name)).is_file()}
    return {"dtype": "fp32", **({"use_external_data_format": weights} if weights else {})}
