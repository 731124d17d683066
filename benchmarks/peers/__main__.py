"""Time one checkpoint in ftool's bundles and in other projects' engines, all in turn; and an embedder in the same way.

    python -m benchmarks.peers [--work FOLDER] [--data FOLDER] [--run FOLDER] [--engines NAME ...]
                               [--environments FOLDER] [--precisions int8 w8 fp32 int8-static]

The checkpoint is an AutoModelForSequenceClassification, with transformers' own pooler and head, trained on banking77,
because every engine can read this class; `--run` names another one. Each engine runs in an environment of its own, of
the packages in benchmarks/environments; the first run sets the environments up and makes the engines' models.

Before anything is timed, the answers to the test split are compared with torch's in fp32: an engine that agrees on
less than 90% is reported and not timed. model2vec and TF-IDF with a linear classifier are other models, trained on the
same texts: only their accuracy is comparable. All times include tokenisation.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.commands import DATA, write_result
from benchmarks.environments import PLACE
from benchmarks.peers import agreement, tables
from benchmarks.peers.engine import PeerEngine, write_training_texts
from benchmarks.peers.models import CLASSIFICATION, EMBEDDING, LONGEST, bundles, embedder, trained
from benchmarks.peers.rows import CLASSIFIERS, EMBEDDERS, Peer
from benchmarks.peers.scenarios import Scenario, measure, report
from ftool.bases import resolve_base
from ftool.bench.alternation import texts_of_round
from ftool.bench.engines import Engine, EngineProcess
from ftool.bench.lengths import exact_texts
from ftool.bench.run import Placement, torch_engine
from ftool.data.load import load_dataset
from ftool.machine import describe_machine
from ftool.recipe.recipe import Recipe
from ftool.tasks.registry import find_task
from ftool.terminal import format_table
from ftool_runtime import load
from ftool_runtime.session.threads import resolve_threads

LENGTHS = (64, 128, 256, 512)
MIXED = (4, 400)  # the shortest and the longest text of many in one call
TORCH_FP32 = "torch-fp32"
LONG_ANSWERS = 40  # texts of LONGEST tokens whose answers are compared, to show that no engine cuts them


def main() -> None:
    """Make the models and environments that are missing, check, time, and write benchmarks/results/peers.json."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    names = [TORCH_FP32, *(peer.name for peer in (*CLASSIFIERS, *EMBEDDERS))]
    parser.add_argument("--work", type=Path, default=Path("models/peers"))
    parser.add_argument("--data", type=Path, default=DATA / "banking77")
    parser.add_argument(
        "--run", type=Path, help="a trained checkpoint; by default one is trained in the work folder"
    )
    parser.add_argument(
        "--engines", nargs="+", choices=names, default=names, metavar="NAME", help=", ".join(names)
    )
    parser.add_argument("--environments", type=Path, default=PLACE)
    parser.add_argument(
        "--precisions", nargs="+", default=["int8", "w8"], help="of our bundles; the first is compared"
    )
    parser.add_argument("--threads", type=int)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--texts", type=int, default=100, help="single texts in a round")
    parser.add_argument("--long-texts", type=int, default=10, help="texts of each length in a round")
    parser.add_argument("--bulk", type=int, default=500, help="texts of 4 to 400 tokens in one call")
    parser.add_argument("--answers", type=int, default=1000, help="test texts whose answers are compared")
    parser.add_argument("--cold-starts", type=int, default=2)
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    result: dict[str, Any] = {"machine": describe_machine()}
    for task, peers in ((CLASSIFICATION, CLASSIFIERS), (EMBEDDING, EMBEDDERS)):
        if chosen := [peer for peer in peers if peer.name in options.engines]:
            result[task] = compared(task, chosen, options)
    write_result("peers", result)


