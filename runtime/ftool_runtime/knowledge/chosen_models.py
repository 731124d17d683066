"""Load the models that a knowledge base is opened with, or those that its file names."""

from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final, NamedTuple

from ftool_runtime.knowledge.errors import KnowledgeBaseError
from ftool_runtime.knowledge.models import (
    BundledEmbedder,
    BundledReranker,
    Embedder,
    Reader,
    Reranker,
    found_path,
    load_reader,
)
from ftool_runtime.knowledge.schema import Meta

RECORDED: Final = "recorded"  # the value that stands for the bundle named in the file


class ChosenModels(NamedTuple):
    """Loads the embedder and the reader of the knowledge base at `path`, whose metadata is `meta`.

    The exit stack `opened` closes the loaded models; `loading` has arguments for `ftool_runtime.load`.
    """

    path: Path
    meta: Meta
    opened: ExitStack
    loading: dict[str, Any]

    def embedder(self, given: Embedder | Path | str | None) -> Embedder | None:
        """Return the embedder, or None to rank by words only.

        `given` is the argument `embedder` of `KnowledgeBase.open`.

        Raises KnowledgeBaseError if the embedder is not the model that embedded the documents.
        """
        if given is None or (given == RECORDED and not self.meta.embedder):
            if given == RECORDED and self.meta.fingerprint:
                raise KnowledgeBaseError(
                    f"{self.path} was embedded by an app's own model; open it with that embedder"
                )
            return None
        if isinstance(given, str | Path):
            given = BundledEmbedder(self._folder(given, self.meta.embedder, "embedder"), **self.loading)
            self.opened.callback(given.close)
        if not self.meta.fingerprint:
            raise KnowledgeBaseError(f"{self.path} has no embeddings; open it without an embedder")
        if given.fingerprint != self.meta.fingerprint:
            raise KnowledgeBaseError(
                f"{self.path} was embedded by another model (fingerprint {self.meta.fingerprint[:12]}; this embedder's "
                f"is {given.fingerprint[:12]}); open it with that model, or index the documents again into a new file"
            )
        return given

    def reranker(self, given: Reranker | Path | str | None) -> Reranker | None:
        """Return the reranker; `given` is the argument `reranker` of `open`."""
        if not isinstance(given, str | Path):
            return given
        model = BundledReranker(given, **self.loading)
        self.opened.callback(model.close)
        return model

    def reader(self, given: Reader | Path | str | None) -> Reader | None:
        """Return the reader, or None to find only passages; `given` is the argument `reader` of `open`."""
        if given is None or (given == RECORDED and not self.meta.reader):
            return None
        if isinstance(given, str | Path):
            model: Reader = load_reader(self._folder(given, self.meta.reader, "reader"), **self.loading)
            self.opened.callback(model.close)  # type: ignore[attr-defined]
            return model
        return given

    def _folder(self, given: Path | str, recorded: str, what: str) -> Path:
        if given != RECORDED:
            return Path(given)
        folder = found_path(recorded, self.path)
        if not folder.is_dir():
            raise KnowledgeBaseError(
                f"{self.path} was made with the {what} in {folder}, which no longer exists; give the folder of its "
                f"bundle (--{what}, or {what}=)"
            )
        return folder
