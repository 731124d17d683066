"""Rows of the engines beside ours: the worker, the environment and the files of each."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from benchmarks.environments import environment
from benchmarks.peers.engine import PeerEngine, prepare
from ftool.bench.run import RUN_FILES


@dataclass(frozen=True, kw_only=True)
class Peer:
    """One engine beside ours.

    Attributes:
        name: its name in the report.
        worker: the module of benchmarks/peers/workers that runs it.
        environment: the file of benchmarks/environments with its packages; None is ftool's own environment.
        variant: an argument of the worker.
        files: patterns of the files that an app would ship, in the engine's folder.
        maker: the worker and the environment that make the model, if others than those that run it.
        runs_checkpoint: whether its folder is the checkpoint itself, so that no model is made.
        same_model: whether it runs our checkpoint, so that its answers must agree; otherwise it is another model.
    """

    name: str
    worker: str
    environment: str | None = None
    variant: str = ""
    files: tuple[str, ...]
    maker: tuple[str, str | None] | None = None
    runs_checkpoint: bool = False
    same_model: bool = True

    def engine(
        self, work: Path, environments: Path, threads: int, task: str, settings: Mapping[str, str | int]
    ) -> PeerEngine:
        """Return the engine, after its environments are set up and its model is made in a folder of `work`."""
        python = environment(self.environment, environments)
        worker, place = self.maker or (self.worker, self.environment)
        folder = Path(str(settings["checkpoint"])) if self.runs_checkpoint else work.absolute() / worker
        made = PeerEngine(
            name=self.name,
            kind=worker,
            folder=folder,
            files=(),
            threads=threads,
            task=task,
            python=environment(place, environments),
            settings={**settings, "variant": self.variant},
        )
        prepare(made)
        files = tuple(file for pattern in self.files for file in sorted(folder.glob(pattern)))
        return PeerEngine(**{**vars(made), "kind": self.worker, "python": python, "files": files})


_OPENVINO: Final[Mapping[str, Any]] = {"worker": "openvino", "environment": "openvino"}
_SENTENCES: Final[Mapping[str, Any]] = {
    "worker": "sentence_transformers",
    "environment": "sentence-transformers",
}
_FASTEMBED: Final[Mapping[str, Any]] = {
    "worker": "fastembed",
    "environment": "fastembed",
    "maker": ("sentence_transformers", "sentence-transformers"),
}

MODEL2VEC: Final = Peer(
    name="model2vec",
    worker="model2vec",
    environment="model2vec",
    files=("model/*", "classifier.joblib"),
    same_model=False,
)
CLASSIFIERS: Final = (
    Peer(name="torch-compile", worker="torch_compile", files=RUN_FILES, runs_checkpoint=True),
    Peer(
        name="optimum-onnx-int8",
        worker="optimum",
        environment="optimum-onnx",
        files=("int8/*.onnx", "*.json"),
    ),
    Peer(name="openvino-int8-bf16", variant="int8-bf16", files=("int8.*", "*.json"), **_OPENVINO),
    Peer(name="openvino-int8-f32", variant="int8-f32", files=("int8.*", "*.json"), **_OPENVINO),
    Peer(name="openvino-bf16", variant="bf16", files=("float.*", "*.json"), **_OPENVINO),
    Peer(
        name="ctranslate2-int8",
        worker="ctranslate2",
        environment="ctranslate2",
        files=("encoder/*", "head.npz", "*.json"),
    ),
    MODEL2VEC,
    Peer(name="tf-idf", worker="tf_idf", files=("model.joblib",), same_model=False),
)
EMBEDDERS: Final = (
    Peer(
        name="sentence-transformers-torch", variant="torch", files=("*.safetensors", "*.json"), **_SENTENCES
    ),
    Peer(
        name="sentence-transformers-onnx",
        variant="onnx",
        files=("onnx/model_O3.onnx", "*.json"),
        **_SENTENCES,
    ),
    Peer(
        name="sentence-transformers-onnx-int8",
        variant="onnx-int8",
        files=("onnx/model_int8.onnx", "*.json"),
        **_SENTENCES,
    ),
    Peer(name="fastembed", variant="fp32", files=("onnx/model.onnx", "*.json"), **_FASTEMBED),
    Peer(name="fastembed-int8", variant="int8", files=("onnx/model_int8.onnx", "*.json"), **_FASTEMBED),
)
