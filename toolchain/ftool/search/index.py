"""`Indexer`: write new and changed documents to a knowledge base, and delete documents whose files are gone."""

import itertools
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ftool.errors import DocumentError
from ftool.search.chunks import CutSettings, DocumentCutter
from ftool.search.files import FoundFiles, ReadSettings, document_name, documents_in, files_in, refuse_binary
from ftool.search.parsers.formats import INSTALL
from ftool.search.store import Batch, KnowledgeBaseWriter
from ftool.search.tokens import TokenCounter
from ftool.search.types import CutPassage, Document
from ftool.terminal import progress_bar
from ftool_runtime.errors import InputError, nearest
from ftool_runtime.knowledge import Embedder

_EMBED_BATCH = 256  # passages embedded in one call, large enough to share among several cores

_Cut = tuple[Document, DocumentCutter, list[CutPassage]]

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class IndexReport:
    """Report of an indexing run.

    Attributes:
        added: number of new documents.
        replaced: number of changed documents.
        unchanged: number of documents that were up to date.
        deleted: number of deleted documents.
        left_out: number of files that are not documents, by reason, such as "hidden".
        failed: an error message for each file or document that can't be read, by its name.
        passages_written: number of passages written.
        seconds: duration of the run.
    """

    added: int = 0
    replaced: int = 0
    unchanged: int = 0
    deleted: int = 0
    left_out: dict[str, int] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    passages_written: int = 0
    seconds: float = 0.0

    def to_json(self) -> dict[str, Any]:
        """Return the report as plain JSON."""
        return asdict(self) | {"seconds": round(self.seconds, 3)}


