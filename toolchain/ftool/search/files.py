"""Find the files to index in folders, and read the documents in these files."""

import hashlib
import logging
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from ftool.encodings import FileContent, check_encoding, examine, read_decoded
from ftool.errors import DocumentError
from ftool.search.parsers.formats import FORMATS, INSTALL, format_pieces, lacks_library
from ftool.search.parsers.html import visible_text
from ftool.search.parsers.json_lines import BadRows, json_documents
from ftool.search.parsers.markdown import visible_markdown
from ftool.search.types import Document, Piece
from ftool_runtime.regular_files import open_regular

KINDS: Final = {
    ".txt": "text",
    ".text": "text",
    ".md": "markdown",
    ".markdown": "markdown",
    ".html": "html",
    ".htm": "html",
    ".xhtml": "html",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    **dict.fromkeys(FORMATS, "format"),
}

# Part of a document's hash: raise it if parsing changes, so that documents are indexed again.
_PARSER_VERSION = 1

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class FoundFiles:
    """Record of the files found while indexing.

    Attributes:
        files: names of the files that were examined.
        given: names of the files that were given directly, not found in a folder.
        left_out: number of files left out, by reason, such as "hidden".
        without_text: "empty" or "binary" for each document file without text, by the file's name.
        failed: an error message for each file that can't be read, by the file's name.
        lacking: number of files in folders whose format needs the extra [documents], by their suffix.
    """

    files: set[str] = field(default_factory=set)
    given: set[str] = field(default_factory=set)
    left_out: dict[str, int] = field(default_factory=dict)
    without_text: dict[str, str] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    lacking: dict[str, int] = field(default_factory=dict)

    def leave_out(self, reason: str) -> None:
        """Count one more file that is left out for `reason`."""
        self.left_out[reason] = self.left_out.get(reason, 0) + 1


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadSettings:
    """Settings for reading files. Raises DocumentError for an unknown encoding.

    Attributes:
        encoding: the encoding of all files; None to detect the encoding of each file.
        column: the key of the text in JSONL files; None for the first usual key, such as "text", that a row has.
    """

    encoding: str | None = None
    column: str | None = None

    def __post_init__(self) -> None:
        if self.encoding is not None:
            check_encoding(self.encoding)


def files_in(roots: Sequence[Path], found: FoundFiles) -> Iterator[tuple[Path, str]]:
    """Yield the files that are in `roots`, or in folders in `roots`, each with its name in the knowledge base.

    A file's name is its path as given, so that a repeated call gives the same names. In folders, hidden files, files
    of unknown kinds and files that need the extra [documents] are left out and counted in `found`; a file given
    directly is read as text if its suffix is unknown. Raises DocumentError if a path does not exist.
    """
    for root in roots:
        if root.is_dir():
            yield from _files_in_folder(root, found)
        elif root.exists():
            found.given.add(document_name(root))
            yield root, document_name(root)
        else:
            raise DocumentError(f"{root}: no such file or folder; check the path")


def document_name(path: Path) -> str:
    """Return the name that the file at `path` gets in the knowledge base: the normalised path, with forward slashes."""
    return Path(os.path.normpath(path)).as_posix()


def _files_in_folder(root: Path, found: FoundFiles) -> Iterator[tuple[Path, str]]:
    def unreadable(error: OSError) -> None:
        name = document_name(Path(error.filename))
        found.failed[name] = f"can't be read: {error.strerror}"

    for folder, folders, names in os.walk(root, onerror=unreadable):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            path = Path(folder) / name
            if not is_valid_unicode(str(path)):
                shown = document_name(path).encode("utf-8", "backslashreplace").decode()
                found.failed[shown] = "its name is not valid Unicode; rename it"
            elif name.startswith(".") or path.suffix.lower() not in KINDS:
                found.leave_out("hidden" if name.startswith(".") else f"{path.suffix.lower() or 'no suffix'}")
            elif lacks_library(path):
                suffix = path.suffix.lower()
                found.leave_out(suffix)
                found.files.add(document_name(path))  # its documents, indexed with the extra, stay
                found.lacking[suffix] = found.lacking.get(suffix, 0) + 1
            else:
                yield path, document_name(path)


def documents_in(path: Path, name: str, settings: ReadSettings, found: FoundFiles) -> Iterator[Document]:
    """Yield the documents in the file at `path`, whose name in the knowledge base is `name`.

    A file that is binary, empty or unreadable is recorded in `found`. Invalid rows of JSONL are also recorded in
    `found`, and the documents of the other rows are yielded.
    """
    bad = BadRows()
    found.files.add(name)
    try:
        if path.suffix.lower() in FORMATS:
            yield from _formatted_document(path, name, found)
            return
        content = examine(path, settings.encoding)
        if content.empty or content.encoding is None:
            found.without_text[name] = "empty" if content.empty else "binary"
            found.leave_out(found.without_text[name])
            return
        if content.guessed:
            _log.warning(
                "%s: not UTF-8, read as %s; if that is wrong, give its encoding with --encoding",
                name,
                content.encoding,
            )
        yield from _documents(path, name, content, settings, bad)
        if bad.count:
            found.failed[name] = bad.message(name)
    except OSError as error:
        found.failed[name] = f"can't be read: {error.strerror}"
    except DocumentError as error:
        found.failed[name] = str(error)


def refuse_binary(name: str, found: FoundFiles) -> None:
    """Record in `found` that the file `name`, which was given directly, is binary and of no format that is read."""
    readable = ", ".join(dict.fromkeys(KINDS))
    found.failed[name] = f"binary, and its suffix is not one of {readable}; save it in one of these formats"


def is_valid_unicode(name: str) -> bool:
    """Return whether a file's name is valid Unicode, which is not guaranteed on Linux."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def check_libraries(roots: Sequence[Path]) -> None:
    """Raise DocumentError if one of the files among `roots` needs the extra [documents], which is not installed."""
    lacking = [str(root) for root in roots if root.is_file() and lacks_library(root)]
    if lacking:
        more = f" and {len(lacking) - 1} more" if len(lacking) > 1 else ""
        raise DocumentError(f"{lacking[0]}{more}: {INSTALL}")


def _formatted_document(path: Path, name: str, found: FoundFiles) -> Iterator[Document]:
    with open_regular(path) as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        if not file.tell():
            found.without_text[name] = "empty"
            found.leave_out("empty")
            return
    yield Document(
        name=name,
        file=name,
        sha256=f"{digest}:{path.suffix.lower()}:{_PARSER_VERSION}",
        pieces=lambda: format_pieces(path),
    )


def _documents(
    path: Path, name: str, content: FileContent, settings: ReadSettings, bad: BadRows
) -> Iterator[Document]:
    assert content.encoding is not None
    encoding = content.encoding
    kind = KINDS.get(path.suffix.lower(), "text")
    if kind == "jsonl":
        yield from json_documents(read_decoded(path, encoding), name, bad, settings.column)
        return
    digest = f"{content.sha256}:{kind}:{encoding}:{_PARSER_VERSION}"

    def pieces() -> Iterator[Piece]:
        text = read_decoded(path, encoding)
        return {"markdown": visible_markdown, "html": visible_text}.get(kind, iter)(text)

    yield Document(name=name, file=name, sha256=digest, pieces=pieces)
