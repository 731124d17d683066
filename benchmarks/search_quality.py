"""Compare search by words, by embeddings and fused, on three sets of questions, and the floor of `ftool ask`.

    python -m benchmarks.search_quality

The sets are the help pages of examples/documents with their questions, policyqa, and squad2_dev's contexts with every
tenth question. Questions of one set that are asked about the documents of another must find nothing.
"""

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.commands import DATA, ftool, write_result
from benchmarks.policyqa import read_policyqa
from ftool.terminal import format_table
from ftool_runtime.knowledge import MIN_SCORE, MODES, KnowledgeBase, Passage

EXAMPLES = Path(__file__).resolve().parent.parent / "examples" / "documents"
EACH = 10  # every tenth question of squad2_dev
FOREIGN = 200  # questions about other documents

Questions = Mapping[
    str, tuple[set[str], int]
]  # by text: the names of the right passages, and the text's weight


def main() -> None:
    """Run all measurements, and write benchmarks/results/search_quality.json."""
    result: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        sets = {"help": help_pages(), "policyqa": policies(Path(folder)), "squad2": articles(Path(folder))}
        for name, (documents, questions) in sets.items():
            file = Path(folder) / f"{name}.db"
            ftool("index", documents, "-o", file)
            others = [
                q for other, (_, asked) in sets.items() if other != name for q in sorted(asked)[:FOREIGN]
            ]
            with KnowledgeBase.open(file) as base:
                found = {mode: recall(base, mode, questions) for mode in MODES}
                lost, told = (share_of_nothing(base, asked) for asked in (sorted(questions)[:1000], others))
            result[name] = {"questions": len(questions), **found, "own_lost": lost, "foreign_told": told}
    write_result("search_quality", result)
    columns = list(result["help"]["fused"])
    for name, one in result.items():
        print(
            f"{name}: below {MIN_SCORE} are {one['own_lost']} of its questions, {one['foreign_told']} of others"
        )
        print(format_table([["", *columns], *([mode, *map(str, one[mode].values())] for mode in MODES)]))


def help_pages() -> tuple[Path, Questions]:
    """Return the folder of the help pages, and the questions that they answer."""
    rows = map(json.loads, (EXAMPLES / "questions.jsonl").read_text().splitlines())
    return EXAMPLES / "help", {
        row["question"]: ({f"{row['document']} {row['heading']}"}, 1) for row in rows if row["document"]
    }


def policies(folder: Path) -> tuple[Path, Questions]:
    """Return policyqa's contexts as a JSONL file, and its questions, weighted by how often each is asked."""
    contexts, pairs, asked = read_policyqa(DATA / "policyqa" / "dev.json")
    return written(folder / "policyqa.jsonl", contexts), {
        text: ({f"policyqa.jsonl#{at}" for at in pairs[text]}, asked[text]) for text in pairs
    }


def articles(folder: Path) -> tuple[Path, Questions]:
    """Return squad2_dev's contexts as a JSONL file, and every tenth of the questions that they answer."""
    contexts: list[str] = []
    asked: list[tuple[str, int]] = []
    for part in ("train", "test"):
        for article in json.loads((DATA / "squad2_dev" / f"{part}.json").read_text())["data"]:
            for paragraph in article["paragraphs"]:
                asked += [(q["question"], len(contexts)) for q in paragraph["qas"] if not q["is_impossible"]]
                contexts.append(paragraph["context"])
    return written(folder / "squad2.jsonl", contexts), {
        text: ({f"squad2.jsonl#{at}"}, 1) for text, at in asked[::EACH]
    }


def written(path: Path, contexts: list[str]) -> Path:
    """Write contexts as a JSONL file, and return its path."""
    rows = [json.dumps({"id": str(at), "text": text}) + "\n" for at, text in enumerate(contexts)]
    path.write_text("".join(rows))
    return path


def recall(base: KnowledgeBase, mode: Any, questions: Questions) -> dict[str, float]:
    """Return the share of questions with a right passage among the first k, and the mean reciprocal rank."""
    ranks, weights = [], []
    for text, (wanted, weight) in questions.items():
        found = base.search(text, 10, mode=mode)
        ranks.append(next((at for at, passage in enumerate(found, 1) if names(passage) & wanted), np.inf))
        weights.append(weight)
    firsts = np.array(ranks)
    shares = {f"at_{k}": float(np.average(firsts <= k, weights=weights)) for k in (1, 3, 5)}
    shares["mrr_10"] = float(np.average(1 / firsts, weights=weights))
    return {name: round(value, 3) for name, value in shares.items()}


def names(passage: Passage) -> set[str]:
    """Return the names by which the sets call a passage."""
    file = passage.document.rpartition("/")[2]
    return {file, f"{file} {passage.heading.rpartition(' > ')[2]}"}


def share_of_nothing(base: KnowledgeBase, questions: list[str]) -> float:
    """Return the share of questions for which `ask` finds nothing."""
    return round(float(np.mean([not base.ask(question).passages for question in questions])), 3)


if __name__ == "__main__":
    main()