class Indexer:
    """Updates a knowledge base from files."""

    def __init__(
        self,
        store: KnowledgeBaseWriter,
        counter: TokenCounter,
        embedder: Embedder | None,
        cutting: CutSettings,
        reading: ReadSettings,
    ) -> None:
        """Prepare to write to `store`, whose tables must exist; `embedder` is None for an index of words only."""
        self._store = store
        self._counter = counter
        self._embedder = embedder
        self._cutting = cutting
        self._reading = reading
        self.report = IndexReport()
        self._show: Callable[[int], None] = lambda _: None

    def add(self, roots: Sequence[Path], *, sync: bool = False) -> None:
        """Add new documents from files and folders, and replace changed ones.

        If a document can't be read, it is recorded in `report.failed` and its earlier version stays. The documents of a
        file that has become empty or binary stay too, because that may be temporary; a warning names the file.

        Args:
            roots: files and folders to index.
            sync: whether to delete documents of `roots` whose files are gone, empty or binary.

        Raises:
            DocumentError: a root does not exist.
            KnowledgeBaseError: the knowledge base can't be written; documents written before the error are kept.
        """
        started = time.perf_counter()
        found = FoundFiles()
        with progress_bar("indexing", None, "passages") as self._show:
            self._write(self._changed(roots, found, sync), found)
        if sync:
            self._delete_gone(roots, found)
        if found.lacking:
            kinds = ", ".join(f"{count} {suffix}" for suffix, count in sorted(found.lacking.items()))
            _log.warning("left out: %s; %s", kinds, INSTALL)
        self.report.left_out, self.report.failed = found.left_out, found.failed
        self.report.seconds += time.perf_counter() - started

    def delete(self, names: Sequence[str]) -> None:
        """Delete documents by name; the name of a file deletes all its documents.

        Raises DocumentError for an unknown name, before anything is deleted.
        """
        known = self._store.names()
        chosen: list[str] = []
        for name in names:
            matching = [document for document, file in known if name in (document, file)]
            if not matching:
                near = nearest(name, {n for pair in known for n in pair})
                raise DocumentError(
                    f"no document {name!r} in {self._store.path}"
                    + (f"; did you mean {near}?" if near else "")
                )
            chosen += matching
        self._delete(dict.fromkeys(chosen))

    def _changed(self, roots: Sequence[Path], found: FoundFiles, sync: bool) -> Iterator[Document]:
        """Yield new and changed documents, and delete documents that are no longer in their files."""
        for path, name in files_in(roots, found):
            if _same_file(path, self._store.path) or name in found.files:
                continue
            gone = {document for document, _ in self._store.names(file=name)}
            for document in documents_in(path, name, self._reading, found):
                gone.discard(document.name)
                if self._store.known(document.name) == document.sha256:
                    self.report.unchanged += 1
                else:
                    yield document
                    if name in found.without_text and self._store.known(document.name) is not None:
                        gone.add(document.name)
            if gone and name in found.without_text and not sync:
                _log.warning(
                    "%s is now %s; its earlier documents stay in %s, delete them with --sync or --delete",
                    name,
                    found.without_text[name],
                    self._store.path,
                )
            elif name not in found.failed:
                self._delete(gone)
            if not gone and name in found.given and found.without_text.get(name) == "binary":
                refuse_binary(name, found)

    def _write(self, documents: Iterator[Document], found: FoundFiles) -> None:
        """Write documents to the store; the passages of several small documents are embedded in one call."""
        group: list[_Cut] = []
        waiting = 0
        for document in documents:
            cutter = DocumentCutter(self._counter, self._cutting)
            passages = cutter.passages(document.pieces())
            try:
                first = list(itertools.islice(passages, _EMBED_BATCH))
                if not first and document.name == document.file:
                    found.without_text[document.file] = "empty"
                    found.leave_out("empty")
                elif len(first) < _EMBED_BATCH:
                    group.append((document, cutter, first))
                    waiting += len(first)
                else:
                    rest = itertools.chain(first, passages)
                    self._put(document, cutter, self._batches(rest))
            except (DocumentError, InputError, OSError) as error:
                found.failed[document.name] = _message(error)
            if waiting >= _EMBED_BATCH or len(group) >= _EMBED_BATCH:
                self._put_group(group, found)
                group, waiting = [], 0
        self._put_group(group, found)

    def _put_group(self, group: Sequence[_Cut], found: FoundFiles) -> None:
        try:
            vectors = self._embed([passage for *_, passages in group for passage in passages])
        except InputError as error:  # the embedder can't read one of the texts: try each document separately
            if len(group) == 1:
                found.failed[group[0][0].name] = str(error)
                return
            for one in group:
                self._put_group([one], found)
            return
        start = 0
        for document, cutter, passages in group:
            own = vectors[start : start + len(passages)] if vectors is not None else None
            start += len(passages)
            self._put(document, cutter, iter([(passages, own)] if passages else []))

    def _put(self, document: Document, cutter: DocumentCutter, batches: Iterator[Batch]) -> None:
        new = self._store.known(document.name) is None
        self.report.passages_written += self._store.put(document, cutter, batches)
        self._show(self.report.passages_written)
        self.report.added += new
        self.report.replaced += not new
        _log.debug("%s: %d characters", document.name, cutter.characters)

    def _batches(self, passages: Iterator[CutPassage]) -> Iterator[Batch]:
        while batch := list(itertools.islice(passages, _EMBED_BATCH)):
            yield batch, self._embed(batch)

    def _embed(self, passages: Sequence[CutPassage]) -> NDArray[np.float32] | None:
        """Return the vectors of passages, float32 (passages, dimension); None if there is no embedder."""
        if self._embedder is None or not passages:
            return None
        return self._embedder([passage.embedded for passage in passages], kind="passage")

    def _delete_gone(self, roots: Sequence[Path], found: FoundFiles) -> None:
        within = [document_name(root) for root in roots]
        self._delete(
            name
            for name, file in self._store.names()
            if file not in found.files
            and any(is_inside(file, root) for root in within)
            and not any(is_inside(file, folder) for folder in found.failed)  # a folder that can't be read
        )

    def _delete(self, names: Iterator[str] | set[str] | dict[str, None]) -> None:
        for name in names:
            self._store.delete(name)
            self.report.deleted += 1


def is_inside(file: str, root: str) -> bool:
    """Return whether a document's file is `root`, or is inside the folder `root`."""
    if root == ".":
        return not file.startswith(("../", "/"))
    return file == root or file.startswith(root.rstrip("/") + "/")


def _same_file(path: Path, other: Path) -> bool:
    try:
        return path.samefile(other)
    except OSError:
        return False


def _message(error: DocumentError | InputError | OSError) -> str:
    return f"can't be read: {error.strerror}" if isinstance(error, OSError) else str(error)
