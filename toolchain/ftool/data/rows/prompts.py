"""What text-generation learns from: conversations, questions with answers, prompts to continue, or bare texts."""

from typing import NamedTuple

from ftool.data.columns import column_of, find_column, listed_columns
from ftool.data.examples import checked_texts, is_missing
from ftool.data.generation import Example
from ftool.data.rows.conversations import asked, conversation, is_conversation
from ftool.data.rows.pairs import column_references, column_texts
from ftool.data.table import Row, Table
from ftool.data.types import DataError
from ftool.recipe.data_settings import DataSettings

MESSAGE_COLUMNS = ("messages", "conversations", "conversation", "dialog", "dialogue", "turns")
PROMPT_COLUMNS = ("instruction", "prompt", "question", "query", "problem", "input", "source", "src")
ANSWER_COLUMNS = (
    "completion", "continuation", "output", "response", "answer", "answers", "solution", "target", "tgt",
)  # fmt: skip
TEXT_COLUMNS = ("text", "content", "document", "article", "body", "story", "code", "sentence")
_MORE_COLUMNS = ("input", "context")  # what an instruction is about, as Alpaca and Dolly have it
_SYSTEM_COLUMNS = ("system", "system_prompt")
_CONTINUED = ("completion", "continuation")  # columns whose texts go straight on from the prompt
_INSTANCES = "instances"  # self-instruct: a list of inputs and outputs an instruction


class _Columns(NamedTuple):
    """The names of a table's columns; a prompt and an answer, or one of the other two."""

    messages: str | None = None
    prompt: str | None = None
    answer: str | None = None
    text: str | None = None


def read_prompts(table: Table, settings: DataSettings) -> list[Example]:
    """An example a conversation, a prompt or a text.

    Conversations keep their turns, of which the last is the answer. A prompt with a column called `completion` is plain
    text that goes on; questions and instructions become conversations of one question. Raises DataError naming row and
    column for what is no usable text or conversation, and for columns that can't be told.
    """
    table = _spread_instances(table)
    columns = _columns(table, settings)
    if columns.messages is not None:
        return _conversations(table, columns.messages)
    if columns.prompt is not None and columns.answer is not None:
        return _answered(table, columns.prompt, columns.answer)
    texts = column_texts(table, columns.text or "", "text")
    return [Example("", (text,), row=row.number) for text, row in zip(texts, table.rows, strict=True)]


def prompts_note(table: Table, settings: DataSettings) -> str:
    """Which columns the examples are taken from."""
    columns = _columns(_spread_instances(table), settings)
    if columns.messages is not None:
        return f"{table.source}: conversations from the column {columns.messages!r}"
    if columns.prompt is not None:
        kind = "plain prompts" if columns.answer in _CONTINUED else "questions"
        return f"{table.source}: {kind} from the column {columns.prompt!r}, answers from {columns.answer!r}"
    return f"{table.source}: texts from the column {columns.text!r}"


def _columns(table: Table, settings: DataSettings) -> _Columns:
    if settings.messages is not None:
        return _Columns(messages=_named(table, settings.messages, MESSAGE_COLUMNS, "--messages-column"))
    if settings.text is not None:
        return _Columns(text=_named(table, settings.text, TEXT_COLUMNS, "--text-column"))
    prompt = settings.source or _first(table, PROMPT_COLUMNS)
    answer = settings.target or _first(table, ANSWER_COLUMNS)
    if settings.source is not None or settings.target is not None:
        return _Columns(
            prompt=_named(table, prompt, PROMPT_COLUMNS, "--source-column"),
            answer=_named(table, answer, ANSWER_COLUMNS, "--target-column"),
        )
    if messages := _first(table, MESSAGE_COLUMNS):
        return _Columns(messages=messages)
    if prompt is not None and answer is not None:
        return _Columns(prompt=prompt, answer=answer)
    if text := _first(table, TEXT_COLUMNS):
        return _Columns(text=text)
    raise DataError(
        f"{table.source}: no columns are known to hold conversations, prompts with answers, or texts; the columns "
        f"are {listed_columns(table)}: name them with --messages-column, --source-column and --target-column, or "
        "--text-column"
    )


