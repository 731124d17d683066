"""Read folders with one file for each text as tables: `spam/1.txt`, or `train/spam/1.txt`. The folder is the label."""

from collections.abc import Sequence

from ftool.data.sources.files import DataFile
from ftool.data.splits import split_called
from ftool.data.table import Row, Table
from ftool.errors import DataError

_UNLABELLED = ("unsup", "unlabeled", "unlabelled")  # folders of texts without a label, as in the IMDB reviews


def read_class_folders(source: str, files: Sequence[DataFile]) -> dict[str, Table]:
    """Return a dict from split name to table of texts and labels, empty if the folders are not classes.

    Each file holds one text. The innermost folder of a file is its label, and the folder around it its split; the only
    key is "all" if there is no such folder. Empty files and folders of texts without a label are left out, with a
    warning. Row numbers are positions, in the order of the names. Raises DataError if a file is not text.
    """
    by_split: dict[str, list[tuple[str, DataFile]]] = {}
    for file in files:
        *around, label = file.folder.split("/")
        split = split_called(around[-1]) if around else "all"
        if label and split is not None and not (not around and split_called(label)):
            by_split.setdefault(split, []).append((label, file))
    if "all" in by_split and len(by_split) > 1:
        del by_split["all"]
    if any(len({label for label, _ in found}) < 2 for found in by_split.values()):
        return {}
    return {
        split: _table(source if split == "all" else f"{source} ({split})", found)
        for split, found in by_split.items()
    }


def _table(source: str, files: Sequence[tuple[str, DataFile]]) -> Table:
    rows: list[Row] = []
    empty: list[str] = []
    guessed: list[str] = []
    skipped = {label for label, _ in files if label.lower() in _UNLABELLED}
    for label, file in files:
        if label in skipped:
            continue
        if not file.read().strip():
            empty.append(file.source)
            continue
        rows.append(Row(len(rows) + 1, (file.text.strip("\r\n"), label, file.source)))
        guessed += file.warnings
    warnings = [
        f"{source}: the texts in {', '.join(sorted(skipped))} have no label and were left out"
        if skipped
        else "",
        f"{source}: {len(empty)} empty files were left out (first: {empty[0]})" if empty else "",
        f"{source}: {len(guessed)} files are not UTF-8; the first: {guessed[0]}" if guessed else "",
    ]
    if not rows:
        raise DataError(f"{source}: holds no text with a label")
    return Table(source, ("text", "label", "file"), rows, warnings=tuple(filter(None, warnings)))
