"""What is run: a consumer, a bundle and a task in each row, and how answers are compared with ftool_runtime's."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from ftool_runtime.numerics import softmax
from tests.ecosystem.bundles import intent_texts

TOKENS: Final = 16  # of an answer, which an end token does not end
SAME: Final = 1e-5  # sums in another order
# WebAssembly's kernels round some activations in 8 bits the other way, by a whole step. Heads that are not trained make
# most of it: up to 0.05 was seen, and 0.004 with trained models.
IN_WEBASSEMBLY: Final = 0.1
_QUESTIONS: Final = (
    {"question": "Where does Bonn lie?", "context": "Bonn lies on the Rhine. It was the capital until 1990."},
    {
        "question": "Who came?",
        "context": "On Monday Ada Lovelace came to London, and on Tuesday she left again.",
    },
)
_SENTENCES: Final = (
    "Ada Lovelace came to London.",
    "Bonn lies on the Rhine, and Cologne does too.",
    "Nobody was there",
)
_DATES: Final = ("the 3rd of March, 2021", "Tues 5 Jan '10", "12/24/1999")


def _own(task: str, inputs: Sequence[Any]) -> Callable[[Any], Any]:
    """Return the function that lets a loaded bundle answer `inputs`, in the form that consumers answer in."""

    def written(model: Any) -> Any:
        length = {"min_new_tokens": TOKENS, "max_new_tokens": TOKENS}
        found = model(list(inputs), do_sample=False, num_beams=1, **length)
        return [list(one.token_ids) for one in found]

    ways: Mapping[str, Callable[[Any], Any]] = {
        "text-classification": lambda model: [
            {one.label: one.score for one in answer.top}
            for answer in model(list(inputs), top_k=len(model.labels))
        ],
        "token-classification": lambda model: [
            [[one.label, one.start, one.end, one.score] for one in answer] for answer in model(list(inputs))
        ],
        "question-answering": lambda model: [model(**given).text for given in inputs],
        "feature-extraction": lambda model: np.asarray(model(list(inputs))).tolist(),
        "text-generation": written,
        "translation": written,
    }
    return ways[task]


@dataclass(frozen=True, kw_only=True)
class Case:
    """A row of the table.

    Attributes:
        consumer: a name in `CONSUMERS`.
        bundle: the name of the bundle, as in `bundles`.
        task: the bundle's task.
        inputs: the inputs.
        batch: the number of inputs in a run of the consumer.
        precise: the largest difference that counts as equal, of a probability or of a vector's number.
    """

    consumer: str
    bundle: str
    task: str
    inputs: Sequence[Any]
    batch: int = 1
    precise: float

    def expected(self, model: Any) -> Any:
        """Return the answers of the bundle that ftool_runtime has loaded as `model`."""
        in_javascript = CONSUMERS[self.consumer].module is None
        if self.task == "token-classification" and in_javascript:
            found = model(list(self.inputs), aggregation="none")  # transformers.js does not merge tokens
            return [[[one.label, one.score] for one in answer] for answer in found]
        if self.task == "question-answering" and in_javascript:  # and finds spans in its own way
            return [row.T.tolist() for row in model.outputs(list(self.inputs))]
        return _own(self.task, self.inputs)(model)


@dataclass(frozen=True, kw_only=True)
class Consumer:
    """A library that reads bundles.

    Attributes:
        title: its name in the table.
        module: the module of tests/ecosystem/consumers for a Python library; None for transformers.js.
        environment: the file of benchmarks/environments with its packages.
        browser: whether transformers.js runs in a page in Chromium, instead of in Node.
    """

    title: str
    module: str | None = None
    environment: str | None = None
    browser: bool = False


CONSUMERS: Final[Mapping[str, Consumer]] = {
    "sentence-transformers": Consumer(
        title='sentence-transformers, `backend="onnx"`',
        module="sentence_transformers",
        environment="sentence-transformers",
    ),
    "fastembed": Consumer(
        title="fastembed, `TextEmbedding.add_custom_model`", module="fastembed", environment="fastembed"
    ),
    "optimum": Consumer(title="optimum-onnx, `ORTModelFor…`", module="optimum", environment="optimum-onnx"),
    "genai": Consumer(title="onnxruntime-genai", module="genai", environment="onnxruntime-genai"),
    "node": Consumer(title="transformers.js in Node"),
    "chromium": Consumer(title="transformers.js in Chromium", browser=True),
}


def cases() -> list[Case]:
    """Return every row, in the order of the table."""
    texts = intent_texts("test")[:24]
    words = [text[:9] for text in texts[:4]]
    embedded = [*texts[:8], "x", " ".join(texts)]  # of many lengths, the last one cut
    tasks: Sequence[tuple[str, str, Sequence[Any], Sequence[str]]] = (
        ("intents", "text-classification", texts, ("optimum", "node", "chromium")),
        ("intents-standard", "text-classification", texts, ("optimum", "node", "chromium")),
        ("tagger", "token-classification", _SENTENCES, ("optimum", "node", "chromium")),
        ("reader", "question-answering", _QUESTIONS, ("optimum", "node", "chromium")),
        (
            "minilm",
            "feature-extraction",
            embedded,
            ("sentence-transformers", "fastembed", "optimum", "node", "chromium"),
        ),
        # onnxruntime for browsers has no operator for quantised embeddings of generators
        ("gpt2", "text-generation", words, ("genai", "optimum", "node")),
        ("gpt2-fp32", "text-generation", words, ("chromium",)),
        ("llama", "text-generation", words, ("genai", "optimum", "node")),
        ("dates", "translation", _DATES, ("optimum", "node")),
    )
    return [
        Case(
            consumer=consumer,
            bundle=bundle,
            task=task,
            inputs=inputs,
            batch=_batch(bundle, task, consumer),
            precise=IN_WEBASSEMBLY if CONSUMERS[consumer].browser else SAME,
        )
        for bundle, task, inputs, consumers in tasks
        for consumer in consumers
    ]


def _batch(bundle: str, task: str, consumer: str) -> int:
    """Return how many inputs run together: one in bundles that take no mask, and where the library takes only one."""
    alone = bundle == "intents" or task == "question-answering" or consumer == "genai"
    return 1 if alone else 8


def difference(task: str, found: Any, expected: Any) -> float:
    """Return the largest difference between numbers in answers; infinite if labels, spans or tokens differ."""
    if len(found) != len(expected):
        return np.inf
    return max(_difference(task, one, other) for one, other in zip(found, expected, strict=True))


def _difference(task: str, found: Any, expected: Any) -> float:
    if task == "feature-extraction":
        return float(np.abs(np.subtract(found, expected)).max())
    if task == "text-classification":
        if max(found, key=found.get) != max(expected, key=expected.get) or found.keys() != expected.keys():
            return np.inf
        return max(abs(found[label] - expected[label]) for label in expected)
    if task == "token-classification":
        if [one[:-1] for one in found] != [one[:-1] for one in expected]:
            return np.inf
        return max(
            (abs(one[-1] - other[-1]) for one, other in zip(found, expected, strict=True)), default=0.0
        )
    if task in ("text-generation", "translation"):  # a batch's shorter answers end in padding
        return 0.0 if found[: len(expected)] == expected else np.inf
    if isinstance(found, str):
        return 0.0 if found == expected else np.inf
    return float(
        np.abs(softmax(np.array(found)) - softmax(np.array(expected))).max()
    )  # of start and end logits
