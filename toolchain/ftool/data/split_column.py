"""Divide a table by a column that names the split of each row, such as `split` or `is_valid`."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from ftool.data.cells import is_missing
from ftool.data.splits import SPLITS, split_called
from ftool.data.table import Cell, Row, Table

_NAMED = re.compile(r"(data)?(set|split|subset|partition|fold)(type|name)?")  # without case and punctuation
_FLAGS = {"isvalid": "validation", "isval": "validation", "isvalidation": "validation", "isdev": "validation",
          "istest": "test"}  # fmt: skip
_NOTHING: dict[str, Any] = {"warnings": (), "notes": ()}
_TRUTH = {"true": True, "1": True, "1.0": True, "false": False, "0": False, "0.0": False}


def divided(tables: Mapping[str, Table]) -> dict[str, Table]:
    """Return the tables, with the only one, "all", divided by its column of split names, if it has one.

    In such a column every cell is the name of a split, and some are "train"; or the column is called like `is_valid`
    and holds True and False. The column is left out, and a note says so. If a column holds other values beside names of
    splits, or if another column is used, a warning says that this column is not.
    """
    table = tables.get("all")
    if table is None:
        return dict(tables)
    named = {
        name: splits
        for name, count in Counter(table.columns).items()
        if count == 1 and (splits := _splits_of(table, name)) is not None and "train" in splits
    }
    used = next((name for name, splits in named.items() if None not in splits), None)
    unused = [_unused(table, name, splits) for name, splits in named.items() if name != used]
    table = replace(table, warnings=(*table.warnings, *unused))
    if used is None:
        return {"all": table}
    place = table.columns.index(used)
    kept = replace(
        table,
        columns=_without(table.columns, place),
        rows=[Row(row.number, _without(row.cells, place)) for row in table.rows],
    )
    note = f"{table.source}: splits from the column {used!r}"
    parts = {}
    for split in SPLITS:
        places = [place for place, one in enumerate(named[used]) if one == split]
        if places:
            about = (
                {"warnings": kept.warnings, "notes": (*kept.notes, note)} if split == "train" else _NOTHING
            )
            parts[split] = replace(kept.take(places), source=f"{table.source} ({split})", **about)
    return parts


def _without(cells: tuple[Cell, ...], place: int) -> tuple[Cell, ...]:
    return cells[:place] + cells[place + 1 :]


def _splits_of(table: Table, name: str) -> list[str | None] | None:
    """Return the split that each cell names, None for a cell that names none; None if the name is no such column's.

    Empty rows, and rows that repeat the header, count as training rows: they are left out later.
    """
    plain = re.sub(r"[\W_]", "", name.lower())
    if plain not in _FLAGS and not _NAMED.fullmatch(plain):
        return None
    splits: list[str | None] = []
    for row, cell in zip(table.rows, table.cells(name), strict=True):
        value = str(cell).strip().lower()
        if all(map(is_missing, row.cells)) or row.cells == table.columns:
            splits.append("train")
        elif plain in _FLAGS:
            truth = _TRUTH.get(value)
            splits.append(None if truth is None else _FLAGS[plain] if truth else "train")
        else:
            splits.append(split_called(value))
    return splits


def _unused(table: Table, name: str, splits: Sequence[str | None]) -> str:
    others = [
        (row.number, cell)
        for row, cell, split in zip(table.rows, table.cells(name), splits, strict=True)
        if split is None
    ]
    if not others:
        return f"{table.source}: the column {name!r} names splits too, and is not used"
    number, cell = others[0]
    what = "no split" if is_missing(cell) else f"{str(cell)[:40]!r}"
    return (
        f"{table.source}: the column {name!r} names splits, but {len(others)} of {len(splits)} rows name none (row "
        f"{number}: {what}); the column is not used"
    )
