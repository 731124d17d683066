"""The commands to which faults happen, what each promises, and the folders that they start from."""

import csv
import random
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.faults.runs import Fault, Outcome, run
from tests.faults.system import END

WORDS = {
    "weather": ["rain", "sun", "wind", "cloud", "storm", "snow"],
    "music": ["song", "band", "guitar", "drum", "melody", "choir"],
    "food": ["bread", "soup", "cheese", "apple", "rice", "pepper"],
}
FILLERS = ["the", "a", "please", "tell", "me", "about", "some", "more", "of", "and"]
QUICK = ("train.threads=1", "train.batch_size=8", "train.epochs=2", "train.learning_rate=1e-3")
CHECKPOINTS = ("train.evaluations_per_epoch=2", "train.early_stopping_patience=0")
TAUGHT = "tell me about the bread and the band"

WHOLE = "the old one or the new one; the same command again gives the same files"
RESUMED = "the old run/; `--resume` gives the same files as a run that was not interrupted"
INDEXED = "each document old or new; the same command again gives the same texts, terms and vectors"


@dataclass(frozen=True, kw_only=True)
class Command:
    """A command to which faults happen.

    Attributes:
        name: the name in the table.
        promise: what the table says that the command promises after a kill.
        arguments: the command line.
        artefact: what it writes, relative to the working folder: the old one or the new one after any fault.
        begin: makes the start in a trial's folder; the working folder exists.
        cli: the program.
        resumes: whether the command is repeated with --resume if there is something to resume.
        by_document: whether the artefact is a knowledge base, which is old or new by document.
    """

    name: str
    promise: str
    arguments: Sequence[str]
    artefact: str
    begin: Callable[[Path], None]
    cli: str = "ftool"
    resumes: bool = field(default=False)
    by_document: bool = field(default=False)

    def again(self, trial: Path, fault: Fault | None = None) -> Outcome:
        """Do what the user is told to do after a fault: run the command again, with --resume if there is a run to."""
        if self.resumes and (trial / "work" / "model" / "run.partial").is_dir():
            outcome = run(trial, self.cli, [*dict.fromkeys([*self.arguments, "--resume"])], fault)
            if "without --resume" not in outcome.said:
                return outcome
        return run(trial, self.cli, [part for part in self.arguments if part != "--resume"], fault)


def sentences(seed: int, count: int) -> list[tuple[str, str]]:
    """Return short sentences with their topics, each sentence once."""
    rng, found = random.Random(seed), {}
    while len(found) < count:
        label = rng.choice([*WORDS])
        words = rng.sample(WORDS[label], 2) + rng.sample(FILLERS, rng.randint(1, 6))
        rng.shuffle(words)
        found[" ".join(words)] = label
    return [*found.items()]


def done(trial: Path, *arguments: str) -> None:
    """Run a command that must succeed."""
    outcome = run(trial, "ftool", arguments)
    assert outcome.status == 0, outcome.said


def _data(trial: Path) -> None:
    rows = sentences(0, 96)
    (trial / "work" / "data").mkdir()
    for name, part in (("train", rows[:64]), ("validation", rows[64:80]), ("test", rows[80:])):
        with (trial / "work" / "data" / f"{name}.csv").open("w", newline="") as file:
            csv.writer(file).writerows([("text", "label"), *part])


def _model(trial: Path, *settings: str) -> None:
    """A model folder with an old run/, and the recipe of the new one."""
    _data(trial)
    flags = [part for one in QUICK for part in ("--set", one)]
    base = str(trial.parent / "base")
    done(trial, "new", "model", "--base", base, "--data", "data", "--set", "train.method=head", *flags)
    done(trial, "train", "model")
    if settings:
        shutil.rmtree(trial / "work" / "model" / "reports")
        shutil.move(trial / "work" / "model" / "run", trial / "work" / "old")
        shutil.rmtree(trial / "work" / "model")
        flags += [part for one in settings for part in ("--set", one)]
        done(trial, "new", "model", "--base", base, "--data", "data", *flags)
        shutil.move(trial / "work" / "old", trial / "work" / "model" / "run")


def _head(trial: Path) -> None:
    _model(trial, "train.method=head", "train.seed=5")
    shutil.rmtree(trial / "cache")
    (trial / "cache").mkdir()


