"""Data to generate text from, from its settings: read, checked and split."""

import hashlib
import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import replace

from ftool.data.examples import Examples
from ftool.data.generation import Example, GenerationData, GenerationSplit
from ftool.data.overlaps import shared_texts
from ftool.data.rows.pairs import in_one_direction, pairs_note, read_pairs
from ftool.data.rows.prompts import prompts_note, read_prompts
from ftool.data.sources.find import find_tables, only_table, read_data
from ftool.data.split_names import SPLITS
from ftool.data.splitting import cut_missing_splits, cut_off
from ftool.data.table import Table, rows_numbered
from ftool.data.types import DataError
from ftool.recipe.data_settings import DataSettings

_log = logging.getLogger(__name__)

_Read = Callable[[Table, DataSettings], list[Example]]
_Note = Callable[[Table, DataSettings], str]
_READERS: dict[str, tuple[_Read, _Note]] = {
    "summarization": (read_pairs, pairs_note),
    "translation": (read_pairs, pairs_note),
    "text-generation": (read_prompts, prompts_note),
}


def load_generation_data(settings: DataSettings, task: str) -> GenerationData:
    """The data that `settings` describes, for summarization, translation or text-generation.

    A validation or test split that the data lacks is cut off its training rows, all rows of one source on one side.
    Raises DataError naming the file, row or column for what can't be used.
    """
    read, noted = _reader(task)
    tables = find_tables(settings)
    if read is read_pairs:
        settings = in_one_direction(tables["train"], settings)
    splits = {name: _split(table, read(table, settings)) for name, table in tables.items()}
    warnings = shared_texts({name: _by_source(splits[name]) for name in SPLITS if name in splits})
    notes = [
        noted(tables["train"], settings),
        *cut_missing_splits(splits, settings, _cut, "each source on one side"),
    ]
    for note in notes:
        _log.info("%s", note)
    for warning in warnings:
        _log.warning("%s", warning)
    return GenerationData(
        train=splits["train"],
        validation=splits["validation"],
        test=splits["test"],
        further={name: split for name, split in splits.items() if name not in SPLITS},
        sha256=generation_fingerprint(splits["train"].examples),
        notes=tuple(notes),
        warnings=tuple(warnings),
    )


def load_generation_split(settings: DataSettings, task: str, split: str = "test") -> GenerationSplit:
    """The examples of `split`, or of the only split there is: for a model that is trained already.

    Raises DataError as `load_generation_data` does.
    """
    read, _ = _reader(task)
    table = only_table(read_data(settings), split, settings.path)
    return _split(table, read(table, settings))


def generation_fingerprint(examples: Sequence[Example]) -> str:
    """The sha256, in hexadecimal, of each example's source or conversation and its targets, as lines of JSON.

    The file's format, its name and other columns do not count.
    """
    digest = hashlib.sha256()
    for example in examples:
        given = [message.to_json() for message in example.messages] if example.messages else example.source
        line = json.dumps([given, list(example.targets)], ensure_ascii=False, separators=(",", ":"))
        digest.update(line.encode() + b"\n")
    return digest.hexdigest()


def _reader(task: str) -> tuple[_Read, _Note]:
    """How the rows of a task's tables are read, and what tells which columns were."""
    if task in _READERS:
        return _READERS[task]
    raise DataError(f"the task {task!r} generates no text; those that do are {', '.join(_READERS)}")


def _split(table: Table, examples: Sequence[Example]) -> GenerationSplit:
    if not examples:
        raise DataError(f"{table.source}: holds no examples")
    return GenerationSplit(
        examples, table.source, rows_numbered(table, [example.row for example in examples])
    )


def _cut(
    train: GenerationSplit, fraction: float, seed: int, name: str
) -> tuple[GenerationSplit, GenerationSplit]:
    """`train` without a share of about `fraction`, and that share, all rows of one source on one side."""
    numbered = replace(_by_source(train), rows=list(range(len(train))))
    kept, cut = (
        GenerationSplit(
            [train.examples[position] for position in part.rows], train.source, train.table.take(part.rows)
        )
        for part in cut_off(numbered, fraction, seed, name)
    )
    return kept, cut


def _by_source(split: GenerationSplit) -> Examples:
    """A split as unlabelled texts, by which it is cut and compared."""
    return Examples(
        split.source,
        [_asked(example) for example in split.examples],
        [()] * len(split),
        [example.row for example in split.examples],
    )


def _asked(example: Example) -> str:
    """What an example asks: its source, the turns before the answer, or where there is nothing else its text."""
    if example.messages:
        return "\n".join(f"{message.role}: {message.content}" for message in example.messages)
    return example.source or example.targets[0]
