"""Valid files with which fuzzing begins."""

import json
from typing import Any, Final

from ftool.data.sources.arrow_files import parquet_bytes
from tests.helpers.data_kinds import READ, REFUSED

_LONGEST: Final = 4_000  # bytes

MARKDOWN: Final = (
    "---\ntitle: Keeping\n---\n# Keeping\n\nMessages are kept **thirty days**[^1].\n\n- one\n  - two\n\n> a quote\n",
    "Title\n=====\n\n| a | b |\n|---|---|\n| 1 | `2` |\n\n```python\nx = 1\n```\n\n<div hidden>no</div> ![i](j)\n",
)
HTML: Final = (
    "<!doctype html><title>Sharing</title><h1>Sharing</h1><p>Addresses go to <b>carriers</b>.<br>Not to others.</p>"
    "<table><tr><td>1<td>2</table><pre>a\n  b</pre><script>no()</script>",
    '<html><head><meta charset="utf-8"></head><body><ul><li>one<li hidden>two</ul>&amp; &#x6f22; &eacute;<!-- no -->',
)
DOCUMENTS: Final = (
    '{"id": 1, "title": "Keeping", "text": "Messages are kept."}\n"Addresses go to carriers."\n\n{"text": "No."}\n',
)
TEXTS_CSV: Final = ('text,id\n"turn, off",1\nplay,2\n\n', "sep=;\nid;text\n1;'play'\n")
TEXTS_JSONL: Final = ('{"text": "play", "id": 1}\n"stop"\n\n{"text": null}\n',)

_TEXTS: Final = [f"Ann saw Rome {'again ' * number}".strip() for number in range(12)]
# Rows for each task, enough of them to cut validation and test splits off.
_ROWS: Final[list[list[dict[str, Any]]]] = [
    [{"text": text, "label": "ab"[place % 2]} for place, text in enumerate(_TEXTS)],
    [{"text": text, "labels": ["a", "b"][: place % 3]} for place, text in enumerate(_TEXTS)],
    [{"text": text, "score": place / 7} for place, text in enumerate(_TEXTS)],
    [{"tokens": text.split(), "tags": ["B-per", "O", *["B-loc"] * (len(text.split()) - 2)]} for text in _TEXTS],
    [
        {"text": text, "entities": [{"start": 0, "end": 3, "label": "per"}, {"start": 8, "end": 12, "label": "loc"}]}
        for text in _TEXTS
    ],
    [
        {"question": f"Who saw {place}?", "context": text, "answers": {"text": ["Ann"], "answer_start": [0]}}
        for place, text in enumerate(_TEXTS)
    ],
    [{"anchor": f"query {place}", "positive": text} for place, text in enumerate(_TEXTS)],
    [{"sentence1": f"a {place}", "sentence2": text, "score": place / 11} for place, text in enumerate(_TEXTS)],
    [{"query": f"query {place // 3}", "passage": text, "score": place % 3} for place, text in enumerate(_TEXTS)],
    [{"source": text, "target": f"Anne {place}"} for place, text in enumerate(_TEXTS)],
    [
        {"messages": [{"role": "user", "content": text}, {"role": "assistant", "content": f"yes {place}"}]}
        for place, text in enumerate(_TEXTS)
    ],
]  # fmt: skip
_SQUAD: Final = {
    "version": "v2.0",
    "data": [
        {
            "title": "Rome",
            "paragraphs": [
                {
                    "context": text,
                    "qas": [
                        {
                            "id": f"{place}a",
                            "question": "Who?",
                            "answers": [{"text": "Ann", "answer_start": 0}],
                        },
                        {"id": f"{place}b", "question": "When?", "answers": [], "is_impossible": True},
                    ],
                }
            ],
        }
        for place, text in enumerate(_TEXTS)
    ],
}
_CONLL: Final = "\n\n".join(
    "\n".join(f"{word} {tag}" for word, tag in zip(row["tokens"], row["tags"], strict=True))
    for row in _ROWS[3]
)
OWN: Final[dict[str, list[str | bytes]]] = {
    "rows.parquet": [
        parquet_bytes("rows", {name: [row[name] for row in rows] for name in rows[0]})
        for rows in (_ROWS[0], _ROWS[2], _ROWS[3], _ROWS[5])
    ],
    "squad.json": [json.dumps(_SQUAD)],
    "words.conll": [_CONLL, _CONLL.replace(" ", "\t")],
    "rows.csv": ["text,label\n" + "".join(f'"{row["text"]}",{row["label"]}\n' for row in _ROWS[0])],
    "rows.json": [json.dumps(rows) for rows in _ROWS],
    "rows.jsonl": ["".join(json.dumps(row) + "\n" for row in rows) for rows in _ROWS],
}


def data_seeds(name: str) -> list[bytes]:
    """Return files with the suffix of `name`: rows for every task, and those that docs/data.md describes."""
    suffix = name[name.rindex(".") :]
    described = [
        one.content for one in (*READ, *REFUSED)
        if isinstance(one.content, str | bytes) and one.name.endswith(suffix) and name not in ("squad.json",)
    ]  # fmt: skip
    found = [one.encode() if isinstance(one, str) else one for one in (*OWN[name], *described)]
    return [one for one in found if len(one) <= _LONGEST]
