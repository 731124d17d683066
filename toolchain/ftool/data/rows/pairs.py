"""Row reader for summarization and translation. Each row holds a source text and one or more target texts."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from ftool.data.cells import checked_texts, column_references
from ftool.data.columns import SOURCE, TARGET, TRANSLATIONS, find_column
from ftool.data.dataset import Split
from ftool.data.label_policy import ModelFacts
from ftool.data.rows.base import RowReader
from ftool.data.rows.generation import GenerationExample
from ftool.data.table import Cell, Row, Table
from ftool.errors import DataError
from ftool.recipe.data_settings import DataSettings

# Language codes that data sets use as column names. `id` and `no` are left out, so that columns with these names are
# not taken for Indonesian and Norwegian unless the recipe says so.
_LANGUAGES = frozenset((
    "af", "am", "ar", "az", "be", "bg", "bn", "bs", "ca", "cs", "cy", "da", "de", "el", "en", "eo", "es", "et",
    "eu", "fa", "fi", "fr", "ga", "gl", "gu", "ha", "he", "hi", "hr", "hu", "hy", "ig", "is", "it", "ja", "jv",
    "ka", "kk", "km", "kn", "ko", "ku", "ky", "la", "lb", "lo", "lt", "lv", "mg", "mi", "mk", "ml", "mn", "mr",
    "ms", "mt", "my", "ne", "nl", "or", "pa", "pl", "ps", "pt", "ro", "ru", "rw", "sd", "si", "sk", "sl", "so",
    "sq", "sr", "sv", "sw", "ta", "te", "tg", "th", "tk", "tr", "tt", "uk", "ur", "uz", "vi", "xh", "yi", "yo",
    "zh", "zu", "eng", "cmn", "zho", "deu", "fra", "spa", "jpn", "kor", "rus", "ara", "hin", "por", "ita",
    "swa",
))  # fmt: skip


class PairReader(RowReader[GenerationExample]):
    """Reads a source text and one or more targets from each row.

    The columns are those that the settings name. Otherwise, they are two columns whose names are language codes or, if
    there are none, columns with usual names. Every split is read in the direction of the training table (such as
    English to Chinese), even if the order of columns differs.
    """

    kept_together = "each source on one side"

    def __init__(
        self, tables: Mapping[str, Table], settings: DataSettings, model: ModelFacts | None = None
    ) -> None:
        if "train" in tables:
            settings = _in_one_direction(tables["train"], settings)
        super().__init__(tables, settings, model)

    def read(self, table: Table) -> Split[GenerationExample]:
        """Return one example for each row.

        If a source is a list of sentences, they are joined by spaces. If a target is a list of texts, each is a
        reference answer.
        """
        spread = _spread_translations(table)
        source, target = self._columns(spread)
        sources = joined_texts(spread, source, "source")
        targets = column_references(spread, target, "target")
        examples = [
            GenerationExample(text, references, row=number)
            for text, references, number in zip(sources, targets, table.numbers, strict=True)
        ]
        return Split(examples, table.source, table)

    def input_columns(self) -> Mapping[str, str]:
        """Return the column of the field "text", unless sources and targets are in the same column."""
        source, _ = self._columns(_spread_translations(self.first))
        return {"text": source} if source in self.first.columns else {}

    def note(self) -> str:
        """Return a line that names the column of sources and the column of targets."""
        source, target = self._columns(_spread_translations(self.first))
        return f"{self.first.source}: sources from the column {source!r}, targets from {target!r}"

    def _columns(self, table: Table) -> tuple[str, str]:
        source, target = _language_pair(table.columns, self.settings) or (None, None)
        return (
            find_column(table, SOURCE, self.settings.source or source),
            find_column(table, TARGET, self.settings.target or target),
        )


def joined_texts(table: Table, column: str, name: str) -> list[str]:
    """Return the text in each cell of a column; a list of sentences is joined by spaces.

    `name` is the noun for such a text in error messages. Raises DataError if `checked_texts` refuses a text.
    """
    cells = [_joined(cell) for cell in table.cells(column)]
    return checked_texts(table.source, table.numbers, cells, f"{name} (column {column!r})")


def _joined(cell: Cell) -> Cell:
    if isinstance(cell, list | tuple) and cell and all(isinstance(part, str) for part in cell):
        return " ".join(part.strip() for part in cell)
    return cell


def _in_one_direction(train: Table, settings: DataSettings) -> DataSettings:
    """Return `settings` with the source and target languages taken from the column names of the training table.

    `settings` are returned unchanged if they already name a column or a language, or if the table has no two columns
    whose names are language codes.
    """
    named = (settings.source, settings.target, settings.source_language, settings.target_language)
    found = _language_pair(_spread_translations(train).columns, settings)
    if found is None or any(name is not None for name in named):
        return settings
    return replace(settings, source_language=found[0], target_language=found[1])


def _spread_translations(table: Table) -> Table:
    """Return the table with one column per language in place of a column of objects like `{"en": …, "zh": …}`.

    Tables without such a column, which is the form of translations on the hub, are returned unchanged.
    """
    for name in TRANSLATIONS.usual:
        if name in table.columns:
            position = table.columns.index(name)
            if table.rows and isinstance(table.rows[0].cells[position], Mapping):
                return _spread(table, position)
    return table


def _language_pair(names: Sequence[str], settings: DataSettings) -> tuple[str, str] | None:
    """Return the names of the source column and the target column, if both are language codes; None if they are not.

    The settings can name one language or both. Otherwise, the columns are used in the order of `names`, the source
    first.
    """
    source = _column_of_language(names, settings.source_language)
    target = _column_of_language(names, settings.target_language)
    others = [name for name in names if _primary(name) in _LANGUAGES and name not in (source, target)]
    if source is None and settings.source_language is None and others:
        source = others.pop(0)
    if target is None and settings.target_language is None and others:
        target = others.pop(0)
    return (source, target) if source and target else None


def _spread(table: Table, position: int) -> Table:
    objects = [row.cells[position] for row in table.rows]
    for row, value in zip(table.rows, objects, strict=True):
        if not isinstance(value, Mapping):
            raise DataError(
                f"{table.source}: row {row.number} has no object of languages in {table.columns[position]!r}, "
                f"got {str(value)[:40]!r}"
            )
    languages = list(dict.fromkeys(key for value in objects for key in value))
    others = [index for index in range(len(table.columns)) if index != position]
    rows = [
        Row(row.number, (*(value.get(key) for key in languages), *(row.cells[i] for i in others)))
        for row, value in zip(table.rows, objects, strict=True)
    ]
    return Table(table.source, (*languages, *(table.columns[i] for i in others)), rows)


def _column_of_language(names: Sequence[str], language: str | None) -> str | None:
    """Return the name in `names` that equals the code `language`; else the only name with the same first part.

    For example, `zh` has the same first part as `zh_CN`. Returns None if `language` is None or no name fits.
    """
    if language is None:
        return None
    if language in names:
        return language
    matches = [name for name in names if _primary(name) == _primary(language)]
    return matches[0] if len(matches) == 1 else None


def _primary(code: str) -> str:
    return code.lower().replace("-", "_").partition("_")[0]