def _conversations(table: Table, column: str) -> list[Example]:
    found, refused = [], []
    for cell, row in zip(column_of(table, column), table.rows, strict=True):
        where = f"{table.source}: row {row.number} of the column {column!r}"
        try:
            found.append(conversation(cell, where, row.number))
        except DataError as error:
            refused.append(error)
    if len(refused) > 1:
        more = f"{len(refused) - 1} row{'s' if len(refused) > 2 else ''}"
        raise DataError(f"{refused[0]}; {more} more can't be used either") from refused[0]
    if refused:
        raise refused[0]
    return found


def _answered(table: Table, prompt: str, answer: str) -> list[Example]:
    if all(is_conversation(cell) for cell in column_of(table, prompt) + column_of(table, answer)):
        return _conversations(_joined(table, prompt, answer), "messages")
    questions = column_texts(table, prompt, "prompt")
    answers = column_references(table, answer, "answer")
    if answer in _CONTINUED:
        return [
            Example(question, texts, row=row.number)
            for question, texts, row in zip(questions, answers, table.rows, strict=True)
        ]
    more = _optional(table, _MORE_COLUMNS, (prompt, answer))
    systems = _optional(table, _SYSTEM_COLUMNS, (prompt, answer))
    return [
        asked(f"{question}\n\n{about}" if about.strip() else question, texts, system, row.number)
        for question, texts, about, system, row in zip(
            questions, answers, more, systems, table.rows, strict=True
        )
    ]


def _joined(table: Table, prompt: str, answer: str) -> Table:
    """Prompts and completions that are lists of turns, as one conversation each."""
    cells = zip(column_of(table, prompt), column_of(table, answer), strict=True)
    rows = [
        Row(row.number, ([*before, *after],)) for row, (before, after) in zip(table.rows, cells, strict=True)
    ]
    return Table(table.source, ("messages",), rows)


def _spread_instances(table: Table) -> Table:
    """self-instruct's table with a row for each input and output of an instruction."""
    if _INSTANCES not in table.columns or "instruction" not in table.columns:
        return table
    rows = []
    cells = zip(column_of(table, "instruction"), column_of(table, _INSTANCES), strict=True)
    for row, (instruction, instances) in zip(table.rows, cells, strict=True):
        if not is_conversation(instances):  # a list of objects too
            raise DataError(
                f"{table.source}: row {row.number} has no list of inputs and outputs in {_INSTANCES!r}, "
                f"got {str(instances)[:40]!r}"
            )
        rows += [Row(row.number, (instruction, one.get("input"), one.get("output"))) for one in instances]
    return Table(table.source, ("instruction", "input", "output"), rows)


def _optional(table: Table, usual: tuple[str, ...], taken: tuple[str, ...]) -> list[str]:
    """The texts of the first of the `usual` columns that is there and not `taken`, "" where there is nothing."""
    name = next((name for name in usual if name in table.columns and name not in taken), None)
    if name is None:
        return [""] * len(table.rows)
    cells = ["" if is_missing(cell) else cell for cell in column_of(table, name)]
    filled = [(row.number, cell) for row, cell in zip(table.rows, cells, strict=True) if cell != ""]
    checked_texts(
        table.source, [n for n, _ in filled], [cell for _, cell in filled], f"text (column {name!r})"
    )
    return cells


def _first(table: Table, usual: tuple[str, ...]) -> str | None:
    lowered = {name.lower(): name for name in table.columns}
    return next((lowered[name] for name in usual if name in lowered), None)


def _named(table: Table, name: str | None, usual: tuple[str, ...], flag: str) -> str:
    return table.columns[find_column(table, name, usual, "texts", flag)]
