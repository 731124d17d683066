"""Import what the commands import, once, in the process that forks them."""

import importlib

MODULES = (
    "torch",
    "transformers",
    "accelerate",
    "peft",
    "datasets",
    "onnxruntime",
    "sklearn.linear_model",
    "safetensors.torch",
    "torch.onnx",
    "onnxscript",
    "onnx_ir.passes.common",
    "transformers.trainer",
    "ftool.cli.train",
    "ftool.cli.export",
    "ftool.cli.adapt",
    "ftool.cli.index",
    "ftool.cli.predict",
    "ftool.cli.new",
    "ftool.train_model",
    "ftool.exporting",
    "ftool.adapt",
    "ftool.search.build",
    "ftool.start_model",
    "ftool_runtime.tools.cli",
    "torch._dynamo",
    "torch.export",
)


def import_all() -> None:
    """Import `MODULES`. None of them may start a thread: a forked process would not have it."""
    for name in MODULES:
        importlib.import_module(name)
