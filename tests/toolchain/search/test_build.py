"""Knowledge bases are created and updated from folders; what is refused."""

import os
import re
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ftool.errors import DocumentError
from ftool.search.build import Built, IndexSettings, build_index
from ftool.search.files import ReadSettings
from ftool_runtime.errors import FtoolError, InputError
from ftool_runtime.knowledge import KnowledgeBase, KnowledgeBaseError

Indexing = Callable[..., Built]

pytestmark = pytest.mark.usefixtures("docs")


def documents(path: str = "kb.db") -> list[str]:
    with KnowledgeBase.open(path, embedder=None) as base:
        return base.documents()


def counts(built: Built) -> tuple[int, int, int, int]:
    report = built.report
    return report.added, report.replaced, report.unchanged, report.deleted


def assert_sound(path: Path | str) -> None:
    """Check that SQLite finds no damage, and that the full-text index matches the passages."""
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        connection.execute("INSERT INTO full_text (full_text, rank) VALUES ('integrity-check', 1)")
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []


def test_a_folder_is_indexed_and_searched(index: Indexing, embedder: Any) -> None:
    built = index("docs")
    assert (built.documents, counts(built)) == (3, (3, 0, 0, 0))
    assert documents() == ["docs/deep/note.txt", "docs/keeping.md", "docs/sharing.html"]
    with KnowledgeBase.open("kb.db", embedder=embedder) as base:
        (best, *_) = base.search("how many days are messages kept?")
        assert (best.document, best.heading) == ("docs/keeping.md", "Keeping")
        assert base.text("docs/keeping.md") == "Keeping\n\nMessages are kept for thirty days."
        assert base.search("addresses")[0].title == "Sharing"
    assert_sound("kb.db")
    assert [path.name for path in Path().glob("kb.db*")] == ["kb.db"]  # and no log file


def test_what_is_unchanged_is_not_embedded_again(index: Indexing, embedder: Any) -> None:
    index("docs")
    embedder.texts.clear()
    assert counts(index("docs")) == (0, 0, 3, 0)
    assert embedder.texts == []


def test_a_changed_document_is_replaced(index: Indexing, docs: Path) -> None:
    index("docs")
    (docs / "keeping.md").write_text("Letters are kept for a year.")
    assert counts(index("docs")) == (0, 1, 2, 0)
    with KnowledgeBase.open("kb.db", embedder=None) as base:
        assert base.text("docs/keeping.md") == "Letters are kept for a year."
        assert base.search("messages") == []
    assert_sound("kb.db")


def test_documents_of_deleted_files_stay_without_sync(index: Indexing, docs: Path) -> None:
    index("docs")
    (docs / "keeping.md").unlink()
    index("docs")
    assert "docs/keeping.md" in documents()
    assert counts(index("docs/deep", sync=True)) == (0, 0, 1, 0)  # no document is missing in that folder
    assert counts(index("docs", sync=True)) == (0, 0, 2, 1)
    assert "docs/keeping.md" not in documents()
    assert_sound("kb.db")


@pytest.mark.parametrize(("content", "reason"), [(b"", "empty"), (b"\x7fELF\0\0\0\1" * 100, "binary")])
def test_documents_of_a_file_without_text_stay_without_sync(
    index: Indexing, docs: Path, caplog: pytest.LogCaptureFixture, content: bytes, reason: str
) -> None:
    file = docs / "keeping.md"
    before = file.read_bytes()
    index("docs")
    file.write_bytes(content)
    built = index("docs")
    assert (counts(built), built.report.left_out) == ((0, 0, 2, 0), {reason: 1})
    assert f"docs/keeping.md is now {reason}; its earlier documents stay in kb.db" in caplog.text
    with KnowledgeBase.open("kb.db", embedder=None) as base:
        assert base.search("messages")[0].document == "docs/keeping.md"
    file.write_bytes(before)
    assert counts(index("docs")) == (0, 0, 3, 0)


@pytest.mark.parametrize("options", [{"sync": True}, {"delete": ["docs/rows.jsonl"]}])
def test_sync_deletes_documents_of_a_file_without_text(
    index: Indexing, docs: Path, caplog: pytest.LogCaptureFixture, options: dict[str, Any]
) -> None:
    file = docs / "rows.jsonl"
    file.write_text('{"id": "a", "text": "one"}\n{"id": "b", "text": "two"}\n')
    index("docs")
    file.write_text("\n")
    assert counts(index("docs", **options)) == (0, 0, 3, 2)
    assert [name for name in documents() if "#" in name] == []
    assert "stays" not in caplog.text
    assert_sound("kb.db")


