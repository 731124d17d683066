"""Kinds of spoiled bundles, each with what `load`, a call and `verify` make of it.

`python -m tests.helpers.spoiled_bundles` writes their table, and that of spoiled knowledge bases, into
docs/reliability.md.
"""

import json
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from ftool_runtime.bundle.integrity import file_record
from ftool_runtime.bundle.manifest import digest_of
from tests.helpers.spoiled_bases import bases_table
from tests.helpers.tiny_bundles import (
    LABELS,
    WIDTH,
    failing_graph,
    looping_graph,
    write_golden,
    write_manifest,
)

Bundle = Literal["encoder", "decoder", "encoder-decoder", "teachable"]
Load = Literal["refuses", "loads", "either"]
Call = Literal["answers", "refuses", "either", "-"]
Verify = Literal["refuses", "fails", "passes"]
Change = Callable[[Path], None]

FILES: Final[Mapping[Bundle, tuple[str, ...]]] = {
    "encoder": ("ftool.json", "onnx/model.onnx", "tokenizer.json", "golden.json"),
    "decoder": (
        "ftool.json",
        "onnx/decoder.onnx",
        "tokenizer.json",
        "generation_config.json",
        "chat_template.jinja",
        "golden.json",
    ),
    "encoder-decoder": (
        "ftool.json",
        "onnx/encoder.onnx",
        "onnx/decoder.onnx",
        "tokenizer.json",
        "generation_config.json",
        "golden.json",
    ),
    "teachable": ("replay.bin",),
}


@dataclass(frozen=True, kw_only=True)
class Spoiled:
    """A kind of spoiled bundle.

    Attributes:
        bundle: the kind of the bundle that is spoiled.
        file: the file that is changed.
        change: what happens to it, in words.
        apply: changes the file at a path.
        forged: whether all hashes are made right afterwards, as an attacker would.
        load: whether `load` refuses the bundle with a BundleError or loads it; "either" if that depends on the byte.
        call: whether a call answers or raises an FtoolError; "-" if nothing is loaded.
        verify: whether `verify` raises a BundleError, or reports that the bundle fails or passes.
    """

    bundle: Bundle
    file: str
    change: str
    apply: Change
    forged: bool = False
    load: Load = "refuses"
    call: Call = "-"
    verify: Verify = "fails"

    @property
    def name(self) -> str:
        """A name for the test."""
        return f"{self.bundle}-{self.file}-{self.change}{'-forged' if self.forged else ''}"

    def spoil(self, bundle: Path) -> None:
        """Change the bundle."""
        self.apply(bundle / self.file)
        if self.forged:
            forge(bundle)


def forge(bundle: Path, *names: str) -> None:
    """Make the hashes of `names`, by default of all files, and the digest of a manifest those of the present files."""
    path = bundle / "ftool.json"
    values = json.loads(path.read_bytes())
    for name in names or values["files"]:
        if (bundle / name).is_file():
            record = file_record(bundle / name)
            values["files"][name] = {"bytes": record.bytes, "sha256": record.sha256}
    values["digest"] = digest_of({key: value for key, value in values.items() if key != "digest"})
    path.write_text(json.dumps(values), encoding="utf-8")


def _flip(path: Path) -> None:
    """Flip a bit in the middle of a file; in a manifest, in the year of its date, where the JSON stays valid."""
    content = bytearray(path.read_bytes())
    date = content.find(b'"created": "2')
    content[len(content) // 2 if date < 0 else date + len(b'"created": "')] ^= 1
    path.write_bytes(content)


def _folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def _device(path: Path) -> None:
    path.unlink()
    path.symlink_to("/dev/zero")


def _loop(path: Path) -> None:
    path.unlink()
    path.symlink_to(path.name)


def _outside(path: Path) -> None:
    target = path.resolve().parents[len(path.parts) - path.parts.index("bundle")] / "outside"
    shutil.move(path, target)
    path.symlink_to(target)


DAMAGE: Final[Mapping[str, Change]] = {
    "is missing": Path.unlink,
    "is empty": lambda path: path.write_bytes(b"") and None,
    "is cut in half": lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]) and None,
    "has a bit flipped": _flip,
    "has a byte more": lambda path: path.write_bytes(path.read_bytes() + b"x") and None,
    "is a folder": _folder,
    "is a named pipe": _pipe,
    "is a device": _device,
    "is a link to itself": _loop,
    "is a link out of the bundle": _outside,
}


def _damaged(bundle: Bundle, file: str, change: str) -> Spoiled:
    flipped, manifest = change == "has a bit flipped", file == "ftool.json"
    leads_out = change in ("is a device", "is a link out of the bundle", "is a link to itself")
    return Spoiled(
        bundle=bundle,
        file=file,
        change=change,
        apply=DAMAGE[change],
        load="either" if flipped else "refuses",
        call="either" if flipped else "-",
        verify="refuses" if leads_out or (manifest and not flipped) else "fails",
    )


