"""Compare search by words, by embeddings and fused, on sets of questions, and the floor of `ftool ask`.

    git clone https://github.com/vanatteveldt/wikinews FOLDER
    python -m benchmarks.search_quality [--news FOLDER]

The sets are the help pages of examples/documents with their questions, policyqa, squad2_dev's contexts with every
tenth question, and with `--news` Wikinews articles of 2019 and 2020 (CC BY 2.5). The 64 questions about the news were
written after the weights of fusion were set, from randomly drawn articles, and before anything was searched: they
only test. Questions of one set that are asked about the documents of another should find nothing, and so should
the questions of examples/documents without a document, such as "who is the king of france".
"""

import argparse
import csv
import json
import sqlite3
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import ftool_runtime as ft
from benchmarks.commands import DATA, ftool, write_result
from benchmarks.policyqa import read_policyqa
from ftool.search.types import CutPassage
from ftool.terminal import format_table
from ftool_runtime.knowledge import MODES, KnowledgeBase, Passage
from ftool_runtime.knowledge.fusion import least_score
from ftool_runtime.knowledge.vectors import read_blocks

EXAMPLES = Path(__file__).resolve().parent.parent / "examples" / "documents"
EACH = 10  # every tenth question of squad2_dev
FOREIGN = 200  # questions about other documents
HELP_QUESTIONS = EXAMPLES / "questions.jsonl"
NEWS_QUESTIONS = Path(__file__).resolve().parent / "questions" / "wikinews.jsonl"
FLOORS = (0.1, 0.15, 0.2)  # beside the default
RESAMPLES = 10_000  # bootstrap samples of the questions

Questions = Mapping[
    str, tuple[set[str], int]
]  # by text: the names of the right passages, and the text's weight


def main() -> None:
    """Run all measurements, and write benchmarks/results/search_quality.json."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--news", type=Path, metavar="FOLDER", help="a clone of vanatteveldt/wikinews")
    options = parser.parse_args()
    result: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        sets = {"help": help_pages(), "policyqa": policies(Path(folder)), "squad2": articles(Path(folder))}
        if options.news:
            sets["news"] = news(options.news, Path(folder))
        for name, (documents, questions) in sets.items():
            file = Path(folder) / f"{name}.db"
            ftool("index", documents, "-o", file)
            others = [
                q for other, (_, asked) in sets.items() if other != name for q in sorted(asked)[:FOREIGN]
            ]
            with KnowledgeBase.open(file) as base:
                passages = base.info()["passages"]
                ranks = {mode: first_ranks(base, mode, questions) for mode in MODES}
                own, foreign, everyday = (
                    best_scores(base, asked) for asked in (list(questions), others, everyday_questions())
                )
                same = same_in_float32(file, base.info()["embedder"], list(questions))
            weights = np.array([weight for _, weight in questions.values()])
            floors = {"default": least_score(passages), **{str(floor): floor for floor in FLOORS}}
            result[name] = {
                "passages": passages,
                "questions": len(questions),
                **{mode: recall(ranks[mode], weights) for mode in MODES},
                "fused_gain": gains(ranks, weights),
                "same_first_five_in_float32": same,
                "own_lost": shares_below(own, floors),
                "foreign_told": shares_below(foreign, floors),
                "everyday_told": shares_below(everyday, floors),
            }
    write_result("search_quality", result)
    for name, one in result.items():
        print(f"\n{name}, {one['questions']} questions, {one['passages']} passages")
        print(format_table([["", *one["fused"]], *rows_of({mode: one[mode] for mode in MODES})]))
        print(
            format_table([["fused minus the better", "", "gain", "low", "high"], *rows_of(one["fused_gain"])])
        )
        shares = {kind: one[kind] for kind in ("own_lost", "foreign_told", "everyday_told")}
        print(f"the same first five by float32 vectors: {one['same_first_five_in_float32']}")
        print(format_table([["finding nothing, by floor", *one["own_lost"]], *rows_of(shares)]))


def rows_of(table: Mapping[str, Mapping[str, Any]]) -> list[list[str]]:
    """Return the rows of a table: the name and the values of each entry."""
    return [[name, *map(str, values.values())] for name, values in table.items()]


def help_pages() -> tuple[Path, Questions]:
    """Return the folder of the help pages, and the questions that they answer."""
    rows = [json.loads(line) for line in HELP_QUESTIONS.read_text(encoding="utf-8").splitlines()]
    return EXAMPLES / "help", {
        row["question"]: ({f"{row['document']} {row['heading']}"}, 1) for row in rows if row["document"]
    }


def everyday_questions() -> list[str]:
    """Return the questions of examples/documents that no document answers."""
    rows = [json.loads(line) for line in HELP_QUESTIONS.read_text(encoding="utf-8").splitlines()]
    return [row["question"] for row in rows if not row["document"]]


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


def news(clone: Path, folder: Path) -> tuple[Path, Questions]:
    """Return Wikinews articles, headline first, as a JSONL file, and the questions that each is the answer to."""
    articles: dict[str, str] = {}
    for file in sorted((clone / "data").glob("*.csv")):
        with file.open(encoding="utf-8", newline="") as rows:
            articles |= {row["title"]: f"{row['title']}\n\n{row['text']}" for row in csv.DictReader(rows)}
    at = {title: str(number) for number, title in enumerate(articles)}
    asked = map(json.loads, NEWS_QUESTIONS.read_text(encoding="utf-8").splitlines())
    return written(folder / "news.jsonl", list(articles.values())), {
        row["question"]: ({f"news.jsonl#{at[row['title']]}"}, 1) for row in asked
    }


def first_ranks(base: KnowledgeBase, mode: Any, questions: Questions) -> NDArray[np.float64]:
    """Return the rank of each question's first right passage among ten, infinity if there is none."""
    ranks = []
    for text, (wanted, _) in questions.items():
        found = base.search(text, 10, mode=mode)
        ranks.append(next((at for at, passage in enumerate(found, 1) if names(passage) & wanted), np.inf))
    return np.array(ranks)