def _full(trial: Path) -> None:
    _model(trial, "train.method=full", *CHECKPOINTS)


def _lora(trial: Path) -> None:
    _model(trial, "train.method=lora", *CHECKPOINTS)


def _interrupted(trial: Path) -> None:
    """A full training that was killed after it had saved checkpoints."""
    _full(trial)
    kept = trial / "kept"
    shutil.copytree(trial / "work", kept)
    changes = run(trial, "ftool", ("train", "model")).changes
    shutil.rmtree(trial / "work")
    kept.rename(trial / "work")
    for share in (0.6, 0.65, 0.7, 0.75):
        fault = Fault(mode=END, at=int(changes * share))
        assert run(trial, "ftool", ("train", "model"), fault).killed
        if list((trial / "work" / "model" / "run.partial").glob("checkpoint-*/complete")):
            return
    raise AssertionError("no checkpoint was complete when the training was killed")


def _exported(trial: Path) -> None:
    _model(trial)
    done(trial, "export", "model", "--precision", "fp32")


def _texts(trial: Path) -> None:
    _exported(trial)
    texts = "\n".join(text for text, _ in sentences(1, 300))
    (trial / "work" / "texts.txt").write_text(texts + "\n")
    (trial / "work" / "answers.jsonl").write_text("old\n")


def _documents(trial: Path, version: str) -> None:
    for number in range(6):
        lines = [text for text, _ in sentences(number, 40)]
        path = trial / "work" / "docs" / f"{number}.txt"
        path.parent.mkdir(exist_ok=True)
        path.write_text("\n\n".join(f"{line} {version}" for line in lines))


def _new_base(trial: Path) -> None:
    _documents(trial, "rain")


def _old_base(trial: Path) -> None:
    base = str(trial.parent / "base")
    done(
        trial,
        "export",
        "--checkpoint",
        base,
        "--task",
        "feature-extraction",
        "-o",
        "embedder",
        "--precision",
        "fp32",
    )
    _documents(trial, "sun")
    done(
        trial,
        "index",
        "docs",
        "-o",
        "kb.db",
        "--embedder",
        "embedder",
        "--passage-tokens",
        "24",
        "--threads",
        "1",
    )
    _documents(trial, "rain")


PREDICT = ("predict", "model/bundle", "--input", "texts.txt", "--output", "answers.jsonl", "--threads", "1")
COMMANDS = (
    Command(
        name="train, head", promise=WHOLE, arguments=("train", "model"), artefact="model/run", begin=_head
    ),
    Command(
        name="train, full",
        promise=RESUMED,
        arguments=("train", "model"),
        artefact="model/run",
        begin=_full,
        resumes=True,
    ),
    Command(
        name="train, LoRA",
        promise=RESUMED,
        arguments=("train", "model"),
        artefact="model/run",
        begin=_lora,
        resumes=True,
    ),
    Command(
        name="train, resumed",
        promise=RESUMED,
        arguments=("train", "model", "--resume"),
        artefact="model/run",
        begin=_interrupted,
        resumes=True,
    ),
    Command(
        name="export",
        promise=WHOLE,
        arguments=("export", "model", "--max-drop", "0.9"),
        artefact="model/bundle",
        begin=_exported,
    ),
    Command(
        name="adapt",
        promise=WHOLE,
        arguments=("adapt", "model", "--text", TAUGHT, "--label", "music", "--max-drop", "1"),
        artefact="model/run",
        begin=_model,
    ),
    Command(
        name="index, words only",
        promise=INDEXED,
        arguments=("index", "docs", "-o", "kb.db", "--embedder", "none", "--passage-tokens", "24"),
        artefact="kb.db",
        begin=_new_base,
        by_document=True,
    ),
    Command(
        name="index, embedder",
        promise=INDEXED,
        arguments=("index", "docs", "-o", "kb.db", "--threads", "1"),
        artefact="kb.db",
        begin=_old_base,
        by_document=True,
    ),
    Command(name="predict", promise=WHOLE, arguments=PREDICT, artefact="answers.jsonl", begin=_texts),
    Command(
        name="predict, runtime",
        promise=WHOLE,
        arguments=PREDICT,
        artefact="answers.jsonl",
        begin=_texts,
        cli="ftool_runtime",
    ),
)
