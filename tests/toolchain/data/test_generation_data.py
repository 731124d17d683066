"""Data for generators (pairs, conversations, texts): columns, refusals, and how splits are made."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ftool.data.load import load_dataset, load_split
from ftool.data.rows.base import RowReader
from ftool.data.rows.conversations import conversation
from ftool.data.rows.generation import GenerationExample, Message
from ftool.data.rows.labels import LabelReader
from ftool.data.rows.pairs import PairReader
from ftool.data.rows.prompts import PromptReader
from ftool.data.splits import same_text
from ftool.errors import DataError
from ftool.recipe.data_settings import DataSettings

READERS: dict[str, type[RowReader[GenerationExample]]] = {
    "translation": PairReader,
    "summarization": PairReader,
    "text-generation": PromptReader,
}
TURNS = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]


def jsonl(path: Path, rows: list[Any]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


def examples(path: str | Path, task: str, **changes: Any) -> list[GenerationExample]:
    return list(load_split(READERS[task], DataSettings(path=str(path), **changes)).examples)


def pairs(path: str | Path, **changes: Any) -> list[tuple[str, tuple[str, ...]]]:
    return [(example.source, example.targets) for example in examples(path, "translation", **changes)]


@pytest.mark.parametrize(
    "columns",
    [
        ("source", "target"),
        ("src", "tgt"),
        ("document", "summary"),
        ("article", "highlights"),
        ("dialogue", "summary"),
        ("text", "summary"),
        ("Source", "Target"),
        ("en", "zh"),
        ("zh", "en"),
        ("zh_CN", "en_XX"),
        ("text", "translation"),
        ("article", "abstract"),
    ],
)
def test_pairs_are_found_by_the_usual_names(tmp_path: Path, columns: tuple[str, str]) -> None:
    path = jsonl(tmp_path / "d.jsonl", [{"id": "no", columns[0]: "one", columns[1]: "一"}])
    assert pairs(path) == [("one", ("一",))]


def test_named_columns_come_before_all_others(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "d.jsonl", [{"source": "a", "target": "b", "long": "c", "short": "d"}])
    assert pairs(path, source="long", target="short") == [("c", ("d",))]
    assert pairs(path, target="short") == [("a", ("d",))]


def test_languages_say_which_way_a_translation_goes(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "d.jsonl", [{"id": 1, "en": "one", "zh": "一", "de": "eins"}])
    assert pairs(path, source_language="zh", target_language="en") == [("一", ("one",))]
    assert pairs(path, source_language="de_DE", target_language="zh_CN") == [("eins", ("一",))]
    assert pairs(path, target_language="en") == [("一", ("one",))]
    assert pairs(path) == [("one", ("一",))]  # the columns' order


def test_a_language_without_a_column_is_an_error(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "d.jsonl", [{"en": "one", "zh": "一"}])
    with pytest.raises(
        DataError, match=r"no column is known to hold the sources; the columns are 'en', 'zh'"
    ):
        pairs(path, source_language="fr", target_language="zh")


def test_the_hubs_objects_of_languages_are_spread(tmp_path: Path) -> None:
    rows = [
        {"id": "1", "translation": {"en": "one", "zh": "一"}},
        {"id": "2", "translation": {"zh": "二", "en": "two"}},
    ]
    path = jsonl(tmp_path / "d.jsonl", rows)
    assert pairs(path) == [("one", ("一",)), ("two", ("二",))]
    assert pairs(path, source_language="zh")[0] == ("一", ("one",))
    assert pairs(path, source="zh", target="en")[0] == ("一", ("one",))


def test_every_split_is_translated_the_same_way(tmp_path: Path) -> None:
    rows = [{"translation": {"en": f"number {n}", "zh": f"数 {n}"}} for n in range(30)]
    turned = [{"translation": {"zh": "另一个", "en": "another"}}]
    for name, values in (("train", rows), ("validation", turned), ("test", turned)):
        jsonl(tmp_path / f"{name}.jsonl", values)
    data = load_dataset(PairReader, DataSettings(path=str(tmp_path)))
    assert (data.train.examples[0].source, data.test.examples[0].source) == ("number 0", "another")


def test_a_row_without_an_object_of_languages_is_refused(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "d.jsonl", [{"translation": {"en": "a", "zh": "b"}}, {"translation": "c"}])
    with pytest.raises(DataError, match="row 2 has no object of languages in 'translation', got 'c'"):
        pairs(path)


def test_sentences_are_joined_and_several_targets_stay_apart(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "d.jsonl", [{"source": ["One. ", "Two."], "target": ["Both.", "All."]}])
    assert pairs(path) == [("One. Two.", ("Both.", "All."))]


def test_columns_name_a_text_file_with_tabs(tmp_path: Path) -> None:
    path = tmp_path / "cmn.txt"
    path.write_text("Hi.\t嗨。\tCC-BY\nRun!\t跑！\tCC-BY\n", encoding="utf-8")
    assert pairs(path, columns=("en", "zh", "attribution")) == [("Hi.", ("嗨。",)), ("Run!", ("跑！",))]
    with pytest.raises(DataError, match="all with --columns if the file has no header"):
        pairs(path)


@pytest.mark.parametrize(
    ("name", "gap"), [("d.csv", ","), ("d.tsv", "\t"), ("d.tsv.gz", "\t"), ("d.txt.gz", "\t")]
)
def test_pairs_are_read_from_delimited_files(tmp_path: Path, name: str, gap: str) -> None:
    lines = f"one{gap}一\ntwo{gap}二\n"
    changes = {"columns": ("source", "target")} if ".txt" in name else {}
    content = (lines if changes else f"source{gap}target\n{lines}").encode()
    (tmp_path / name).write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    assert pairs(tmp_path / name, **changes) == [("one", ("一",)), ("two", ("二",))]


def test_pairs_are_read_from_parquet_and_json(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    values = [{"en": "one", "zh": "一"}, {"en": "two", "zh": "二"}]
    pq.write_table(pa.table({"translation": values}), tmp_path / "d.parquet")
    (tmp_path / "d.json").write_text(json.dumps({"data": [{"translation": value} for value in values]}))
    for name in ("d.parquet", "d.json"):
        assert pairs(tmp_path / name) == [("one", ("一",)), ("two", ("二",))]


def test_data_of_the_hubs_own_types_is_read(tmp_path: Path) -> None:
    import datasets

    languages = datasets.Features({"translation": datasets.Translation(languages=("en", "zh"))})
    chats = datasets.Features(
        {"messages": [{"role": datasets.Value("string"), "content": datasets.Value("string")}]}
    )
    rows = [{"en": f"number {n}", "zh": f"数 {n}"} for n in range(30)]
    for name, features, values in (("translation", languages, rows), ("messages", chats, [TURNS] * 30)):
        split = datasets.Dataset.from_dict({name: values}, features=features)
        datasets.DatasetDict({"train": split, "test": split}).save_to_disk(str(tmp_path / name))
    assert pairs(tmp_path / "translation")[1] == ("number 1", ("数 1",))
    assert examples(tmp_path / "messages", "text-generation")[0].targets == ("Hello",)


def test_two_files_run_side_by_side(tmp_path: Path) -> None:
    (tmp_path / "d.en").write_bytes(b"one\r\ntwo\r\n")
    (tmp_path / "d.zh").write_text("一\n二\n\n", encoding="utf-8")
    assert pairs(tmp_path / "d.en", target_file=str(tmp_path / "d.zh")) == [
        ("one", ("一",)),
        ("two", ("二",)),
    ]


def test_files_side_by_side_must_be_equally_long(tmp_path: Path) -> None:
    (tmp_path / "d.en").write_text("one\ntwo\n")
    (tmp_path / "d.zh").write_text("yi\n")
    with pytest.raises(
        DataError, match=r"d\.en: has 2 lines and .*d\.zh has 1; each line of one file must belong"
    ):
        pairs(tmp_path / "d.en", target_file=str(tmp_path / "d.zh"))


def test_a_blank_line_beside_a_source_is_named(tmp_path: Path) -> None:
    (tmp_path / "d.en").write_text("one\ntwo\nthree\n")
    (tmp_path / "d.zh").write_text("yi\n\nsan\n")
    with pytest.raises(DataError, match=r"row 2 without a target \(column 'target'\)"):
        pairs(tmp_path / "d.en", target_file=str(tmp_path / "d.zh"))


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"source": "", "target": "b"}, r"row 2 without a source \(column 'source'\); correct or remove it"),
        ({"source": " \n", "target": "b"}, "row 2 without a source"),
        ({"target": "b"}, "row 2 without a source"),
        ({"source": "a", "target": None}, "row 2 without a target"),
        ({"source": "a", "target": []}, r"row 2 without a target \(column 'target'\)"),
        ({"source": "a", "target": ["b", ""]}, "row 2 without a target"),
        ({"source": [], "target": "b"}, "row 2 with a source .* that is not a string"),
        ({"source": ["a", 1], "target": "b"}, "row 2 with a source .* that is not a string"),
        ({"source": "a", "target": 7}, r"row 2 with a target \(column 'target'\) that is not a string"),
        ({"source": "a\0", "target": "b"}, "row 2 with a NUL byte in the source"),
        ({"source": "a", "target": "\ud800"}, "row 2 with half a surrogate pair in the target"),
    ],
)
def test_texts_that_cannot_be_used_are_named_by_row_and_column(
    tmp_path: Path, row: dict[str, Any], message: str
) -> None:
    path = jsonl(tmp_path / "d.jsonl", [{"source": "fine", "target": "fine"}, row])
    with pytest.raises(DataError, match=message) as refused:
        pairs(path)
    assert "d.jsonl" in str(refused.value)


def test_how_many_conversations_cannot_be_used_is_said_at_once(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "d.jsonl", [{"messages": turns} for turns in (TURNS, TURNS[:1], TURNS[1:], [])])
    with pytest.raises(DataError, match=r"row 2 of .* must speak last.*; 2 rows more can't be used either"):
        examples(path, "text-generation")


_TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=30).filter(
    str.strip
)


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(_TEXTS, st.lists(_TEXTS, min_size=1, max_size=3)), min_size=1, max_size=5))
def test_texts_come_back_as_they_were_written(
    tmp_path: Path,  # one file for all examples
    rows: list[tuple[str, list[str]]],
) -> None:
    path = jsonl(tmp_path / "d.jsonl", [{"src": source, "tgt": targets} for source, targets in rows])
    assert pairs(path) == [(source, tuple(targets)) for source, targets in rows]


def test_languages_leave_the_usual_names_as_they_are(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "d.jsonl", [{"src": "one", "tgt": "一", "file": "a.po"}])
    assert pairs(path, source_language="en", target_language="zh") == [("one", ("一",))]


def test_no_examples_are_refused(tmp_path: Path) -> None:
    (tmp_path / "d.csv").write_text("source,target\n")
    with pytest.raises(DataError, match="holds no examples"):
        pairs(tmp_path / "d.csv")


# Conversations


def test_a_conversation_keeps_its_turns_and_answers_with_the_last(tmp_path: Path) -> None:
    turns = [{"role": "system", "content": "Be kind."}, *TURNS, {"role": "user", "content": "Bye"}]
    path = jsonl(tmp_path / "d.jsonl", [{"messages": [*turns, {"role": "assistant", "content": "See you"}]}])
    (example,) = examples(path, "text-generation")
    assert (example.source, example.targets, example.row) == ("", ("See you",), 1)
    assert example.messages == (
        Message("system", "Be kind."),
        Message("user", "Hi"),
        Message("assistant", "Hello"),
        Message("user", "Bye"),
    )


@pytest.mark.parametrize(
    "row",
    [
        {"messages": TURNS},
        {"conversations": [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Hello"}]},
        {"conversation": [{"role": "system", "content": ""}, *TURNS]},
        {"messages": [{"role": "User", "content": [{"type": "text", "text": "Hi"}]}, TURNS[1]]},
        {"prompt": TURNS[:1], "completion": TURNS[1:]},
        {"question": "Hi", "answer": "Hello"},
        {"prompt": "Hi", "response": "Hello"},
        {"instruction": "Hi", "input": "", "output": "Hello"},
        {"instruction": "Hi", "output": "Hello", "input": None},
        {"instruction": "Hi", "instances": [{"input": "", "output": "Hello"}]},
        {"system_prompt": "", "question": "Hi", "response": "Hello"},
    ],
)
def test_every_shape_of_a_question_becomes_the_same_conversation(tmp_path: Path, row: dict[str, Any]) -> None:
    path = jsonl(tmp_path / "d.jsonl", [{"id": 1, **row}])
    assert examples(path, "text-generation") == [
        GenerationExample("", ("Hello",), (Message("user", "Hi"),), row=1)
    ]


def test_an_instructions_input_and_a_system_prompt_have_their_places(tmp_path: Path) -> None:
    row = {"system": "Be brief.", "instruction": "Add.", "input": "1 + 1", "output": "2"}
    (example,) = examples(jsonl(tmp_path / "d.jsonl", [row]), "text-generation")
    assert example.messages == (Message("system", "Be brief."), Message("user", "Add.\n\n1 + 1"))


def test_every_instance_of_an_instruction_is_an_example(tmp_path: Path) -> None:
    row = {
        "instruction": "Add.",
        "instances": [{"input": f"{n} + 1", "output": str(n + 1)} for n in range(3)],
    }
    found = examples(jsonl(tmp_path / "d.jsonl", [row]), "text-generation")
    assert [example.targets for example in found] == [("1",), ("2",), ("3",)]
    assert {example.row for example in found} == {1}


def test_a_completion_goes_straight_on_from_its_prompt(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "d.jsonl", [{"prompt": "Once upon", "completion": " a time"}])
    assert examples(path, "text-generation") == [GenerationExample("Once upon", (" a time",), row=1)]


def test_named_columns_hold_conversations_questions_or_texts(tmp_path: Path) -> None:
    row = {"chat": TURNS, "q": "Why?", "a": ["So.", "Thus."], "note": "a text", "messages": TURNS}
    path = jsonl(tmp_path / "d.jsonl", [row])
    assert examples(path, "text-generation", messages="chat")[0].targets == ("Hello",)
    (asked,) = examples(path, "text-generation", source="q", target="a")
    assert (asked.messages, asked.targets) == ((Message("user", "Why?"),), ("So.", "Thus."))
    assert examples(path, "text-generation", text="note") == [GenerationExample("", ("a text",), row=1)]


@pytest.mark.parametrize(
    ("turns", "message"),
    [
        ("Hi", "is not a list of turns with a role and a content, got 'Hi'"),
        ([], "is not a list of turns"),
        (7, "is not a list of turns"),
        (["Hi"], "is not a list of turns"),
        ([{"text": "Hi"}], "turn 1 has no role; its keys are text"),
        (
            [{"role": "asistant", "content": "Hi"}],
            r"turn 1 has the role 'asistant'; did you mean assistant\?",
        ),
        ([{"role": "narrator", "content": "Hi"}], "known are system, user, assistant and tool"),
        ([{"role": 3, "content": "Hi"}], "turn 1 has the role 3"),
        ([TURNS[0], {"role": "assistant", "content": " "}], r"turn 2 without a text \(assistant\)"),
        ([TURNS[0], {"role": "assistant"}], r"turn 2 without a text \(assistant\)"),
        (
            [TURNS[0], {"role": "assistant", "content": 7}],
            r"turn 2 with a text \(assistant\) that is not a string",
        ),
        ([{"role": "user", "content": "a\0"}, TURNS[1]], "turn 1 with a NUL byte"),
        ([{"role": "user", "content": "\udfff"}, TURNS[1]], "turn 1 with half a surrogate pair"),
        (
            [TURNS[0], {"role": "assistant", "content": None, "tool_calls": [{"id": "1"}]}],
            "turn 2 calls a tool and has no text",
        ),
        (TURNS[::-1], "assistant speaks first, but system or user should"),
        ([TURNS[0], TURNS[0], TURNS[1]], "user speaks after user, but assistant should"),
        ([*TURNS, TURNS[1]], "assistant speaks after assistant, but user or tool should"),
        ([*TURNS, {"role": "system", "content": "x"}], "system speaks after assistant"),
        ([{"role": "tool", "content": "x"}], "tool speaks first"),
        (TURNS[:1], "ends with user, but assistant must speak last"),
        ([{"role": "system", "content": "x"}], "ends with system"),
        ([{"role": "system", "content": ""}], "has no turn, but assistant must speak last"),
    ],
)
def test_conversations_that_cannot_be_used_are_named(tmp_path: Path, turns: Any, message: str) -> None:
    path = jsonl(tmp_path / "d.jsonl", [{"messages": TURNS}, {"messages": turns}])
    with pytest.raises(DataError, match=message) as refused:
        examples(path, "text-generation")
    assert "d.jsonl: row 2 of the column 'messages'" in str(refused.value)


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.fixed_dictionaries(
            {"role": st.sampled_from(["system", "user", "assistant", "tool", "gpt", "x", None, 1])},
            optional={"content": st.none() | st.text(max_size=5) | st.lists(st.integers(), max_size=2)},
        ),
        max_size=6,
    )
)
def test_whatever_stands_in_a_cell_is_a_conversation_or_an_error_that_names_it(cell: Any) -> None:
    message = ""
    try:
        example = conversation(cell, "here", 1)
    except DataError as error:
        message = str(error)
    if message:
        assert message.startswith("here")
        return
    assert example.targets[0].strip()
    assert example.messages
    assert example.messages[-1].role in ("user", "tool")


# Bare texts


def test_a_text_file_is_read_by_lines_or_by_paragraphs(tmp_path: Path) -> None:
    (tmp_path / "lines.txt").write_text("one\ntwo\n", encoding="utf-8")
    (tmp_path / "parts.txt").write_bytes(b"one\r\nmore\r\n\r\n \r\ntwo\r\n")
    lines = examples(tmp_path / "lines.txt", "text-generation")
    assert [(example.targets[0], example.row) for example in lines] == [("one", 1), ("two", 2)]
    parts = examples(tmp_path / "parts.txt", "text-generation")
    assert [(example.targets[0], example.row) for example in parts] == [("one\nmore", 1), ("two", 5)]


def test_a_column_of_texts_is_found(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "d.jsonl", [{"title": "t", "text": "all of it"}])
    assert examples(path, "text-generation") == [GenerationExample("", ("all of it",), row=1)]


def test_columns_that_say_nothing_are_listed(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "d.jsonl", [{"foo": "a", "bar": "b"}])
    with pytest.raises(DataError, match="the columns are 'foo', 'bar': name them with --messages-column"):
        examples(path, "text-generation")
    with pytest.raises(DataError, match="has no column 'baz'"):
        examples(path, "text-generation", source="foo", target="baz")


# Splits


def test_the_rows_of_one_source_are_cut_off_together(tmp_path: Path) -> None:
    rows = [{"source": f"Word {n // 3}{' ' * (n % 2)}", "target": f"t{n}"} for n in range(300)]
    data = load_dataset(PairReader, DataSettings(path=jsonl(tmp_path / "d.jsonl", rows)))
    sides = [
        {same_text(example.source) for example in data.split(name).examples}
        for name in ("train", "validation", "test")
    ]
    assert sum(map(len, sides)) == len(set.union(*sides))
    assert 20 <= len(data.test) <= 40
    assert len(data.train) + len(data.validation) + len(data.test) == 300
    rows_kept = [example.row for example in data.train.examples]
    assert rows_kept == sorted(rows_kept)
    assert "each source on one side, seed 13" in " ".join(data.notes)


def test_conversations_and_texts_are_cut_too(tmp_path: Path) -> None:
    chats = jsonl(tmp_path / "c.jsonl", [{"question": f"q{n}", "answer": "a"} for n in range(50)])
    texts = jsonl(tmp_path / "t.jsonl", [{"text": f"t{n}"} for n in range(50)])
    for path in (chats, texts):
        data = load_dataset(PromptReader, DataSettings(path=path))
        assert (len(data.train), len(data.validation), len(data.test)) == (40, 5, 5)


def test_rows_for_slices_are_those_of_the_examples_also_in_shards(tmp_path: Path) -> None:
    for shard in range(2):  # whose rows have the same numbers
        rows = [
            {"instruction": f"do {shard}", "instances": [{"input": "", "output": str(n)} for n in range(2)]}
        ]
        jsonl(tmp_path / f"test-0000{shard}-of-00002.jsonl", rows)
    split = load_split(PromptReader, DataSettings(path=str(tmp_path)))
    asked = [(one.messages or ())[-1].content for one in split.examples]
    assert asked == split.table.cells("instruction") == ["do 0", "do 0", "do 1", "do 1"]


def test_too_few_rows_cannot_be_cut(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "d.jsonl", [{"source": "a", "target": "b"}] * 3)
    with pytest.raises(DataError, match="too few to cut a test split off"):
        load_dataset(PairReader, DataSettings(path=path))


def test_sources_that_stand_in_two_splits_are_warned_of(tmp_path: Path) -> None:
    for name, first in (("train", 0), ("validation", 100), ("test", 9)):
        jsonl(
            tmp_path / f"{name}.jsonl", [{"source": f"s{n}", "target": "t"} for n in range(first, first + 10)]
        )
    data = load_dataset(PairReader, DataSettings(path=str(tmp_path)))
    (warning,) = data.warnings
    assert "1 of 10 texts are also in the training data (first: row 1: 's9')" in warning


def test_separate_files_are_the_splits_they_are_named_for(tmp_path: Path) -> None:
    paths = {
        name: jsonl(tmp_path / f"{name}.jsonl", [{"source": f"{name} {n}", "target": "t"} for n in range(20)])
        for name in ("mine", "held", "last")
    }
    data = load_dataset(
        PairReader, DataSettings(path=paths["mine"], validation=paths["held"], test=paths["last"])
    )
    assert (len(data.train), data.validation.examples[0].source, data.test.examples[0].source) == (
        20,
        "held 0",
        "last 0",
    )


def test_the_fingerprint_is_that_of_the_training_examples_alone(tmp_path: Path) -> None:
    rows = [{"source": f"s{n}", "target": f"t{n}"} for n in range(30)]
    path = jsonl(tmp_path / "d.jsonl", rows)
    first = load_dataset(PairReader, DataSettings(path=path)).sha256
    (tmp_path / "d.tsv").write_text("source\ttarget\n" + "".join(f"s{n}\tt{n}\n" for n in range(30)))
    assert load_dataset(PairReader, DataSettings(path=str(tmp_path / "d.tsv"))).sha256 == first
    rows[0]["target"] = "another"
    rows[1]["target"] = "another"
    jsonl(tmp_path / "d.jsonl", rows)
    assert load_dataset(PairReader, DataSettings(path=path)).sha256 != first


def test_dates_are_no_labelled_texts() -> None:
    with pytest.raises(DataError, match="no column is known to hold the texts; the columns are 'source'"):
        load_dataset(LabelReader, DataSettings(path="builtin:dates"))


@pytest.mark.parametrize(
    ("path", "task", "changes", "sizes", "warned"),
    [
        ("tatoeba_cmn_eng/cmn.txt", "translation", {"columns": ("en", "zh", "attribution")}, 29_155, 0),
        ("python_docs_en_zh/en-zh-CN.jsonl.gz", "translation", {}, 37_241, 0),
        (
            "tico19_en_zh/tico19-test.en-zh.en",
            "translation",
            {"target_file": "tico19_en_zh/tico19-test.zh"},
            2_100,
            0,
        ),
        ("scitldr_a", "summarization", {}, (1_992, 619, 618), 2),
        ("gsm8k", "text-generation", {}, 7_473 + 1_319, 0),
        ("self_instruct/user_oriented_instructions.jsonl", "text-generation", {}, 252, 0),
    ],
)
def test_real_data_is_read_whole(
    shared_data: Path,
    path: str,
    task: str,
    changes: dict[str, Any],
    sizes: int | tuple[int, int, int],
    warned: int,
) -> None:
    if "target_file" in changes:
        changes = {"target_file": str(shared_data / changes["target_file"])}
    data = load_dataset(READERS[task], DataSettings(path=str(shared_data / path), **changes))
    found = len(data.train), len(data.validation), len(data.test)
    assert (sum(found) if isinstance(sizes, int) else found) == sizes
    assert len(data.warnings) == warned
    if not warned:
        trained = {same_text(str(example.messages or example.source)) for example in data.train.examples}
        assert not any(same_text(str(e.messages or e.source)) in trained for e in data.test.examples)