def _text(text: str) -> Change:
    def apply(path: Path) -> None:
        path.write_text(text, encoding="utf-8")

    return apply


_DOUBLES: Final = (
    "{% set all = namespace(text='x') %}{% for i in range(60) %}"
    "{% set all.text = all.text ~ all.text %}{% endfor %}{{ all.text }}"
)
_LOOPS: Final = "{% for i in range(100000) %}{% for j in range(100000) %}{% endfor %}{% endfor %}x"


def _graph(make: Callable[[], bytes]) -> Change:
    def apply(path: Path) -> None:
        path.write_bytes(make())

    return apply


def _made_anew(path: Path) -> None:
    changes = {"labels": LABELS[::-1]}
    path.unlink()
    write_golden(path.parent, changes)
    write_manifest(path.parent, **changes)


def _field(name: str, value: Any) -> Change:
    """Set a field of a JSON file; `name` may lead into objects, such as "input.max_length"."""

    def apply(path: Path) -> None:
        values = json.loads(path.read_bytes())
        *way, last = name.split(".")
        place = values
        for part in way:
            place = place[part]
        place[last] = value
        path.write_text(json.dumps(values), encoding="utf-8")

    return apply


def _replaces(text: str, by: str) -> dict[str, Any]:
    """Return the step of a tokenizer that replaces a text by another one."""
    return {"type": "Replace", "pattern": {"String": text}, "content": by}


# Texts in place of a JSON file: each is refused wherever it stands.
TEXTS: Final[Mapping[str, str]] = {
    "is nested 100,000 deep": "[" * 100_000,
    "is a list": "[]",
    "is null": "null",
    "has half of a surrogate": '{"schema": 2, "name": "\\ud800"}',
    "has a key twice": '{"schema": 2, "schema": 2}',
    "has a number of 5,000 digits": '{"schema": ' + "9" * 5_000 + "}",
    "has 1e400": '{"schema": 1e400}',
    "has NaN": '{"schema": NaN}',
    "is a megabyte of blanks": " " * 1_000_000,
}

FORGED: Final[tuple[tuple[str, Any, Load, Call, Verify], ...]] = (
    ("schema", 99, "refuses", "-", "refuses"),
    ("schema", "2", "refuses", "-", "refuses"),
    ("task", "text-divination", "refuses", "-", "fails"),
    ("task", "translation", "refuses", "-", "fails"),
    ("task", None, "refuses", "-", "refuses"),
    ("labels", [], "refuses", "-", "refuses"),
    ("labels", ["a", "a", "b"], "refuses", "-", "refuses"),
    ("labels", ["a", "b"], "loads", "refuses", "fails"),
    ("labels", ["timer", "music", "lights"], "loads", "answers", "fails"),
    ("labels", "abc", "refuses", "-", "refuses"),
    ("input.max_length", 0, "refuses", "-", "refuses"),
    ("input.max_length", -5, "refuses", "-", "refuses"),
    ("input.max_length", 2**40, "refuses", "-", "refuses"),
    ("input.max_length", 1.5, "refuses", "-", "refuses"),
    ("input.max_length", 17, "loads", "answers", "fails"),
    ("input.names", [], "refuses", "-", "refuses"),
    ("input.names", ["input_ids"], "refuses", "-", "fails"),
    ("input.names", ["input_ids", "attention_mask", "more"], "refuses", "-", "refuses"),
    ("input.pad_token_id", -1, "refuses", "-", "refuses"),
    ("input.pad_token_id", 10**9, "refuses", "-", "fails"),
    ("input.prefix", "turn ", "loads", "answers", "fails"),
    ("input.prefix", "x" * 10**6, "refuses", "-", "refuses"),
    ("input.truncation_side", "middle", "refuses", "-", "refuses"),
    ("input.truncation_side", "left", "loads", "answers", "fails"),
    ("input.split_special_tokens", True, "loads", "answers", "fails"),
    ("precision.name", "int1", "refuses", "-", "refuses"),
    ("precision.devices", ["toaster"], "refuses", "-", "refuses"),
    ("thresholds", [0.5, 0.5, 2.0], "refuses", "-", "refuses"),
    ("none_below", 2, "refuses", "-", "refuses"),
    ("none_below", 1.0, "loads", "answers", "fails"),
    ("multi_label", True, "loads", "answers", "fails"),
    ("regression", True, "loads", "answers", "fails"),
    ("pairs", True, "loads", "refuses", "fails"),
    ("output", "no_such", "refuses", "-", "fails"),
    ("files", {}, "refuses", "-", "fails"),
    ("files", [], "refuses", "-", "refuses"),
    ("files", {"../../etc/passwd": {"bytes": 1, "sha256": "0" * 64}}, "refuses", "-", "refuses"),
    ("files", {"/etc/passwd": {"bytes": 1, "sha256": "0" * 64}}, "refuses", "-", "refuses"),
    ("more", 1, "loads", "answers", "passes"),
)

