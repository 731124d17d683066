"""Inputs in which fuzzing found a bug, one for each bug: tests read them ever since."""

import base64
import zlib
from typing import Final, NamedTuple


class Found(NamedTuple):
    """An input that showed a bug.

    Attributes:
        target: the name of the target.
        what: what happened.
        content: the input.
    """

    target: str
    what: str
    content: bytes


FOUND: Final = (
    Found(
        "kb.db searched",
        "MemoryError: the first row of the schema says that it takes two gigabytes",
        zlib.decompress(
            base64.b85decode(
                "c-rmRF$%&!5J1skRj~06dj~I&1K0#lV39xy5yG}Pc?w-fP7p*SyazK({oA>>x1n^oe~r&a$=5hW)#MysbgGlq`!EOa7tRs@00000zz$tv"
                "`Oih9NezDLUDYiF000000002Mb|0Mu3`_"
            )
        ),
    ),
    Found("rows.csv", "IndexError: two columns without rows", b'"[1, 2]","[3]"\n'),
    Found("rows.csv", "StopIteration: nothing but a line end and a NUL, which is UTF-16", b"\n\0"),
    Found("rows.csv", "StopIteration: nothing but the name of the separator", b"sep=;\n"),
    Found("rows.csv", "csv.Error: a carriage return in the header", b"text,label\rnine,a\n\n\n\nten,b\n"),
    Found(
        "ftool.json of a classifier", "an error of several lines: a string in place of the manifest", b'"\\n"'
    ),
    Found(
        "golden.json of a decoder",
        "ValueError: no answers",
        b'{"source": "bundle", "tolerance": 1, "inputs": [[7]], "outputs": [[1.0]], "tokens": [[7]], "answers": []}',
    ),
    Found(
        "golden.json of a decoder",
        "IndexError: a token id below 0",
        b'{"source": "bundle", "tolerance": 1, "inputs": [[7]], "outputs": [[1.0]], "tokens": [[-99]], '
        b'"answers": [{"text": "a", "token_ids": [7]}]}',
    ),
    Found(
        "rows.jsonl",
        "RecursionError: lists in 900 lists as a label",
        b'{"text": "one", "label": ' + b"[" * 900 + b"]" * 900 + b"}\n",
    ),
    Found(
        "rows.json",
        "OverflowError: a number of 400 digits as a label",
        b'[{"text": "one", "label": 1' + b"0" * 400 + b'}, {"text": "two", "label": 2}]',
    ),
    Found(
        "rows.jsonl",
        "TypeError: a list in place of Prodigy's answer",
        b'{"text": "Ann", "spans": [], "answer": "accept"}\n{"text": "Bob", "spans": [], "answer": []}\n',
    ),
    Found("squad.json", "an error of several lines: a line end in a key", b'{"\\n": [], "data": [1]}'),
    Found(
        "chat_template.jinja", "an error that does not name the bundle: a template that is wrong", b"{% x %}"
    ),
)
