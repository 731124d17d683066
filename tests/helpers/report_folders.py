"""Model folders whose reports hold everything that `ftool report` can show."""

import json
from collections.abc import Mapping, Sequence
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from ftool.bench.contention import Contention
from ftool.bench.engines import Engine
from ftool.bench.measure import BenchSettings
from ftool.bench.report import BenchReport
from ftool.bench.timings import Timings
from ftool.machine import describe_machine
from ftool.workspace import ModelFolder, write_json

HOSTILE = (
    "<script>document.title='stolen'</script>",
    "</blockquote></main><h1 id=broken>broken</h1>",
    "{{ 7 * 7 }} {% raw %}",
    "\u202eright to left\u202c مرحبا بالعالم",
    "👩‍👩‍👧‍👦" * 40,
    "endless" * 400,
    "nul\x00, bell\x07, half a pair \ud83d",
    "Z͑ͫ̓ͪ̂ͫ̽͏̴̙̤̞͉͚̯̞̠͍A̴̵̜̰͔ͫ͗͢L̠ͨͧͩ͘G̴̻͈͍͔̹̑͗̎̅͛́Ǫ̵̹̻̝̳͂̌̌͘!͖̬̰̙̗̿̋ͥͥ̂ͣ̐́́͜͞",
)


def write_bench(folder: ModelFolder, *, of: str | None = None) -> dict[str, Any]:
    """Write the report of a benchmark that ran three rounds, ten times as fast as PyTorch."""
    file = folder.recipe
    timings = {
        name: Timings(
            engine=Engine(
                name=name, title=title, kind="bundle", folder=folder.path, files=(file,), threads=2, task=""
            ),
            latencies_ms=[[scale * (1 + place % 7 / 10) for place in range(40)] for _ in range(3)],
            throughput_per_s=[1000 / scale] * 3,
            cold_start_ms=[100 * scale] * 2,
            waiting_cpu=[0.0],
            peak_memory_mb=40 + 50 * scale,
            versions={"onnxruntime": "1.0"},
        )
        for name, title, scale in (("ftool-int8", "model, int8", 0.5), ("torch-fp32", "PyTorch, fp32", 5.0))
    }
    report = BenchReport(
        contention=Contention(elapsed=10.0, busy=10.0, own=9.9),
        subject="ftool-int8",
        timings=timings,
        machine=describe_machine(),
        settings=BenchSettings(rounds=3, texts_per_round=40),
        task="text-classification",
        split="test",
        examples=36,
    ).to_json()
    write_json(folder.reports / "bench.json", {**report, "of": of})
    return report


def frontier(names: Sequence[str], timings: Mapping[str, Any]) -> dict[str, Any]:
    """A frontier whose candidates lie close together: their labels would touch if each stood at its dot's right."""
    candidates = [
        {
            "name": name, "qualifies": place < 4, "reason": "chosen" if place == 1 else "kept, but slower",
            "score": {"value": 0.92 + place % 3 / 1000, "low": 0.9, "high": 0.94},
            "drop": {"value": -(place % 3) / 1000, "low": -0.003, "high": 0.002},
            "latency_ms": 0.5 + place / 40, "size_mb": 20.0 + 5 * place, "memory_mb": 100.0,
            "throughput_per_s": 2000.0, "faster": 3.0,
        }
        for place, name in enumerate(names)
    ]  # fmt: skip
    return {
        "subject": "model", "chosen": names[1], "split": "validation", "examples": 1000, "metric": "accuracy",
        "reference": {"value": 0.92, "low": 0.9, "high": 0.94},
        "limits": {"max_drop": 0.005, "confidence": 0.95, "max_latency": None, "max_size": None, "prefer": "latency"},
        "latency_of": "answer", "candidates": candidates, "notes": ["two texts are few"],
        "baselines": [{"title": "a linear model on TF-IDF", "trivial": False, "value": 0.5, "low": 0.4, "high": 0.6}],
        "timings": dict(timings),
    }  # fmt: skip


def add_wrong_answers(folder: ModelFolder, texts: Sequence[str]) -> None:
    """Put wrong answers with these texts, and with labels as bad, into the evaluation of the bundle."""
    file = folder.evaluations / "bundle-test.json"
    found = json.loads(file.read_text(encoding="utf-8"))
    found["wrong"] = {
        "order": "the most confident first",
        "measure": "confidence",
        "total": len(texts),
        "found": [
            {
                "split": "test",
                "row": row,
                "text": text,
                "labels": [text[:50]],
                "answer": ["food"],
                "confidence": 0.99,
            }
            for row, text in enumerate(texts)
        ],
    }
    file.write_text(json.dumps(found), encoding="utf-8")


class Texts(HTMLParser):
    """Reads a page: its texts without styles, its tags, and the addresses that it refers to."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []
        self._words: list[str] = []
        self._hidden = 0
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self._hidden += tag in ("style", "script")
        self.links += [value or "" for name, value in attrs if name in ("src", "href", "action", "data")]

    def handle_endtag(self, tag: str) -> None:
        self._hidden -= tag in ("style", "script")

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self._words.append(data)

    @property
    def text(self) -> str:
        """All text with single spaces."""
        return " ".join("".join(self._words).split())


def read_page(path: Path) -> Texts:
    """Read the page in a file."""
    return Texts(path.read_text(encoding="utf-8"))
