"""Data to train and judge embeddings by, from its settings: read, checked and split."""

import hashlib
import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace

from ftool.data.examples import Examples
from ftool.data.overlaps import shared_texts
from ftool.data.rows.numbers import refuse_constant
from ftool.data.rows.similarity import SimilarityColumns, columns_note, read_similarity, similarity_columns
from ftool.data.similarity import SimilarityData, SimilarityExample, SimilaritySplit
from ftool.data.sources.find import find_tables, only_table, read_data
from ftool.data.split_names import SPLITS
from ftool.data.splitting import cut_missing_splits, cut_off, same_text
from ftool.data.table import Table, rows_numbered
from ftool.data.types import DataError
from ftool.recipe.data_settings import DataSettings

_log = logging.getLogger(__name__)

_CONNECTED_AT_MOST = 0.3  # of the rows in one group that can't be divided, for groups to be told by all texts


def load_similarity_data(settings: DataSettings) -> SimilarityData:
    """The data that `settings` describes, for feature-extraction.

    A validation or test split that the data lacks is cut off its training rows. Rows that share a text, whatever its
    role, stay on one side; where nearly all hang together so, rows that share an anchor do. Raises DataError naming
    the file, row or column for what can't be used.
    """
    tables = find_tables(settings)
    columns = {name: similarity_columns(table, settings) for name, table in tables.items()}
    _refuse_other_kinds(tables, columns)
    splits = {name: _split(table, columns[name]) for name, table in tables.items()}
    warnings = _shared(splits)
    refuse_constant(splits["train"].source, splits["train"].scores)
    groups, how = _groups(splits["train"].examples)
    cut = _Cutter(groups)
    notes = [columns_note(tables["train"], columns["train"]), *cut_missing_splits(splits, settings, cut, how)]
    for note in notes:
        _log.info("%s", note)
    for warning in warnings:
        _log.warning("%s", warning)
    return SimilarityData(
        train=splits["train"],
        validation=splits["validation"],
        test=splits["test"],
        sha256=similarity_fingerprint(splits["train"].examples),
        notes=tuple(notes),
        warnings=tuple(warnings),
    )


def load_similarity_split(settings: DataSettings, split: str = "test") -> SimilaritySplit:
    """The examples of `split`, or of the only split there is: for a model that is trained already.

    Raises DataError as `load_similarity_data` does.
    """
    table = only_table(read_data(settings), split, settings.path)
    return _split(table, similarity_columns(table, settings))


def similarity_fingerprint(examples: Sequence[SimilarityExample]) -> str:
    """The sha256, in hexadecimal, of each example's texts and score, as lines of JSON.

    The file's format, its name and other columns do not count.
    """
    digest = hashlib.sha256()
    for example in examples:
        line = json.dumps([*example.texts, example.score], ensure_ascii=False, separators=(",", ":"))
        digest.update(line.encode() + b"\n")
    return digest.hexdigest()


class _Cutter:
    """Cuts a split off the training examples, no group of them divided."""

    def __init__(self, groups: Mapping[int, str]) -> None:
        """`groups` has a text for the position of each example; those with the same one stay together."""
        self._groups = dict(groups)

    def __call__(
        self, train: SimilaritySplit, fraction: float, seed: int, name: str
    ) -> tuple[SimilaritySplit, SimilaritySplit]:
        positions = list(range(len(train)))
        texts = [self._groups[position] for position in positions]
        whole = Examples(train.source, texts, [()] * len(train), positions)
        kept, cut = cut_off(whole, fraction, seed, name)
        self._groups = {new: self._groups[old] for new, old in enumerate(kept.rows)}
        first, second = (
            replace(
                train,
                examples=[train.examples[position] for position in part.rows],
                table=train.table.take(part.rows),
            )
            for part in (kept, cut)
        )
        return first, second


def _groups(examples: Sequence[SimilarityExample]) -> tuple[dict[int, str], str]:
    """For the position of each example the text that names its group, and what groups have in common."""
    leader: dict[str, str] = {}

    def find(text: str) -> str:
        root = text
        while leader.setdefault(root, root) != root:
            root = leader[root]
        while leader[text] != root:
            leader[text], text = root, leader[text]
        return root

    for example in examples:
        first, *others = (same_text(text) for text in example.texts)
        for other in others:
            one, two = sorted((find(first), find(other)))
            leader[two] = one
    groups = {position: find(same_text(example.anchor)) for position, example in enumerate(examples)}
    sizes: dict[str, int] = {}
    for group in groups.values():
        sizes[group] = sizes.get(group, 0) + 1
    if max(sizes.values()) <= max(2, _CONNECTED_AT_MOST * len(examples)):
        return groups, "rows that share a text on one side"
    return dict(
        enumerate(e.anchor for e in examples)
    ), "each anchor on one side; other texts may be on several"


def _split(table: Table, columns: SimilarityColumns) -> SimilaritySplit:
    examples = read_similarity(table, columns)
    if not examples:
        raise DataError(f"{table.source}: holds no examples")
    rows = rows_numbered(table, [example.row for example in examples])
    return SimilaritySplit(examples, table.source, columns.kind, rows)


def _refuse_other_kinds(tables: Mapping[str, Table], columns: Mapping[str, SimilarityColumns]) -> None:
    for name, found in columns.items():
        if (found.score is None) != (columns["train"].score is None):
            raise DataError(
                f"{tables[name].source}: its rows are {found.kind}, those of {tables['train'].source} are "
                f"{columns['train'].kind}; give both scores, or neither"
            )


def _shared(splits: Mapping[str, SimilaritySplit]) -> list[str]:
    return shared_texts({name: _by_anchor(splits[name]) for name in SPLITS if name in splits})


def _by_anchor(split: SimilaritySplit) -> Examples:
    """A split as unlabelled texts, by which it is compared."""
    return Examples(
        split.source,
        [example.anchor for example in split.examples],
        [()] * len(split),
        [example.row for example in split.examples],
    )
