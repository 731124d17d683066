"""`build_index`: a knowledge base made of documents, or brought up to date with them."""

import logging
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from ftool.search.chunks import CutSettings
from ftool.search.embed import NONE, bundle_folder, embedder_bundle
from ftool.search.files import ReadSettings, encodes
from ftool.search.index import Indexer, IndexReport
from ftool.search.store import KnowledgeBaseWriter, new_meta
from ftool.search.tokens import TokenCounter, TokenizerCounter, WordCounter
from ftool.search.types import DocumentError
from ftool_runtime.bundle.manifest import Manifest
from ftool_runtime.bundle.paths import TOKENIZER_FILE
from ftool_runtime.errors import InputError
from ftool_runtime.knowledge import BundledEmbedder, Embedder, KnowledgeBaseError
from ftool_runtime.knowledge.models import READER_TASK, bundle_fingerprint, found_path, recorded_path
from ftool_runtime.knowledge.schema import Meta

DEFAULT_EMBEDDER = "minilm"

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexSettings:
    """How a knowledge base is made. None is as it was made before, or of a new one the default.

    Attributes:
        embedder: a bundle, "minilm", or "none" to rank by words alone; or an embedder of one's own.
        reader: a bundle that takes answers from passages, named in the file for whoever asks.
        tokens: of a passage, at most; by default 200, or what the embedder reads.
        overlap: tokens of a passage that the next one repeats, at most; by default a fifth of `tokens`.
        reading: how files are read.
        threads: CPU threads to embed by; None: all physical cores.
    """

    embedder: Embedder | str | None = None
    reader: str | None = None
    tokens: int | None = None
    overlap: int | None = None
    reading: ReadSettings = field(default_factory=ReadSettings)
    threads: int | None = None

    def __post_init__(self) -> None:
        if self.tokens is not None:
            # Refuses too few before a file is begun or a model loaded.
            CutSettings(tokens=self.tokens, overlap=0)


class Built(NamedTuple):
    """What was done, and what the knowledge base is now."""

    report: IndexReport
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
    """Bring the knowledge base at `path` up to date with the documents in files and folders, or begin one.

    Every document is written in a transaction of its own. What is there already, and unchanged, is left alone.

    Args:
        path: the file.
        roots: files and folders.
        settings: how it is made; an existing file keeps to what it was made with.
        delete: names of documents to delete first.
        sync: whether documents of `roots` whose files are gone, empty or binary are deleted.

    Raises:
        DocumentError: a root or a document to delete is not there.
        KnowledgeBaseError: the file is something else, locked or damaged, or made by another embedding model.
        FtoolError: there is no such bundle, or it can't be loaded.
    """
    missing = next((root for root in roots if not root.exists()), None)
    if missing is not None:
        raise DocumentError(f"{missing}: there is no such file or folder to index")
    odd = next((root for root in roots if not encodes(str(root))), None)
    if odd is not None:
        raise DocumentError(
            f"{str(odd).encode('utf-8', 'backslashreplace').decode()}: no valid Unicode; rename it"
        )
    if not roots and not path.exists():
        raise KnowledgeBaseError(f"there is no knowledge base {path}; name documents to make one of")
    with ExitStack() as opened:
        store = opened.enter_context(KnowledgeBaseWriter(path))
        embedding = _embedding(path, store.meta, settings, opened) if roots else _Embedding()
        new = store.meta is None
        meta = _agreed(path, store, embedding, settings)
        cutting = CutSettings(tokens=meta.passage_tokens, overlap=meta.overlap_tokens)
        indexer = Indexer(store, embedding.counter, embedding.embedder, cutting, settings.reading)
        indexer.delete(delete)
        indexer.add(roots, sync=sync)
        if new:
            store.tidy()
        return Built(indexer.report, meta, **store.sizes())


class _Embedding(NamedTuple):
    """An embedder and what goes with it."""

    embedder: Embedder | None = None
    counter: TokenCounter = WordCounter()
    folder: Path | None = None  # of its bundle
    reads: int | None = None  # tokens of a passage, at most


def _embedding(path: Path, meta: Meta | None, settings: IndexSettings, opened: ExitStack) -> _Embedding:
    """The embedder that was asked for, or that the file has. Raises KnowledgeBaseError where these differ."""
    asked = settings.embedder
    if asked is None:
        asked = _recorded(path, meta) if meta is not None else DEFAULT_EMBEDDER
    if asked == NONE:
        _check_model(path, meta, "")
        return _Embedding()
    if meta is not None and not meta.fingerprint:
        raise _other_model(path, "without embeddings, and this call has an embedder")
    if not isinstance(asked, str):
        _check_model(path, meta, asked.fingerprint)
        return _Embedding(asked)
    folder = embedder_bundle(asked)
    _check_model(path, meta, bundle_fingerprint(folder))  # before it is loaded, which takes seconds
    embedding = _from_bundle(folder, settings.threads)
    assert isinstance(embedding.embedder, BundledEmbedder)
    opened.callback(embedding.embedder.close)
    return embedding


def _check_model(path: Path, meta: Meta | None, found: str) -> None:
    if meta is not None and found != meta.fingerprint:
        given = f"this one's is {found[:12]}" if found else "this call has none"
        raise _other_model(path, f"by a model of fingerprint {meta.fingerprint[:12]}, and {given}")


def _other_model(path: Path, how: str) -> KnowledgeBaseError:
    return KnowledgeBaseError(
        f"{path} was made {how}; leave --embedder out, or index the documents into a new file"
    )


def _recorded(path: Path, meta: Meta) -> str:
    if not meta.fingerprint:
        return NONE
    if not meta.embedder:
        raise KnowledgeBaseError(f"{path} was embedded by a model of an app's own; hand that one in")
    folder = found_path(meta.embedder, path)
    if not folder.is_dir():
        raise KnowledgeBaseError(
            f"{path} was made with the embedder in {folder}, which is not there any more; say where its bundle lies "
            "now with --embedder"
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


def _agreed(path: Path, store: KnowledgeBaseWriter, embedding: _Embedding, settings: IndexSettings) -> Meta:
    """What the file says of itself after this call: a new one is given all of it, another what may change."""
    recorded: dict[str, Any] = {}
    if embedding.folder is not None:
        recorded["embedder"] = recorded_path(embedding.folder, path)
    if settings.reader is not None:
        recorded["reader"] = "" if settings.reader == NONE else recorded_path(_reader(settings.reader), path)
    if store.meta is None:
        _check_length(settings.tokens, embedding.reads)
        usual = CutSettings().tokens
        tokens = min(usual, embedding.reads or usual) if settings.tokens is None else settings.tokens
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
    for name, asked, kept in (
        ("--passage-tokens", settings.tokens, meta.passage_tokens),
        ("--overlap", settings.overlap, meta.overlap_tokens),
    ):
        if asked is not None and asked != kept:
            raise InputError(
                f"{name} {asked}: {path} was made with {kept}; leave it out, or index the documents into a new file"
            )
    changed = {name: value for name, value in recorded.items() if value != getattr(meta, name)}
    return store.record(meta, **changed) if changed else meta


def _check_length(tokens: int | None, reads: int | None) -> None:
    if tokens is not None and reads is not None and tokens > reads:
        raise InputError(f"--passage-tokens {tokens}: the embedder reads {reads} and would cut the rest off")


def _reader(name: str) -> Path:
    bundle = bundle_folder(Path(name)) or Path(name)
    manifest = Manifest.read(bundle)
    if manifest.task != READER_TASK:
        raise InputError(f"{bundle} is a bundle for {manifest.task}; a reader is one for {READER_TASK}")
    return bundle
