"""Row reader for text generation: conversations, prompts with answers, or plain texts."""

from typing import NamedTuple

from ftool.data.cells import checked_texts, column_references, is_missing
from ftool.data.columns import (
    ANSWER,
    CONTINUATIONS,
    INPUT,
    MESSAGES,
    PLAIN_TEXT,
    PROMPT,
    SYSTEM,
    Column,
    find_column,
    listed_columns,
    optional_column,
)
from ftool.data.dataset import Split
from ftool.data.rows.base import RowReader
from ftool.data.rows.conversations import conversation, is_conversation, single_question
from ftool.data.rows.generation import GenerationExample
from ftool.data.rows.pairs import joined_texts
from ftool.data.table import Row, Table
from ftool.errors import DataError

_INSTANCES = "instances"  # self-instruct: a list of inputs and outputs for each instruction


class _Columns(NamedTuple):
    """The names of the columns to read.

    Either `messages` is set, or both `prompt` and `answer`, or `text`; the other fields are None.
    """

    messages: str | None = None
    prompt: str | None = None
    answer: str | None = None
    text: str | None = None


class PromptReader(RowReader[GenerationExample]):
    """Reads a conversation, a prompt with its answer, or a plain text from each row.

    The last turn of a conversation is the answer. If the answer column is called `completion` or `continuation`, an
    answer continues the text of its prompt. Under any other name, prompt and answer become a conversation: a question
    and its answer.
    """

    kept_together = "each source on one side"

    def read(self, table: Table) -> Split[GenerationExample]:
        """Return the examples of a table. Raises DataError, which names any row or column that can't be used."""
        spread, positions = _spread_instances(table)
        return Split(self._examples(spread), table.source, table.take(positions))

    def note(self) -> str:
        """Return a line that names the columns from which the examples are read."""
        table, _ = _spread_instances(self.first)
        columns = self._columns(table)
        if columns.messages is not None:
            return f"{table.source}: conversations from the column {columns.messages!r}"
        if columns.prompt is not None:
            kind = "plain prompts" if columns.answer in CONTINUATIONS else "questions"
            return (
                f"{table.source}: {kind} from the column {columns.prompt!r}, answers from {columns.answer!r}"
            )
        return f"{table.source}: texts from the column {columns.text!r}"

    def _examples(self, table: Table) -> list[GenerationExample]:
        columns = self._columns(table)
        if columns.messages is not None:
            return _conversations(table, columns.messages)
        if columns.prompt is not None and columns.answer is not None:
            return _answered(table, columns.prompt, columns.answer)
        texts = joined_texts(table, columns.text or "", "text")
        return [
            GenerationExample("", (text,), row=row) for text, row in zip(texts, table.numbers, strict=True)
        ]

    def _columns(self, table: Table) -> _Columns:
        settings = self.settings
        if settings.messages is not None:
            return _Columns(messages=find_column(table, MESSAGES, settings.messages))
        if settings.text is not None:
            return _Columns(text=find_column(table, PLAIN_TEXT, settings.text))
        if settings.source is not None or settings.target is not None:
            return _Columns(
                prompt=find_column(table, PROMPT, settings.source),
                answer=find_column(table, ANSWER, settings.target),
            )
        if messages := optional_column(table, MESSAGES):
            return _Columns(messages=messages)
        prompt, answer = optional_column(table, PROMPT), optional_column(table, ANSWER)
        if prompt is not None and answer is not None:
            return _Columns(prompt=prompt, answer=answer)
        if text := optional_column(table, PLAIN_TEXT):
            return _Columns(text=text)
        raise DataError(
            f"{table.source}: no columns are known to hold conversations, prompts with answers, or texts; the columns "
            f"are {listed_columns(table)}: name them with --messages-column, --source-column and --target-column, or "
            "--text-column"
        )


def _conversations(table: Table, column: str) -> list[GenerationExample]:
    found, refused = [], []
    for cell, row in zip(table.cells(column), table.numbers, strict=True):
        try:
            found.append(conversation(cell, f"{table.source}: row {row} of the column {column!r}", row))
        except DataError as error:
            refused.append(error)
    if len(refused) > 1:
        more = f"{len(refused) - 1} row{'s' if len(refused) > 2 else ''}"
        raise DataError(f"{refused[0]}; {more} more can't be used either") from refused[0]
    if refused:
        raise refused[0]
    return found


def _answered(table: Table, prompt: str, answer: str) -> list[GenerationExample]:
    if all(is_conversation(cell) for cell in table.cells(prompt) + table.cells(answer)):
        return _conversations(_joined(table, prompt, answer), "messages")
    questions = joined_texts(table, prompt, "prompt")
    answers = column_references(table, answer, "answer")
    if answer in CONTINUATIONS:
        return [
            GenerationExample(question, texts, row=row)
            for question, texts, row in zip(questions, answers, table.numbers, strict=True)
        ]
    more = _optional_texts(table, INPUT, (prompt, answer))
    systems = _optional_texts(table, SYSTEM, (prompt, answer))
    return [
        single_question(f"{question}\n\n{about}" if about.strip() else question, texts, system, row)
        for question, texts, about, system, row in zip(
            questions, answers, more, systems, table.numbers, strict=True
        )
    ]


def _joined(table: Table, prompt: str, answer: str) -> Table:
    """Return a table with one column, `messages`.

    Each cell holds the turns of the prompt, followed by the turns of the answer, of the same row of `table`.
    """
    cells = zip(table.numbers, table.cells(prompt), table.cells(answer), strict=True)
    rows = [Row(number, ([*before, *after],)) for number, before, after in cells]
    return Table(table.source, ("messages",), rows)


def _spread_instances(table: Table) -> tuple[Table, list[int]]:
    """Return a table with one row for each instance of a self-instruct table, and the original position of each row.

    In a self-instruct table, a row has one instruction and a list of instances, which are objects with an input and an
    output. Other tables are returned unchanged. Raises DataError if the `instances` of a row are not a list of objects.
    """
    if _INSTANCES not in table.columns or "instruction" not in table.columns:
        return table, list(range(len(table.rows)))
    rows, positions = [], []
    cells = zip(table.numbers, table.cells("instruction"), table.cells(_INSTANCES), strict=True)
    for position, (number, instruction, instances) in enumerate(cells):
        if not is_conversation(instances):  # instances are a list of objects, as conversations are
            raise DataError(
                f"{table.source}: row {number} has no list of inputs and outputs in {_INSTANCES!r}, "
                f"got {str(instances)[:40]!r}"
            )
        rows += [Row(number, (instruction, one.get("input"), one.get("output"))) for one in instances]
        positions += [position] * len(instances)
    return Table(table.source, ("instruction", "input", "output"), rows), positions


def _optional_texts(table: Table, column: Column, taken: tuple[str, ...]) -> list[str]:
    """Return the texts of an optional column; "" for an empty cell, and for each row if there is no such column.

    Columns in `taken` are not used.
    """
    name = optional_column(table, column, taken=taken)
    if name is None:
        return [""] * len(table.rows)
    cells = ["" if is_missing(cell) else cell for cell in table.cells(name)]
    filled = [(row, cell) for row, cell in zip(table.numbers, cells, strict=True) if cell != ""]
    checked_texts(
        table.source, [row for row, _ in filled], [cell for _, cell in filled], f"text (column {name!r})"
    )
    return cells
