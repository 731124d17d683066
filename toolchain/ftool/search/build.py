"""`build_index`: create a knowledge base from documents, or update one."""

import logging
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from ftool.errors import DocumentError
from ftool.search.build_approximate import ApproximateReport, prepare_approximate, update_approximate
from ftool.search.chunks import CutSettings
from ftool.search.embed import NONE, bundle_folder, embedder_bundle
from ftool.search.files import ReadSettings, check_libraries, is_valid_unicode
from ftool.search.index import Indexer, IndexReport
from ftool.search.store import KnowledgeBaseWriter, check_folder, new_meta
from ftool.search.tokens import TokenCounter, TokenizerCounter, WordCounter
from ftool_runtime.bundle.manifest import Manifest
from ftool_runtime.bundle.paths import TOKENIZER_FILE
from ftool_runtime.errors import InputError
from ftool_runtime.knowledge import BundledEmbedder, Embedder, KnowledgeBaseError
from ftool_runtime.knowledge.models import READER_TASK, bundle_fingerprint, found_path, recorded_path
from ftool_runtime.knowledge.schema import Meta
from ftool_runtime.locks import writing

DEFAULT_EMBEDDER = "minilm"

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexSettings:
    """Settings of a knowledge base. None keeps the setting of an existing file, or takes the default for a new file.

    Attributes:
        embedder: a bundle, "minilm", "none" to rank by words only, or an `Embedder`.
        reader: a bundle that extracts answers from passages; the file records its path. "none" for no reader.
        tokens: longest passage in tokens; by default 200, or the embedder's limit if that is lower.
        overlap: most tokens that a passage repeats from the end of the previous one; by default a fifth of `tokens`.
        reading: settings for reading files.
        approximate: whether to have an approximate index of the embeddings; None keeps it if there is one.
        threads: CPU threads for embedding; None: all physical cores.
    """

    embedder: Embedder | str | None = None
    reader: str | None = None
    tokens: int | None = None
    overlap: int | None = None
    reading: ReadSettings = field(default_factory=ReadSettings)
    approximate: bool | None = None
    threads: int | None = None

    def __post_init__(self) -> None:
        if self.tokens is not None:
            # Check the value before a file is created or a model loaded.
            CutSettings(tokens=self.tokens, overlap=0)


class Built(NamedTuple):
    """The result of indexing: reports, and the knowledge base's metadata and numbers of documents and passages.

    `approximate` is the report on the approximate index, None if none was built.
    """

    report: IndexReport
    approximate: ApproximateReport | None
    meta: Meta
    documents: int
    passages: int


def build_index(
    path: Path,
    roots: Sequence[Path],
    settings: IndexSettings,
    *,
    delete: Sequence[str] = (),
    sync: bool = False,
) -> Built:
    """Create or update the knowledge base at `path` with the documents in `roots`.

    Every document is written in its own transaction. Unchanged documents are not written again.

    Args:
        path: the knowledge base's file.
        roots: files and folders to index.
        settings: settings of the knowledge base; for an existing file, those that differ from the file's are an error.
        delete: names of documents to delete before others are indexed.
        sync: whether to delete documents of `roots` whose files are gone, empty or binary.

    Raises:
        BusyError: another process indexes into the same file.
        DocumentError: a root or a document to delete does not exist, or a root is a file whose format needs the
            extra [documents].
        KnowledgeBaseError: the file is not a knowledge base, is locked or damaged, or was made by another embedding
            model.
        RuntimeMissingError: an approximate index is wanted and usearch is not installed.
        FtoolError: a bundle does not exist or can't be loaded.
    """
    missing = next((root for root in roots if not root.exists()), None)
    if missing is not None:
        raise DocumentError(f"{missing}: no such file or folder; check the path")
    invalid = next((root for root in roots if not is_valid_unicode(str(root))), None)
    if invalid is not None:
        shown = str(invalid).encode("utf-8", "backslashreplace").decode()
        raise DocumentError(f"{shown}: its name is not valid Unicode; rename it")
    check_libraries(roots)
    if not roots and not path.exists():
        raise KnowledgeBaseError(f"there is no knowledge base {path}; give documents to create it from")
    check_folder(path)
    with ExitStack() as opened:
        opened.enter_context(writing(path.resolve(), "ftool index"))
        store = opened.enter_context(KnowledgeBaseWriter(path))
        embedding = _embedding(path, store.meta, settings, opened) if roots else _Embedding()
        new = store.meta is None
        prepare_approximate(store, _dimension(store.meta, embedding.embedder), settings.approximate)
        meta = _create_or_update_meta(path, store, embedding, settings)
        cutting = CutSettings(tokens=meta.passage_tokens, overlap=meta.overlap_tokens)
        indexer = Indexer(store, embedding.counter, embedding.embedder, cutting, settings.reading)
        indexer.delete(delete)
        indexer.add(roots, sync=sync)
        if new:
            store.tidy()
        approximate = update_approximate(store, meta.dimension, settings.approximate, settings.threads)
        return Built(indexer.report, approximate, meta, **store.sizes())


class _Embedding(NamedTuple):
    """An embedder with its token counter, the folder of its bundle and its limit; the defaults mean no embedder."""

    embedder: Embedder | None = None
    counter: TokenCounter = WordCounter()
    folder: Path | None = None  # the folder of the embedder's bundle
    max_tokens: int | None = None  # the longest passage, in tokens, that the embedder reads


