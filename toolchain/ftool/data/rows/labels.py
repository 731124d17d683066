"""Example class and row reader for texts, or pairs of texts, with labels or regression targets."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

from ftool.data.cells import BadRows, column_texts, listed_rows, refuse_constant
from ftool.data.columns import LABEL, find_column, optional_column, text_columns
from ftool.data.dataset import Example, Split
from ftool.data.label_policy import ModelFacts, refuse_unknown
from ftool.data.missing_words import doubtful_labels
from ftool.data.rows.base import RowReader, first_of
from ftool.data.rows.incomplete import Refusals, complete_rows
from ftool.data.rows.label_cells import label_cells
from ftool.data.rows.label_columns import join_label_columns, label_columns
from ftool.data.rows.label_names import read_label_names
from ftool.data.rows.number_cells import are_scores, are_shares, number_cells, several_in, with_decimal_points
from ftool.data.rows.unlabelled import placeholder_of, without_placeholder
from ftool.data.table import Cell, Table
from ftool.data.two_columns import ignored_columns, with_only_columns
from ftool.errors import DataError
from ftool.recipe.data_settings import DataSettings
from ftool_runtime.errors import nearest

_SEPARATORS = (",", ";", "|", "/", "+")  # that may stand between several labels of a text
_IF_NAMES = "; if they are names, such as versions 1.1 and 1.10, set data.regression = false"
_DECIMAL_COMMA = re.compile(r"[+-]?\d+,\d+")


@dataclass(frozen=True, slots=True)
class LabelledText(Example):
    """One text or a pair of texts, with label names or regression targets.

    Attributes:
        text: the text, or the first text of a pair.
        labels: exactly one label name; in multi-label data, any number of label names; empty if there are `scores`.
        pair: the second text; None if examples have one text.
        scores: the regression targets, one for each output; empty if examples have labels.
    """

    text: str
    labels: tuple[str, ...] = ()
    pair: str | None = None
    scores: tuple[float, ...] = ()

    @property
    def input(self) -> Any:
        """The text; for a pair, a dict with the keys "text" and "text_pair"."""
        return self.text if self.pair is None else {"text": self.text, "text_pair": self.pair}

    @property
    def key(self) -> str:
        """The text; for a pair, both texts, joined by a line break."""
        return self.text if self.pair is None else f"{self.text}\n{self.pair}"

    @property
    def group(self) -> str:
        """The text; for a pair, the first text."""
        return self.text

    @property
    def classes(self) -> tuple[str, ...]:
        """The label names; empty if the example has regression targets."""
        return self.labels

    @property
    def numbers(self) -> tuple[float, ...]:
        """The regression targets; empty if the example has labels."""
        return self.scores

    def with_classes_renamed(self, names: Mapping[str, str]) -> Self:
        """Return the example with each label called `names[label]`; a label that is not in `names` keeps its name."""
        return replace(self, labels=tuple(dict.fromkeys(names.get(label, label) for label in self.labels)))

    @property
    def content(self) -> list[Any]:
        """A list of the text (for a pair, both texts), followed by the label names, the number, or the numbers."""
        answer = list(self.scores or self.labels) if len(self.scores) != 1 else self.scores[0]
        return [*([self.text] if self.pair is None else [self.text, self.pair]), answer]


class LabelReader(RowReader[LabelledText]):
    """Reads rows of labelled texts.

    The settings say whether the label column holds labels or regression targets; if they do not, the cells decide.
    """

    labelled = True

    def __init__(
        self, tables: Mapping[str, Table], settings: DataSettings, model: ModelFacts | None = None
    ) -> None:
        if model is not None:
            settings = replace(settings, multi_label=model.multi_label, regression=model.regression)
        joined = join_label_columns(tables, settings, model)
        tables, settings, self._label_columns = joined.tables, joined.settings, joined.names
        chosen = with_only_columns(settings, first_of(tables))
        self._only_columns = chosen is not settings
        settings = chosen
        if model is None or model.regression:
            tables = with_decimal_points(tables, LABEL, settings.label, settings)
        known = () if model is None else tuple(model.labels)
        if not settings.regression and (model is None or not {"-", "-1"} & set(model.labels)):
            tables = _labelled(tables, settings)
        super().__init__(tables, settings, model)
        self._found_numbers = False  # whether the cells decide that they are numbers
        if settings.regression is None:
            settings = self.settings = replace(settings, regression=_is_regression(settings, tables))
            self._found_numbers = True
        self._numbers = (
            number_cells(settings, tables, model, self._label_columns) if settings.regression else None
        )
        self._labels = None if settings.regression else label_cells(settings, tables, known)
        if self._labels is not None:
            if self._labels.names is None and model is not None and _unnamed(model.labels):
                self._labels = replace(self._labels, names=dict(enumerate(model.labels)))
            if model is not None and any(label.endswith(".0") for label in model.labels):
                self._labels = replace(self._labels, floats=False)
            self.kept_together = "stratified by label"
            if self._labels.multi_label:
                self.warnings += self._missing_warnings()

    def _missing_warnings(self) -> list[str]:
        """Return a warning for each table of texts with several labels in which a word stands for a missing label."""
        assert self._labels is not None
        warnings = []
        for table in self.tables.values():
            cells = table.cells(find_column(table, LABEL, self.settings.label))
            rows = {
                number: cell
                for number, cell in zip(table.numbers, cells, strict=True)
                if self._labels.is_missing(cell)
            }
            if rows:
                warnings.append(
                    f"{table.source}: {listed_rows(list(rows))} with the label {next(iter(rows.values()))!r}, which "
                    "stands for a missing one: read as no label"
                )
        return warnings

    @classmethod
    def answer_columns(cls, table: Table, settings: DataSettings) -> tuple[str, ...]:
        """Return the column of labels or numbers, or the columns of several."""
        joined = label_columns(table, settings)
        if joined:
            return joined
        found = optional_column(table, LABEL, with_only_columns(settings, table).label)
        return () if found is None else (found,)

    def read(self, table: Table) -> Split[LabelledText]:
        """Return the texts of a table with their label names or regression targets."""
        first, second = self._text_columns(table)
        label = find_column(table, LABEL, self.settings.label)
        if self.settings.skip_incomplete:
            table = self._complete(table, first, second, label)
        found = Refusals(table.source)
        texts = found.of(lambda: column_texts(table, first))
        pairs = found.of(lambda: None if second is None else column_texts(table, second, "second text"))
        count = len(table.rows)
        seconds: Sequence[str | None] = pairs or [None] * count
        rows = zip(table.numbers, texts or [""] * count, seconds, strict=True)
        if self._labels is None:
            assert self._numbers is not None
            scores = zip(rows, self._numbers.read(table, label), strict=True)
            examples = [
                LabelledText(text, pair=pair, scores=several, row=row)
                for (row, text, pair), several in scores
            ]
        else:
            examples, bad = [], BadRows()
            for (row, text, pair), cell in zip(rows, table.cells(label), strict=True):
                try:
                    labels = self._labels.read(cell, table.source, row)
                except DataError as error:
                    bad.add(row, error)
                else:
                    examples.append(LabelledText(text, labels, pair, row=row))
            found.of(bad.refuse)
        found.refuse()
        return Split(examples, table.source, table)

    def _complete(self, table: Table, first: str, second: str | None, label: str) -> Table:
        """Return a table without the rows that lack a text or, unless texts have any number of labels, a label."""
        columns = {"text": first, **({} if second is None else {"second text": second})}
        if self._labels is None or not self._labels.multi_label:
            columns["number" if self._labels is None else "label"] = label
        further = {} if self._labels is None else {label: self._labels.is_missing}
        table, warnings = complete_rows(table, columns, further)
        self.warnings += warnings
        return table

    def input_columns(self) -> Mapping[str, str]:
        """Return the columns of the fields "text" and, of pairs, "text_pair"."""
        first, second = self._text_columns(self.first)
        return {"text": first, **({} if second is None else {"text_pair": second})}

    def note(self) -> str:
        """Return a line that names the column or columns of texts and the column of labels or regression targets."""
        table = self.first
        first, second = self._text_columns(table)
        texts = f"column {first!r}" if second is None else f"columns {first!r} and {second!r}"
        what = "regression targets (data.regression)" if self._labels is None else "labels"
        label = repr(find_column(table, LABEL, self.settings.label))
        columns = ", ".join(map(repr, self._label_columns))
        if columns:
            label = (
                f"the columns {columns}"
                if self._labels is None
                else f"the columns of zeros and ones, {columns}"
            )
        form = self._numbers_form() if self._labels is None else self._labels.form
        used = (first, second, find_column(table, LABEL, self.settings.label))
        only = f"; {ignored_columns(table, used)}" if self._only_columns else ""
        return f"{table.source}: texts from the {texts}, {what} from {label}{form}{only}"

    def _numbers_form(self) -> str:
        """Return a phrase that names the numbers; empty for one number, or if they are called like their columns."""
        assert self._numbers is not None
        names = self._numbers.names
        if not names or names == self._label_columns:
            return ""
        how = "; name them with --label-names" if self._numbers.unnamed and self.model is None else ""
        return f", as {', '.join(names)}{how}"

    def finish(self, splits: dict[str, Split[LabelledText]]) -> dict[str, Split[LabelledText]]:
        """Return the splits unchanged.

        Raises DataError if some splits have single texts and others have pairs, or if the splits have single texts and
        the model needs pairs.
        """
        train = first_of(splits)
        for split in splits.values():
            if _pairs(split) != _pairs(train):
                raise DataError(
                    f"{split.source}: has {'two texts' if _pairs(split) else 'one text'} per row, unlike "
                    f"{train.source}; name the columns with --text-column and --pair-column"
                )
        if self._labels is not None and not self._labels.multi_label:
            self.warnings += _joined_labels(train)
        if self._labels is not None and self.model is None:
            names = [*(self._labels.names or {}).values(), self.settings.none_label]
            self.warnings += doubtful_labels(train, filter(None, names))
        if self.model is not None and self.model.pairs and not _pairs(train):
            raise DataError(
                f"{train.source}: the model takes two texts; name the column of the second with --pair-column NAME"
            )
        return splits

    def labels(self, splits: Mapping[str, Split[LabelledText]]) -> tuple[str, ...]:
        """Return the labels of the training examples; for regression, the names of several numbers.

        The order is that of the label names which a file or the source gives, if any; otherwise, the labels are sorted,
        by value if all are numbers. Raises DataError if there are fewer than two labels, or if another split has a
        label that no training example has.
        """
        if self._labels is None:
            if self.settings.none_label is not None:
                raise DataError("data.none_label is for labels, but this data has numbers; leave it out")
            assert self._numbers is not None
            return self._numbers.names
        train, named, none = splits["train"], self._labels.names, self.settings.none_label
        trained = {label for example in train.examples for label in example.labels} - {none}
        if none is not None:
            self._check_none(none, splits)
        for split in splits.values():
            refuse_unknown(split, self.known_classes([*trained]), f"no training example has ({train.source})")
        if len(trained) < 2:
            has = f"only one label, {next(iter(trained))!r}" if trained else "no label at all"
            raise DataError(
                f"{train.source}: the training examples have {has}; a classifier needs two or more"
            )
        if unused := [name for name in (named or {}).values() if name not in trained and name != none]:
            self.warnings.append(
                f"no training example has the label {', '.join(unused)}; the model won't know it"
            )
        if named is not None:
            return tuple(name for name in named.values() if name in trained)
        return tuple(sorted(trained, key=int if all(label.isdecimal() for label in trained) else None))

    def known_classes(self, labels: Sequence[str]) -> Sequence[str]:
        """Return the labels, and the label of texts that none of them fits, if there is one; empty for regression."""
        if self._labels is None:
            return ()
        none = self.settings.none_label
        return labels if none is None else [*labels, none]

    def set_aside(self, split: Split[LabelledText]) -> Split[LabelledText]:
        """Return the split without the texts that none of the labels fits, which are in `Split.outside`."""
        none = (self.settings.none_label,)
        outside = [one for one in split.examples if one.labels == none]
        if not outside:
            return split
        kept = split.take([place for place, one in enumerate(split.examples) if one.labels != none])
        return replace(kept, outside=outside)

    def _check_none(self, none: str, splits: Mapping[str, Split[LabelledText]]) -> None:
        """Raise DataError if texts can have several labels, or if no text has the label `none`."""
        assert self._labels is not None
        if self._labels.multi_label:
            raise DataError(
                f"data.none_label is {none!r}, but a text can have several labels here, or none; leave it out"
            )
        found = {label for split in splits.values() for one in split.examples for label in one.labels}
        if none not in found:
            near = nearest(none, found)
            hint = "" if near is None else f"; did you mean {near!r}?"
            raise DataError(
                f"{splits['train'].source}: no example has the label {none!r} (data.none_label){hint}"
            )

    def _text_columns(self, table: Table) -> tuple[str, str | None]:
        """Return the names of the text column and of the second text column.

        The second name is None if the table or the model has only one text. Raises DataError if the model takes one
        text and the settings name a second text column.
        """
        first, second = text_columns(table, self.settings.text, self.settings.text_pair)
        if self.model is None or self.model.pairs is not False:
            return first, second
        if self.settings.text_pair is not None:
            raise DataError(f"{table.source}: the model takes one text; leave --pair-column out")
        return first, None

    def facts(self, train: Split[LabelledText]) -> Mapping[str, Any]:
        """Return the facts `multi_label`, `regression` and `pairs`, and the names of several numbers as `numbers`.

        Raises DataError if a number is the same in all examples.
        """
        names = () if self._numbers is None else self._numbers.names
        columns = zip(*(one.scores for one in train.examples), strict=True)
        for place, scores in enumerate(columns):
            what = f"numbers {names[place]!r}" if names else "scores"
            refuse_constant(train.source, scores, what, _IF_NAMES if self._found_numbers else "")
        return {
            **({"numbers": list(names)} if names else {}),
            "multi_label": self._labels is not None and self._labels.multi_label,
            "regression": self._labels is None,
            "pairs": _pairs(train),
        }


def _labelled(tables: Mapping[str, Table], settings: DataSettings) -> Mapping[str, Table]:
    """Return the tables without the rows whose label stands for none."""
    named = settings.label_names is not None
    if named and -1 in read_label_names(str(settings.label_names)):
        return tables
    columns = {split: find_column(table, LABEL, settings.label) for split, table in tables.items()}
    placeholder = placeholder_of([(table, columns[split]) for split, table in tables.items()], named=named)
    return {split: without_placeholder(table, columns[split], placeholder) for split, table in tables.items()}


def _joined_labels(split: Split[LabelledText]) -> list[str]:
    """Return a list with one warning if some labels seem to be several, with a separator between them; else no warning.

    Their parts are labels too; or most labels have such parts, and most parts come back in another label.
    """
    labels = list(dict.fromkeys(label for one in split.examples for label in one.labels))
    with_comma = [label for label in labels if _DECIMAL_COMMA.fullmatch(label)]
    if len(with_comma) > len(labels) / 2:
        return [
            f"{split.source}: labels such as {with_comma[0]!r} look like numbers with a decimal comma, and are "
            "read as names; write them with a point, or, if they are several labels, use --label-separator ','"
        ]
    for separator in _SEPARATORS:
        parts_of = {label: _parts(label, separator) for label in labels if separator in label}
        joined = [label for label, parts in parts_of.items() if all(part in labels for part in parts)]
        if joined:
            what = f"are other labels with {separator!r} between them, and"
        elif 2 * len(parts_of) > len(labels) and _come_back(parts_of.values()):
            joined, what = list(parts_of), f"seem to be several labels with {separator!r} between them, but"
        else:
            continue
        listed = ", ".join(map(repr, joined[:3]))
        return [
            f"{split.source}: labels such as {listed} {what} are read as labels of their own; with "
            f"--label-separator '{separator}' a text has several labels"
        ]
    return []


def _parts(label: str, separator: str) -> list[str]:
    return [part.strip() for part in label.split(separator)]


def _come_back(labels: Iterable[Sequence[str]]) -> bool:
    """Whether most of the parts of labels are parts of several labels."""
    counts = Counter(part for parts in labels for part in dict.fromkeys(parts))
    return sum(count > 1 for count in counts.values()) > len(counts) / 2


def _unnamed(labels: Sequence[str]) -> bool:
    """Whether a checkpoint's labels have the names that transformers gives to outputs without a name."""
    return all(label == f"LABEL_{number}" for number, label in enumerate(labels))


def _pairs(split: Split[LabelledText]) -> bool:
    return bool(split.examples) and split.examples[0].pair is not None


def _is_regression(settings: DataSettings, tables: Mapping[str, Table]) -> bool:
    """Whether the cells of the label column are scores or lists of scores, as `are_scores` and `are_shares` decide."""
    if settings.label_separator or settings.multi_label:
        return False
    cells: list[Cell] = []
    for table in tables.values():
        column = find_column(table, LABEL, settings.label)
        if column in table.class_names:
            return False
        cells += table.cells(column)
    lists = any(several_in(cell) is not None for cell in cells)
    return (lists or settings.label_names is None) and are_scores(cells) and not are_shares(cells)
