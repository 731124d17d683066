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
    "ftool.training.classifier",
    "ftool_runtime.models.classifier",
    "torch._dynamo",
    "torch.export",
    # what torch.onnx.export imports when it is called: a fifth of the time of an export
    "torch.export._trace",
    "torch._functorch.aot_autograd",
    "torch.onnx._internal.exporter._core",
    "torch.onnx._internal.exporter._torchlib.ops",
    "sympy.tensor.tensor",
    "onnxscript.function_libs.torch_lib.ops",
    "onnxscript.rewriter.onnx_fusions",
    "networkx",
    "transformers.models.bert.modeling_bert",
)


def import_all() -> None:
    """Import `MODULES`. None of them may start a thread: a forked process would not have it."""
    for name in MODULES:
        importlib.import_module(name)
