"""Readers of the files of a bundle: each spoils one file, makes the hashes fit, and uses the bundle."""

import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import ftool_runtime as ft
from ftool_runtime.bundle.manifest import digest_of
from ftool_runtime.bundle.signature import check_trusted, new_key, sign
from ftool_runtime.errors import InputError
from tests.fuzz.target import MOST_SECONDS, Prepared
from tests.helpers.generator_golden import add_golden
from tests.helpers.onnx_writer import ONNX_WRITER
from tests.helpers.spoiled_bundles import forge
from tests.helpers.tiny_bundles import write_bundle
from tests.helpers.tiny_generators import write_generator

Use = Callable[[Path], None]
Write = Callable[[Path], None]

_LIMITS: Final = ft.Limits(template_seconds=MOST_SECONDS / 2)
_TEXTS: Final = ["turn the lights off", "stop"]
_CHAT: Final = (
    {"role": "system", "content": "turn on music"},
    {"role": "user", "content": "play <|user|> music"},
    {"role": "assistant", "content": "stop"},
    {"role": "user", "content": "turn the lights off"},
)
_TEMPLATE: Final = """\
{% if messages[0].role == 'system' %}{% set rest = messages[1:] %}{% else %}{% set rest = messages %}{% endif %}
{% for message in rest -%}
{% if (message.role == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('Roles must alternate') }}{% endif %}
{{ '<|' + message['role'] + '|>' + message.content | trim + eos_token }}
{%- endfor %}
{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}
"""
_TOKENIZER_CONFIG: Final = {
    "tokenizer_class": "PreTrainedTokenizerFast",
    "model_max_length": 96,
    "bos_token": "<s>",
    "eos_token": {"content": "</s>", "special": True},
    "extra_special_tokens": {"user": "<|user|>"},
    "chat_template": _TEMPLATE,
}
_GENERATION_CONFIG: Final = {
    "eos_token_id": [1, 4],
    "suppress_tokens": [3],
    "repetition_penalty": 1.1,
    "top_k": 5,
    "num_beams": 1,
    "max_new_tokens": 3,
}


def classifier(bundle: Path) -> None:
    """Write a tiny classifier."""
    write_bundle(bundle)


def decoder(bundle: Path) -> None:
    """Write a tiny decoder for chats."""
    _write_decoder(bundle, {"chat_template.jinja": _TEMPLATE})


def old_decoder(bundle: Path) -> None:
    """Write a tiny decoder whose chat template stands in tokenizer_config.json, as in older checkpoints."""
    _write_decoder(bundle, {"tokenizer_config.json": json.dumps(_TOKENIZER_CONFIG)})


def _write_decoder(bundle: Path, files: dict[str, str]) -> None:
    write_generator(
        bundle, ONNX_WRITER, source=False, caches="in_place", files=files, config=_GENERATION_CONFIG
    )
    add_golden(bundle)


def use(bundle: Path) -> None:
    """Load a bundle, look at what it says about itself, call it and chat with it."""
    with ft.load(bundle, threads=1, limits=_LIMITS) as model:
        model.info()
        with suppress(InputError):
            model(_TEXTS)
        if isinstance(model, ft.TextGenerator) and model.has_chat_template:
            model.chat(_CHAT, max_new_tokens=2)


def verify(bundle: Path) -> None:
    """Verify a bundle."""
    ft.verify(bundle, threads=1)


def file_of(write: Write, name: str, use: Use = use) -> Callable[[Path], Prepared]:
    """Return the `prepare` of a target that spoils the file `name` of a bundle.

    The hashes, and the manifest's digest, are made to fit, so that what comes after them is reached.
    """

    def prepare(folder: Path) -> Prepared:
        bundle = folder / "bundle"
        write(bundle)
        seed = (bundle / name).read_bytes()

        def read(content: bytes) -> None:
            (bundle / name).write_bytes(content)
            if name == "ftool.json":
                _forge_digest(bundle / name)
            else:
                forge(bundle, name)
            use(bundle)

        return Prepared(read, [seed])

    return prepare


def _forge_digest(path: Path) -> None:
    with suppress(ValueError, RecursionError):  # not JSON: then it stays as it is
        values: Any = json.loads(path.read_bytes())
        if isinstance(values, dict):
            path.write_text(json.dumps({**values, "digest": digest_of(values)}), encoding="utf-8")


def signature(folder: Path) -> Prepared:
    """Prepare a classifier that two keys have signed, of which one is trusted."""
    bundle = folder / "bundle"
    classifier(bundle)
    keys = [new_key(folder / name)[0] for name in ("first", "second")]
    for key in keys:
        sign(bundle, key.with_suffix(""))
    path = bundle / "ftool.sig"

    def read(content: bytes) -> None:
        path.write_bytes(content)
        check_trusted(bundle, keys[:1])

    return Prepared(read, [path.read_bytes()])