# Programs in a bundle that take all memory or time. Limits end them. `verify` does not chat, but knows the template.
ENDLESS: Final[tuple[tuple[Bundle, str, str, Change, Verify], ...]] = (
    ("decoder", "chat_template.jinja", "repeats a text 10^9 times", _text("{{ 'x' * 10**9 }}"), "fails"),
    ("decoder", "chat_template.jinja", "doubles a text 60 times", _text(_DOUBLES), "fails"),
    ("decoder", "chat_template.jinja", "has a loop of 10^10 rounds", _text(_LOOPS), "fails"),
    ("encoder", "onnx/model.onnx", "has a loop without an end", _graph(looping_graph), "fails"),
)

SPOILED: Final = (
    *(
        _damaged(bundle, file, change)
        for bundle, files in FILES.items()
        for file in files
        for change in DAMAGE
    ),
    *(
        Spoiled(
            bundle="encoder",
            file=file,
            change=change,
            apply=_text(text),
            forged=file != "ftool.json",
            load="loads" if file == "golden.json" else "refuses",
            call="answers" if file == "golden.json" else "-",
            verify="refuses" if file == "ftool.json" else "fails",
        )
        for file in ("ftool.json", "tokenizer.json", "golden.json")
        for change, text in TEXTS.items()
    ),
    *(
        Spoiled(
            bundle="encoder",
            file="ftool.json",
            change=f"has {name} = {json.dumps(value)[:60]}",
            apply=_field(name, value),
            forged=True,
            load=load,
            call=call,
            verify=verify,
        )
        for name, value, load, call, verify in FORGED
    ),
    Spoiled(
        bundle="encoder-decoder",
        file="ftool.json",
        change="has input.pad_token_id = 1000000000",
        apply=_field("input.pad_token_id", 10**9),
        forged=True,
    ),
    Spoiled(
        bundle="encoder-decoder",
        file="generation_config.json",
        change="has pad_token_id = 1000000000",
        apply=_field("pad_token_id", 10**9),
        forged=True,
        load="loads",
        call="answers",  # the runtime's own padding is the manifest's
    ),
    Spoiled(
        bundle="encoder",
        file="golden.json",
        change="is made anew after labels were exchanged",
        apply=_made_anew,
        forged=True,
        load="loads",
        call="answers",
        verify="passes",  # only a signature shows it
    ),
    *(
        Spoiled(
            bundle="teachable",
            file="ftool.json",
            change=f"has teaching = {json.dumps(value)}",
            apply=_field("teaching", value),
            forged=True,
            load="loads",
            call="refuses",
        )
        for value in ({"features": WIDTH, "rows": 1}, None)
    ),
    *(
        Spoiled(
            bundle="encoder",
            file="tokenizer.json",
            change=change,
            apply=_field("normalizer", {"type": "Sequence", "normalizers": [step] * times}),
            forged=True,
        )
        for change, step, times in (
            ("doubles a letter 60 times", _replaces("a", "aa"), 60),
            ("makes a megabyte of a letter", _replaces("a", "a" * 10**6), 1),
            ("puts a megabyte before a text", {"type": "Prepend", "prepend": "a" * 10**6}, 1),
        )
    ),
    Spoiled(
        bundle="encoder",
        file="onnx/model.onnx",
        change="fails when it runs",
        apply=_graph(failing_graph),
        forged=True,
        load="loads",
        call="refuses",
    ),
    *(
        Spoiled(
            bundle=bundle,
            file=file,
            change=change,
            apply=apply,
            forged=True,
            load="loads",
            call="refuses",
            verify=verify,
        )
        for bundle, file, change, apply, verify in ENDLESS
    ),
)

_COMMAND: Final = "`python -m tests.helpers.spoiled_bundles`"


def table() -> str:
    """Return a table in Markdown: kinds with the same results in one row."""
    rows: dict[tuple[str, ...], list[Spoiled]] = {}
    for one in SPOILED:
        rows.setdefault((one.change, one.load, one.call, one.verify), []).append(one)
    lines = ["| files | change | `load` | a call | `verify` |", "|---|---|---|---|---|"]
    for (change, *results), found in rows.items():
        names = dict.fromkeys(f"`{one.file}`" for one in found)
        forged = ", hashes forged" if all(one.forged for one in found) else ""
        text = change.replace("|", "\\|")
        lines.append(f"| {', '.join(names)} | {text}{forged} | {' | '.join(results)} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Write the tables into docs/reliability.md."""
    path = Path("docs/reliability.md")
    text = path.read_text(encoding="utf-8")
    for what, rows in (("spoiled bundles", table()), ("spoiled knowledge bases", bases_table())):
        begin, end = f"<!-- {what}: written by {_COMMAND} -->\n", f"<!-- end of {what} -->\n"
        before, rest = text.split(begin)
        text = f"{before}{begin}\n{rows}\n{end}{rest.split(end)[1]}"
    path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