def test_documents_are_deleted_by_name(index: Indexing) -> None:
    index("docs")
    assert counts(index(delete=["docs/keeping.md"])) == (0, 0, 0, 1)
    assert "docs/keeping.md" not in documents()
    with pytest.raises(
        DocumentError, match=r"no document 'docs/note.txt' in kb.db; did you mean docs/deep/note.txt"
    ):
        index(delete=["docs/note.txt"])
    assert_sound("kb.db")


def test_rows_of_jsonl_come_and_go(index: Indexing, docs: Path) -> None:
    file = docs / "rows.jsonl"
    file.write_text('{"id": "a", "text": "one"}\n{"id": "b", "text": "two"}\n')
    index("docs")
    file.write_text('{"id": "b", "text": "two, changed"}\n{"id": "c", "text": "three"}\n')
    assert counts(index("docs")) == (1, 1, 3, 1)
    assert [name for name in documents() if "#" in name] == ["docs/rows.jsonl#b", "docs/rows.jsonl#c"]
    assert counts(index(delete=["docs/rows.jsonl"])) == (0, 0, 0, 2)


def test_files_that_are_not_documents_are_left_out_and_counted(index: Indexing, docs: Path) -> None:
    (docs / "program.txt").write_bytes(b"\x7fELF\0\0\0\1" * 100)
    (docs / "picture.png").write_bytes(b"\x89PNG")
    (docs / "empty.md").touch()
    (docs / ".hidden.md").write_text("hidden")
    built = index("docs")
    assert built.report.left_out == {"binary": 1, ".png": 1, "empty": 1, "hidden": 1}
    assert built.documents == 3