def compared(task: str, peers: Sequence[Peer], options: argparse.Namespace) -> dict[str, Any]:
    """Check and time our bundles and the other engines for a task; print the tables, and return the report as JSON."""
    recipe = Recipe.read(trained(options).recipe)
    data = load_dataset(recipe.row.reader, recipe.data, quiet=True)
    work = options.work.absolute() / task
    work.mkdir(exist_ok=True)
    checkpoint = embedder(work) if task == EMBEDDING else trained(options).run.absolute()
    ours = bundles(task, checkpoint, work, options)
    subject, threads = ours[0], resolve_threads(options.threads)
    texts = write_training_texts(work / "train.json", data.train)
    settings: dict[str, str | int] = {"checkpoint": str(checkpoint), "texts": str(texts)}
    settings |= {"base": resolve_base("minilm"), "max_length": LONGEST}
    others = [peer.engine(work, options.environments, threads, task, settings) for peer in peers]
    long = exact_texts(subject.folder, data.test.inputs, [LONGEST], LONG_ANSWERS)[LONGEST]
    answers = checked(task, checkpoint, [*ours, *others], data.test, long, options.answers)
    free = {peer.name for peer in peers if not peer.same_model}
    failed = {name for name in answers if name not in free and answers[name]["agreement"] < agreement.LEAST}
    if subject.name in failed:
        sys.exit(f"{subject.name} agrees with torch on {answers[subject.name]['agreement']:.4f} of the texts")
    engines: list[Engine] = [engine for engine in (*ours, *others) if engine.name not in failed]
    if task == CLASSIFICATION and TORCH_FP32 in options.engines:
        engines.append(torch_engine(checkpoint, Placement(threads=threads), task))
    chosen = scenarios(data.test.inputs, subject.folder, options)
    found = report(measure(engines, chosen, options.cold_starts), chosen, subject.name)
    found = {"answers": answers, "failed": sorted(failed), **found}
    print(format_table(tables.speed(found)), format_table(tables.quality(found)), sep="\n\n")
    print("\n".join(tables.sentences(found)), flush=True)
    return found


def checked(
    task: str, checkpoint: Path, engines: Sequence[Engine], test: Any, long: Sequence[Any], count: int
) -> dict[str, dict[str, float]]:
    """Return, by engine, how well the answers to `count` test texts and to `long` texts agree with torch's in fp32."""
    print("comparing answers", flush=True)
    texts = [*texts_of_round(test.inputs, 0, count), *long]
    truth = [one.labels[0] for one in texts_of_round(test.examples, 0, count)]
    row = find_task(task)
    torch = row.answering(row.load(str(checkpoint)))

    def plain(found: Any) -> Any:
        return [one.label for one in found] if task == CLASSIFICATION else found

    def compare(answers: Any) -> dict[str, float]:
        short, rest = slice(len(truth)), slice(len(truth), None)
        if task == CLASSIFICATION:
            found = agreement.of_labels(answers[short], reference[short], truth)
            return {**found, "agreement_512": agreement.same(answers[rest], reference[rest])}
        found = agreement.of_vectors(answers[short], reference[short])
        return {**found, "agreement_512": agreement.cosine(answers[rest], reference[rest])}

    reference = plain(torch(texts))
    found = {TORCH_FP32: compare(reference)} if task == CLASSIFICATION else {}
    for engine in engines:
        if isinstance(engine, PeerEngine):
            with EngineProcess(engine, texts[0]) as process:
                answers = process.ask({"do": "answers", "texts": texts})["answers"]
        else:
            with load(engine.folder) as model:
                answers = plain(model(texts))
        found[engine.name] = compare(answers)
    return found


def scenarios(texts: Sequence[str], bundle: Path, options: argparse.Namespace) -> list[Scenario]:
    """Return the scenarios: the texts as they are, texts of each of LENGTHS tokens, and many of mixed lengths."""
    rounds = options.rounds
    found = [Scenario(name="test texts", texts=texts, rounds=rounds, per_round=options.texts)]
    for length, exact in exact_texts(bundle, texts, LENGTHS, options.long_texts).items():
        found.append(
            Scenario(name=f"{length} tokens", texts=exact, rounds=rounds, per_round=options.long_texts)
        )
    steps = 40
    ratio = (MIXED[1] / MIXED[0]) ** (1 / (steps - 1))
    lengths = sorted({round(MIXED[0] * ratio**step) for step in range(steps)})
    each = -(-options.bulk // len(lengths))
    mixed = [text for exact in exact_texts(bundle, texts, lengths, each).values() for text in exact]
    bulk = texts_of_round(mixed, 0, options.bulk)
    found.append(
        Scenario(
            name=f"{len(bulk)} mixed", texts=bulk, rounds=min(rounds, 3), per_round=len(bulk), together=True
        )
    )
    return found


if __name__ == "__main__":
    main()