def metrics(ranks: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
    """Return of each question whether a right passage is among the first k, and the reciprocal rank."""
    return {**{f"at_{k}": (ranks <= k).astype(float) for k in (1, 3, 5)}, "mrr_10": 1 / ranks}


def recall(ranks: NDArray[np.float64], weights: NDArray[np.int64]) -> dict[str, float]:
    """Return the share of questions with a right passage among the first k, and the mean reciprocal rank."""
    return {
        name: round(float(np.average(values, weights=weights)), 3) for name, values in metrics(ranks).items()
    }


def gains(ranks: Mapping[str, NDArray[np.float64]], weights: NDArray[np.int64]) -> dict[str, Any]:
    """Return each metric of fused minus that of words or embeddings, whichever is better in that metric on this set.

    `low` and `high` are the 95% interval by the paired bootstrap: each sample draws the questions anew, for both.
    """
    drawn = np.random.default_rng(0).integers(len(weights), size=(RESAMPLES, len(weights)))
    found = {}
    for name, fused in metrics(ranks["fused"]).items():
        single = {mode: metrics(ranks[mode])[name] for mode in ("bm25", "embeddings")}
        means = {mode: np.average(values, weights=weights) for mode, values in single.items()}
        better = max(means, key=means.__getitem__)
        apart = fused - single[better]
        samples = np.sum(apart[drawn] * weights[drawn], axis=1) / np.sum(weights[drawn], axis=1)
        low, high = np.percentile(samples, (2.5, 97.5)).tolist()
        gain = float(np.average(apart, weights=weights))
        found[name] = {"over": better, "gain": round(gain, 3), "low": round(low, 3), "high": round(high, 3)}
    return found


def names(passage: Passage) -> set[str]:
    """Return the names by which the sets call a passage."""
    file = passage.document.rpartition("/")[2]
    return {file, f"{file} {passage.heading.rpartition(' > ')[2]}"}


def best_scores(base: KnowledgeBase, questions: Sequence[str]) -> NDArray[np.float64]:
    """Return the score of the best passage for each question, 0 if there is none."""
    return np.array([base.ask(question).best_score or 0.0 for question in questions])


def same_in_float32(file: Path, bundle: str, questions: Sequence[str]) -> float:
    """Return the share of questions with the same first five passages by stored (float16) and by float32 vectors."""
    with closing(sqlite3.connect(file)) as connection, ft.Embedder.load(file.parent / bundle) as embedder:
        rows = connection.execute("SELECT text, heading FROM passages ORDER BY id")
        passages = [CutPassage(start=0, text=text, gap="", heading=heading) for text, heading in rows]
        stored = np.concatenate([vectors for _, vectors in read_blocks(connection, embedder.dimension)])
        exact = embedder([passage.embedded for passage in passages], kind="passage")
        asked = embedder(questions, kind="query")
    first = [np.argsort(-asked @ vectors.T, axis=1, kind="stable")[:, :5] for vectors in (stored, exact)]
    return round(float(np.mean((first[0] == first[1]).all(axis=1))), 3)


def shares_below(scores: NDArray[np.float64], floors: Mapping[str, float]) -> dict[str, float]:
    """Return the share of questions for which `ask` finds nothing, for each value of `min_score` in `floors`."""
    return {name: round(float(np.mean(scores < floor)), 3) for name, floor in floors.items()}


if __name__ == "__main__":
    main()
