"""Which columns hold what goes in and what should come out, and which way a translation goes."""

from collections.abc import Mapping, Sequence

from ftool.data.columns import find_column
from ftool.data.table import Table
from ftool.data.types import DataError
from ftool.recipe.data_settings import DataSettings

SOURCE_COLUMNS = (
    "source", "src", "source_text", "document", "documents", "article", "dialogue", "dialog", "transcript",
    "text", "input", "content", "body", "written",
)  # fmt: skip
TARGET_COLUMNS = (
    "target", "tgt", "target_text", "summary", "summaries", "highlights", "tldr", "abstract", "translation",
    "translations", "reference", "references", "output", "headline", "title",
)  # fmt: skip
_TRANSLATIONS = ("translation", "translations")  # the hub's column of objects, a text by language

# Codes of two letters that data sets use, so that the columns `id` and `no` are not taken for Indonesian and Norwegian
# unless the recipe says so.
_LANGUAGES = frozenset((
    "af", "am", "ar", "az", "be", "bg", "bn", "bs", "ca", "cs", "cy", "da", "de", "el", "en", "eo", "es", "et",
    "eu", "fa", "fi", "fr", "ga", "gl", "gu", "ha", "he", "hi", "hr", "hu", "hy", "ig", "is", "it", "ja", "jv",
    "ka", "kk", "km", "kn", "ko", "ku", "ky", "la", "lb", "lo", "lt", "lv", "mg", "mi", "mk", "ml", "mn", "mr",
    "ms", "mt", "my", "ne", "nl", "or", "pa", "pl", "ps", "pt", "ro", "ru", "rw", "sd", "si", "sk", "sl", "so",
    "sq", "sr", "sv", "sw", "ta", "te", "tg", "th", "tk", "tr", "tt", "uk", "ur", "uz", "vi", "xh", "yi", "yo",
    "zh", "zu", "eng", "cmn", "zho", "deu", "fra", "spa", "jpn", "kor", "rus", "ara", "hin", "por", "ita",
    "swa",
))  # fmt: skip


def pair_columns(table: Table, settings: DataSettings) -> tuple[str, str]:
    """The names of the columns of sources and targets.

    They are those that the settings name; else the two of language codes; else the usual ones. Raises DataError for a
    column that is not there.
    """
    codes = language_pair(table.columns, settings)
    source = settings.source or (codes and codes[0])
    target = settings.target or (codes and codes[1])
    return (
        table.columns[find_column(table, source or None, SOURCE_COLUMNS, "sources", "--source-column")],
        table.columns[find_column(table, target or None, TARGET_COLUMNS, "targets", "--target-column")],
    )


def spread_translations(table: Table) -> Table:
    """The table with the hub's column of objects, `{"en": …, "zh": …}`, spread into a column a language."""
    for name in _TRANSLATIONS:
        if name in table.columns:
            position = table.columns.index(name)
            if table.rows and isinstance(table.rows[0].cells[position], Mapping):
                return _spread(table, position)
    return table


def language_pair(names: Sequence[str], settings: DataSettings) -> tuple[str, str] | None:
    """The columns called by language codes, the source's first; None where there are not two to tell.

    Where the settings name no language the columns' order is the direction.
    """
    source = _called(names, settings.source_language)
    target = _called(names, settings.target_language)
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
        type(row)(row.number, (*(value.get(key) for key in languages), *(row.cells[i] for i in others)))
        for row, value in zip(table.rows, objects, strict=True)
    ]
    return Table(table.source, (*languages, *(table.columns[i] for i in others)), rows)


def _called(names: Sequence[str], language: str | None) -> str | None:
    """The column for a language: its very code, or the only one with the same first part (`zh` for `zh_CN`)."""
    if language is None:
        return None
    if language in names:
        return language
    alike = [name for name in names if _primary(name) == _primary(language)]
    return alike[0] if len(alike) == 1 else None


def _primary(code: str) -> str:
    return code.lower().replace("-", "_").partition("_")[0]
