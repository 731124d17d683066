"""Names of a bundle's files, and checks that paths in a manifest stay inside the bundle."""

from pathlib import Path

from ftool_runtime.errors import BundleError

MANIFEST_FILE = "ftool.json"
MODEL_FILE = "onnx/model.onnx"
ENCODER_FILE = "onnx/encoder.onnx"  # only in encoder-decoders; computes a source's keys and values
DECODER_FILE = "onnx/decoder.onnx"  # one graph for the prompt and for every step
GENERATION_CONFIG_FILE = "generation_config.json"
CHAT_TEMPLATE_FILE = "chat_template.jinja"
TOKENIZER_FILE = "tokenizer.json"
TOKENIZER_CONFIG_FILE = "tokenizer_config.json"
GOLDEN_FILE = "golden.json"
REPLAY_FILE = "replay.bin"  # only in classifiers that can be taught
SIGNATURE_FILE = "ftool.sig"  # beside the manifest, which can't list it

_FORBIDDEN = frozenset("\\:")  # on Windows these mark separators, and drives or data streams


def check_relative(name: str) -> str:
    """Return `name` if it is a plain relative path on every operating system; otherwise raise BundleError."""
    parts = name.split("/")
    if not name.isprintable() or _FORBIDDEN & set(name) or any(part in ("", ".", "..") for part in parts):
        raise BundleError(
            f"the manifest names the file {name!r}, which is not a plain path inside the bundle"
        )
    return name


def path_inside(folder: Path, name: str) -> Path:
    """Return the path of the bundle file `name` in `folder`.

    Raises BundleError if the name, or a symbolic link in it, points outside the bundle.
    """
    path = folder.joinpath(*check_relative(name).split("/"))
    try:
        target = path.resolve()
        inside = target.is_relative_to(folder.resolve()) or _in_hub_cache(folder, target)
    except (OSError, RuntimeError) as error:  # links that lead to each other
        raise BundleError(f"{path} can't be followed: {error}; copy or export the bundle again") from error
    if not inside:
        raise BundleError(
            f"{path} is a symbolic link that leads out of the bundle; copy the bundle with its links followed"
        )
    return path


def _in_hub_cache(folder: Path, target: Path) -> bool:
    """Whether `target` is where huggingface_hub keeps the content of files of a downloaded repository, `folder`.

    `snapshot_download` returns a folder `snapshots/REVISION` of links to files in `blobs`, beside `snapshots`.
    """
    snapshots = folder.resolve().parent
    return snapshots.name == "snapshots" and target.parent == snapshots.parent / "blobs"