def _embedding(path: Path, meta: Meta | None, settings: IndexSettings, opened: ExitStack) -> _Embedding:
    """Return the embedder named in the settings, or else the one recorded in the knowledge base.

    `meta` is None for a new file; closing `opened` closes the embedder. Raises KnowledgeBaseError if the file's
    vectors were made by another model.
    """
    chosen = settings.embedder
    if chosen is None:
        chosen = _recorded(path, meta) if meta is not None else DEFAULT_EMBEDDER
    if chosen == NONE:
        _check_model(path, meta, "")
        return _Embedding()
    if meta is not None and not meta.fingerprint:
        raise _other_model(path, "without embeddings, and this call has an embedder")
    if not isinstance(chosen, str):
        _check_model(path, meta, chosen.fingerprint)
        return _Embedding(chosen)
    folder = embedder_bundle(chosen)
    _check_model(path, meta, bundle_fingerprint(folder))  # before loading it, which takes seconds
    embedding = _from_bundle(folder, settings.threads)
    assert isinstance(embedding.embedder, BundledEmbedder)
    opened.callback(embedding.embedder.close)
    return embedding


def _dimension(meta: Meta | None, embedder: Embedder | None) -> int:
    if meta is not None:
        return meta.dimension
    return embedder.dimension if embedder is not None else 0


def _check_model(path: Path, meta: Meta | None, found: str) -> None:
    if meta is not None and found != meta.fingerprint:
        given = f"the fingerprint of this one is {found[:12]}" if found else "this call has none"
        raise _other_model(path, f"with an embedder of fingerprint {meta.fingerprint[:12]}, and {given}")


def _other_model(path: Path, how: str) -> KnowledgeBaseError:
    return KnowledgeBaseError(
        f"{path} was made {how}; leave --embedder out, or index the documents into a new file"
    )


def _recorded(path: Path, meta: Meta) -> str:
    if not meta.fingerprint:
        return NONE
    if not meta.embedder:
        raise KnowledgeBaseError(f"{path} was embedded by an app's own model; pass that embedder")
    folder = found_path(meta.embedder, path)
    if not folder.is_dir():
        raise KnowledgeBaseError(
            f"{path} was made with the embedder in {folder}, which no longer exists; give the folder of its bundle "
            "with --embedder"
        )
    return str(folder)


def _from_bundle(folder: Path, threads: int | None) -> _Embedding:
    embedder = BundledEmbedder(folder, threads=threads)
    counter = TokenizerCounter(folder / TOKENIZER_FILE)
    manifest = Manifest.read(folder)
    assert manifest.embedding is not None
    prompt = manifest.embedding.prompts.get("passage", manifest.input.prefix)
    (special,) = counter.starts([prompt], special=True)
    return _Embedding(embedder, counter, folder, manifest.input.max_length - len(special))


def _create_or_update_meta(
    path: Path, store: KnowledgeBaseWriter, embedding: _Embedding, settings: IndexSettings
) -> Meta:
    """Write the metadata and return it; in an existing file, only the paths of embedder and reader change.

    Raises InputError if the passage length in the settings exceeds the embedder's limit, or if the passage length or
    the overlap differs from that of an existing file.
    """
    recorded: dict[str, Any] = {}
    if embedding.folder is not None:
        recorded["embedder"] = recorded_path(embedding.folder, path)
    if settings.reader is not None:
        recorded["reader"] = "" if settings.reader == NONE else recorded_path(_reader(settings.reader), path)
    if store.meta is None:
        _check_length(settings.tokens, embedding.max_tokens)
        default = CutSettings().tokens
        tokens = min(default, embedding.max_tokens or default) if settings.tokens is None else settings.tokens
        cutting = CutSettings(
            tokens=tokens, overlap=tokens // 5 if settings.overlap is None else settings.overlap
        )
        if embedding.embedder is not None:
            recorded |= {
                "fingerprint": embedding.embedder.fingerprint,
                "dimension": embedding.embedder.dimension,
            }
        return store.create(
            new_meta(passage_tokens=cutting.tokens, overlap_tokens=cutting.overlap, **recorded)
        )
    meta = store.meta
    for name, given, recorded_value in (
        ("--passage-tokens", settings.tokens, meta.passage_tokens),
        ("--overlap", settings.overlap, meta.overlap_tokens),
    ):
        if given is not None and given != recorded_value:
            raise InputError(
                f"{name} {given}: {path} was made with {recorded_value}; leave {name} out, or index the documents "
                "into a new file"
            )
    changed = {name: value for name, value in recorded.items() if value != getattr(meta, name)}
    return store.record(meta, **changed) if changed else meta


def _check_length(tokens: int | None, max_tokens: int | None) -> None:
    if tokens is not None and max_tokens is not None and tokens > max_tokens:
        raise InputError(
            f"--passage-tokens {tokens}: the embedder reads at most {max_tokens} tokens of a passage; lower the value"
        )


def _reader(name: str) -> Path:
    bundle = bundle_folder(Path(name)) or Path(name)
    manifest = Manifest.read(bundle)
    if manifest.task != READER_TASK:
        raise InputError(
            f"{bundle} is a bundle for {manifest.task}; give one for {READER_TASK} as the reader"
        )
    return bundle