def test_an_unreadable_file_does_not_stop_the_others(
    index: Indexing, docs: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (docs / "a.jsonl").write_text('{"text": "fine"}\nnot json\n{"text": "fine, too"}\n')
    (docs / "old.txt").write_bytes("na\xefve".encode("latin-1"))
    built = index("docs")
    assert list(built.report.failed) == ["docs/a.jsonl"]
    assert "row 2 is not JSON" in built.report.failed["docs/a.jsonl"]
    assert built.documents == 6  # the rows before and after the bad one are indexed
    assert "docs/old.txt: not UTF-8, read as windows-1252" in caplog.text


def test_a_page_with_a_wrong_encoding_does_not_stop_the_others(index: Indexing, docs: Path) -> None:
    (docs / "a.html").write_bytes("<meta charset=utf-16><p>naïve".encode("latin-1"))
    built = index("docs")
    assert list(built.report.failed) == ["docs/a.html"]
    assert built.documents == 3


@pytest.mark.skipif(sys.platform != "linux", reason="file names are Unicode elsewhere")
def test_a_file_name_that_is_not_unicode_does_not_stop_the_others(index: Indexing, docs: Path) -> None:
    Path(os.fsdecode(bytes(docs) + b"/\xff.txt")).write_text("text")
    assert index("docs").report.failed == {"docs/\\udcff.txt": "its name is not valid Unicode; rename it"}


def test_sync_keeps_documents_of_a_folder_that_cannot_be_read(
    index: Indexing, monkeypatch: pytest.MonkeyPatch
) -> None:
    index("docs")
    listed = os.scandir

    def refusing(path: str) -> Any:
        if str(path).endswith("deep"):
            raise PermissionError(13, "Permission denied", str(path))
        return listed(path)

    monkeypatch.setattr(os, "scandir", refusing)
    built = index("docs", sync=True)
    assert built.report.failed == {"docs/deep": "can't be read: Permission denied"}
    assert "docs/deep/note.txt" in documents()


@pytest.mark.parametrize(
    ("text", "question", "answer"),
    [
        ("我们保存消息三十天。您可以随时删除帐户。", "消息保存多久?", "三十天"),
        ("Tunahifadhi ujumbe kwa siku thelathini. Unaweza kufuta.", "ujumbe wa siku ngapi?", "thelathini"),
        ("نحتفظ بالرسائل لمدة ثلاثين يومًا.\u200f يمكنك حذف حسابك.", "كم مدة الرسائل؟ لمدة", "ثلاثين"),
        ("אנו שומרים הודעות שלושים יום. ניתן למחוק את החשבון.", "כמה יום נשמרות הודעות?", "שלושים"),
        ("メッセージは三十日間保存されます。いつでも削除できます。", "保存期間は?", "三十日間"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("suffix", [".txt", ".md", ".html"])
def test_every_script_is_found_with_its_position(
    index: Indexing, docs: Path, text: str, question: str, answer: str, suffix: str
) -> None:
    (docs / f"説明{suffix}").write_text(text, encoding="utf-8")
    index("docs")
    with KnowledgeBase.open("kb.db", embedder=None, reader=_Finding(answer)) as base:
        found = base.ask(question)
        assert (found.text, found.document) == (answer, f"docs/説明{suffix}")
        assert base.text(f"docs/説明{suffix}") == text
        assert text[found.start : found.end] == answer


class _Finding:
    """A reader that always finds the answer."""

    def __init__(self, answer: str) -> None:
        self.answer = answer

    def __call__(self, asked: Any) -> list[Any]:
        return [self._read(pair["context"].find(self.answer)) for pair in asked]

    def _read(self, start: int) -> SimpleNamespace:
        if start < 0:
            return SimpleNamespace(text=None, start=None, end=None, score=1.0, margin=-1.0)
        return SimpleNamespace(
            text=self.answer, start=start, end=start + len(self.answer), score=1.0, margin=1.0
        )


def test_an_encoding_can_be_given(index: Indexing, docs: Path) -> None:
    (docs / "deep" / "zh.txt").write_bytes("隐私政策".encode("gb18030"))
    index("docs/deep/zh.txt", reading=ReadSettings(encoding="gb18030"))
    with KnowledgeBase.open("kb.db", embedder=None) as base:
        assert base.search("隐私")[0].text == "隐私政策"


def test_a_text_that_the_embedder_refuses_does_not_stop_the_others(
    index: Indexing, docs: Path, embedder: Any
) -> None:
    class Refusing(type(embedder)):  # type: ignore[misc]
        def __call__(self, texts: Any, *, kind: str) -> Any:
            if any("sells" in text for text in texts):
                raise InputError("text 2 holds nothing that the model's tokenizer can read", row=2)
            return super().__call__(texts, kind=kind)

    built = index("docs", embedder=Refusing())
    assert list(built.report.failed) == ["docs/deep/note.txt"]
    assert built.documents == 2


def test_another_embedding_model_is_refused(index: Indexing, other_embedder: Any) -> None:
    index("docs")
    with pytest.raises(
        KnowledgeBaseError, match="leave --embedder out, or index the documents into a new file"
    ):
        index("docs", embedder=other_embedder)
    with pytest.raises(KnowledgeBaseError, match="this call has none"):
        index("docs", embedder="none")
    with pytest.raises(KnowledgeBaseError, match="an app's own model"):
        index("docs", embedder=None)


def test_a_base_without_embeddings_stays_without(index: Indexing, embedder: Any) -> None:
    index("docs", embedder="none")
    assert counts(index("docs", embedder=None)) == (0, 0, 3, 0)
    with pytest.raises(KnowledgeBaseError, match="was made without embeddings"):
        index("docs", embedder=embedder)


@pytest.mark.parametrize("tokens", [0, -1, 15])
def test_passages_of_too_few_tokens_are_refused(index: Indexing, tokens: int) -> None:
    with pytest.raises(InputError, match=f"--passage-tokens: .* at least 16 tokens, got {tokens}"):
        index("docs", tokens=tokens)
    assert not Path("kb.db").exists()


def test_an_existing_file_refuses_other_lengths(index: Indexing) -> None:
    assert index("docs", tokens=50).meta.overlap_tokens == 10
    with pytest.raises(InputError, match=r"--passage-tokens 60: kb\.db was made with 50"):
        index("docs", tokens=60)


def test_a_wrong_path_creates_no_file(index: Indexing) -> None:
    with pytest.raises(DocumentError, match="nowhere: no such file or folder"):
        index("nowhere")
    with pytest.raises(KnowledgeBaseError, match=r"the folder gone does not exist"):
        build_index(Path("gone/kb.db"), [Path("docs")], IndexSettings(embedder="none"))
    assert not Path("kb.db").exists()


@pytest.mark.parametrize(
    "options", [{"embedder": "nosuch"}, {"reader": "nosuch"}, {"tokens": 3}, {"tokens": 20, "overlap": 90}]
)
def test_wrong_settings_create_no_file(index: Indexing, options: dict[str, Any]) -> None:
    with pytest.raises(FtoolError):
        index("docs", **options)
    assert list(Path().glob("kb.db*")) == []


def test_an_existing_file_is_kept_if_settings_are_wrong(index: Indexing) -> None:
    Path("kb.db").touch()
    with pytest.raises(FtoolError):
        index("docs", embedder="nosuch")
    assert Path("kb.db").exists()


@pytest.mark.parametrize(
    ("content", "said"),
    [(b"words " * 4000, "not an SQLite"), (b"SQLite format 3\0" + b"\7" * 9000, "damaged|not an SQLite")],
)
def test_a_file_that_is_not_a_base_is_left_unchanged(index: Indexing, content: bytes, said: str) -> None:
    Path("kb.db").write_bytes(content)
    with pytest.raises(KnowledgeBaseError, match=said):
        index("docs")
    assert Path("kb.db").read_bytes() == content


@pytest.mark.parametrize("byte", [b"\0", b"\xff"])
def test_a_damaged_base_is_left_unchanged(index: Indexing, docs: Path, byte: bytes) -> None:
    rows = (f'{{"text": "row {number} of some words {number * number}"}}\n' for number in range(600))
    (docs / "rows.jsonl").write_text("".join(rows))
    index("docs", embedder="none")
    content = bytearray(Path("kb.db").read_bytes())
    middle = len(content) // 2
    content[middle : middle + 12 * 2**10] = byte * 12 * 2**10
    Path("kb.db").write_bytes(content)
    with pytest.raises(KnowledgeBaseError) as caught:
        index("docs", embedder="none")
    said = str(caught.value)
    assert re.fullmatch(r"kb\.db: damaged \(.+\); index the documents into a new file, or restore .*", said)
    assert Path("kb.db").read_bytes() == content


def test_another_programs_database_is_left_unchanged(index: Indexing) -> None:
    with closing(sqlite3.connect("kb.db")) as connection:
        connection.execute("CREATE TABLE mine (a)")
    before = Path("kb.db").read_bytes()
    with pytest.raises(KnowledgeBaseError, match="but not a knowledge base"):
        index("docs")
    assert Path("kb.db").read_bytes() == before


def test_a_base_can_be_searched_during_indexing(index: Indexing, docs: Path, embedder: Any) -> None:
    index("docs")

    class Asking(type(embedder)):  # type: ignore[misc]
        """Searches the knowledge base in the middle of a document's transaction."""

        def __call__(self, texts: Any, *, kind: str) -> Any:
            found.append(base.search("paragraph messages")[0].text)
            return super().__call__(texts, kind=kind)

    found: list[str] = []
    (docs / "long.txt").write_text("\n\n".join(f"paragraph {n} of the long one" * 36 for n in range(600)))
    with KnowledgeBase.open("kb.db", embedder=None, busy_timeout_s=0.1) as base:
        built = index("docs", embedder=Asking())
        assert built.report.passages_written > 512  # several batches, so that the transaction was open
        assert set(found) == {"Keeping\n\nMessages are kept for thirty days."}
        assert "paragraph 599" in base.search("599")[0].text
    assert_sound("kb.db")


def test_a_base_locked_by_another_writer_is_refused(docs: Path, index: Indexing) -> None:
    from ftool.search.store import KnowledgeBaseWriter

    index("docs")
    with closing(sqlite3.connect("kb.db", isolation_level=None)) as other:
        other.execute("PRAGMA journal_mode = WAL")
        other.execute("BEGIN IMMEDIATE")
        with KnowledgeBaseWriter(Path("kb.db"), busy_timeout_s=0.1) as store:
            started = time.perf_counter()
            with pytest.raises(KnowledgeBaseError, match="locked by another program"):
                store.delete("docs/keeping.md")
            assert time.perf_counter() - started < 5
        other.execute("ROLLBACK")


MEASURED = """
import resource, sys
from pathlib import Path
from types import SimpleNamespace
from ftool.search.build import IndexSettings, build_index
built = build_index(Path(sys.argv[1]), [Path(sys.argv[2])], IndexSettings(embedder="none"))
assert not built.report.failed
print(built.passages, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10)
"""


def measure(file: Path) -> tuple[int, int]:
    """The number of passages that a child process makes of a file, and its peak memory in megabytes."""
    command = [sys.executable, "-c", MEASURED, str(file.with_suffix(".db")), str(file)]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    passages, megabytes = said.split()
    return int(passages), int(megabytes)


@pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss counts in kilobytes there")
@pytest.mark.parametrize("megabytes", [5, pytest.param(50, marks=pytest.mark.slow)])
def test_a_large_document_takes_little_memory(tmp_path: Path, megabytes: int) -> None:
    paragraph = "Messages are kept for thirty days. " * 12 + "\n\n"
    small, large = tmp_path / "small.txt", tmp_path / "large.txt"
    small.write_text(paragraph)
    large.write_text(paragraph * (megabytes * 2**20 // len(paragraph)))
    (_, base), (passages, taken) = measure(small), measure(large)
    assert passages > 2000 * megabytes
    assert taken - base < 40  # megabytes: SQLite's cache, what is read at once, and 256 passages
