"""The model work of each view: which bundle it opens, and what it yields for a text. No toolkit is imported here."""

import threading
import time
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ftool_runtime as ft
from ftool_runtime.knowledge import FoundAnswer, KnowledgeBase, Passage

GUESSES = 5  # rows of bars
UNSURE_BELOW = 0.35  # for models whose training has fitted no such probability; choose it on validation texts
PASSAGES = 3
NEW_TOKENS = 256  # for bundles that set no limit themselves


@dataclass(frozen=True)
class Guess:
    """A classifier's answer: the labels that apply (none if it is unsure), the best labels, and the time taken.

    `change` is what the model learnt or forgot just before, for the user.
    """

    applying: tuple[str, ...]
    top: tuple[ft.LabelScore, ...]
    milliseconds: float
    truncated: bool
    change: str = ""


@dataclass(frozen=True)
class Correction:
    """What the user says of a text: it has this label."""

    text: str
    label: str


class Undo(str):
    """The text whose label is shown; the latest lesson is to be taken back."""

    __slots__ = ()


class Classifying:
    """The labels of a text. `limit` is the probability below which an answer is unsure; None for independent labels.

    A model that can be taught learns from corrections, and keeps them in the file `lessons`.
    """

    def __init__(self, bundle: Path, lessons: Path | None = None, **loading: Any) -> None:
        self._model = ft.TextClassifier.load(bundle, **loading)
        self.teachable = self._model.teachable
        if self.teachable and lessons is not None:
            try:
                lessons.parent.mkdir(parents=True, exist_ok=True)
                self._model.open_lessons(lessons)
            except BaseException:
                self._model.close()
                raise
        fitted = self._model.none_below
        self.limit = None if self._model.multi_label else UNSURE_BELOW if fitted is None else fitted
        info = self._model.info()
        self.about = f"{info['name']} · {len(self._model.labels)} labels · {_size(info)}"

    @property
    def labels(self) -> tuple[str, ...]:
        """All labels that the model knows now."""
        return self._model.labels

    @property
    def taught(self) -> int:
        """The number of lessons so far."""
        return len(self._model.lessons)

    def answer(self, asked: str | Correction, stopped: threading.Event) -> Generator[Guess, None, None]:
        """Yield one Guess for a text, after the model has learnt or forgotten what was asked for."""
        del stopped  # one short run, which can't be cut off
        text = asked.text if isinstance(asked, Correction) else str(asked)
        change = ""
        if isinstance(asked, Correction):
            self._model.teach(text, asked.label)
            change = f"Learnt: {asked.label}"
        elif isinstance(asked, Undo):
            self._model.undo()
            change = "Taken back"
        start = time.perf_counter()
        found = self._model(text, top_k=GUESSES)
        taken = (time.perf_counter() - start) * 1e3
        sure = self.limit is None or found.score >= self.limit
        yield Guess(found.labels if sure else (), found.top, taken, found.truncated, change)

    def close(self) -> None:
        """Release the model."""
        self._model.close()


@dataclass(frozen=True)
class Excerpt:
    """A passage and its place; `marked` is the range of the answer in `text`, if the answer is there."""

    source: str
    text: str
    marked: tuple[int, int] | None


@dataclass(frozen=True)
class Found:
    """An answer from documents: its text (None without one), and passages, the one that holds the answer first."""

    text: str | None
    read: bool  # whether there is a model that extracts answers; without one, passages are the answer
    excerpts: tuple[Excerpt, ...]
    milliseconds: float


class Asking:
    """Answers from a knowledge base, a file that `ftool index` has written."""

    def __init__(self, path: Path, **options: Any) -> None:
        self._base = KnowledgeBase.open(path, **options)
        sizes = self._base.info()
        self.about = f"{path.name} · {sizes['documents']} documents · {sizes['passages']} passages"

    def answer(self, text: str, stopped: threading.Event) -> Generator[Found, None, None]:
        """Yield one Found."""
        del stopped
        start = time.perf_counter()
        found = self._base.ask(text, k=PASSAGES)
        first_with_answer = sorted(found.passages, key=lambda passage: not found.is_in(passage))
        excerpts = tuple(_excerpt(passage, found) for passage in first_with_answer)
        yield Found(found.text, found.read, excerpts, (time.perf_counter() - start) * 1e3)

    def close(self) -> None:
        """Release the file and its models."""
        self._base.close()


def _excerpt(passage: Passage, found: FoundAnswer) -> Excerpt:
    headings = passage.heading.split(" > ")
    source = " › ".join(filter(None, (passage.document, *headings)))
    text = passage.text
    for heading in headings:  # the source names them already
        text = text.removeprefix(heading).lstrip()
    text = text or passage.text
    if not found.is_in(passage):
        return Excerpt(source, text, None)
    assert found.start is not None
    assert found.end is not None
    begins = passage.end - len(text)
    if found.start < begins:  # in the heading
        return Excerpt(source, passage.text, (found.start - passage.start, found.end - passage.start))
    return Excerpt(source, text, (found.start - begins, found.end - begins))


@dataclass(frozen=True)
class Written:
    """What is known at the end of a written answer."""

    tokens: int
    seconds: float
    cut_off: bool  # at the largest number of tokens


class Writing:
    """Texts that a model writes: a chat if the bundle has a chat template, otherwise an answer to each text alone."""

    def __init__(self, bundle: Path, **loading: Any) -> None:
        self._model: Any = ft.load(bundle, **loading)
        config = getattr(self._model, "generation_config", None)
        if config is None:
            self._model.close()
            raise ft.BundleError(
                f"{bundle} is for a model that does not write texts; give a generator's bundle"
            )
        limited = config.max_new_tokens is not None or config.max_length is not None
        self._options = {} if limited else {"max_new_tokens": NEW_TOKENS}
        self._session = self._model.session() if getattr(self._model, "has_chat_template", False) else None
        info = self._model.info()
        self.about = f"{info['name']} · {info['task']} · {_size(info)}"

    def answer(self, text: str, stopped: threading.Event) -> Generator[str | Written, None, None]:
        """Yield the text as it is written, piece by piece, then a Written. A stopped answer stays in the chat."""
        start = time.perf_counter()
        talker = self._model if self._session is None else self._session
        with talker.stream(text, **self._options) as stream:
            if stopped.is_set():
                stream.cancel()
            for piece in stream:
                yield piece
                if stopped.is_set():
                    stream.cancel()
        written = stream.result
        seconds = time.perf_counter() - start
        yield Written(len(written.token_ids), seconds, written.finish_reason == "length")

    def close(self) -> None:
        """Release the chat's caches and the model."""
        if self._session is not None:
            self._session.close()
        self._model.close()


def _size(info: dict[str, Any]) -> str:
    return f"{info['precision']}, {info['bytes'] / 1e6:.0f} MB"
