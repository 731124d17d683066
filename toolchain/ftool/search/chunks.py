"""Split documents into passages, which end at ends of paragraphs if possible, otherwise at ends of sentences."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

from ftool.search.sentences import Stretch, last_end, lines, paragraphs, sentences
from ftool.search.tokens import TokenCounter
from ftool.search.types import HEADING_SEPARATOR, CutPassage, Heading, Piece, Title
from ftool_runtime.errors import InputError

_BLOCK = 2**16  # characters of a document that are split at a time
_LONGEST_HEADING = 200  # characters kept of a heading or title
_LEAST_TOKENS = 16  # smallest allowed length of a passage in tokens, about one short sentence


@dataclass(frozen=True, slots=True, kw_only=True)
class CutSettings:
    """Limits for the lengths of passages. Raises InputError for limits that are too small or too large.

    Attributes:
        tokens: longest passage in tokens, including the headings above it.
        overlap: most tokens, in whole sentences, that a passage repeats from the end of the previous passage.
    """

    tokens: int = 200
    overlap: int = 40

    def __post_init__(self) -> None:
        if self.tokens < _LEAST_TOKENS:
            raise InputError(
                f"--passage-tokens: a passage must be allowed at least {_LEAST_TOKENS} tokens, got {self.tokens}"
            )
        if not 0 <= self.overlap <= self.tokens // 2:
            raise InputError(
                f"passages of {self.tokens} tokens may overlap by 0 to {self.tokens // 2} tokens, got {self.overlap}"
            )


class _Segment(NamedTuple):
    """A sentence or a part of one: start in the document, text, white space before the text, length in tokens."""

    start: int
    text: str
    before: str
    tokens: int

    @property
    def end(self) -> int:
        return self.start + len(self.text)


class DocumentCutter:
    """Splits one document into passages, with memory that does not grow with the document's length.

    After all `passages` have been read, the attributes `title`, `characters` (the length of the text) and `tail` (the
    white space after the last passage) are set.
    """

    def __init__(self, counter: TokenCounter, settings: CutSettings) -> None:
        """Prepare to split one document; `counter` measures lengths in tokens."""
        self.title = ""
        self.tail = ""
        self.characters = 0
        self._counter = counter
        self._settings = settings
        self._headings: list[Heading] = []
        self._room = settings.tokens  # tokens left for a passage's own text, below the headings
        self._waiting: list[str] = []  # text that is not split yet
        self._waiting_length = 0  # in characters
        self._cut_to = 0  # end of the last segment
        self._heading_end = 0  # end of the last heading's own text
        self._open: list[_Segment] = []  # the passage that is not full yet
        self._fresh = 0  # number of its segments that are not repeated from the previous passage

    def passages(self, pieces: Iterable[Piece]) -> Iterator[CutPassage]:
        """Yield the passages of the document whose text and headings are `pieces`, in order.

        Errors raised by reading `pieces` are passed on.
        """
        before: Piece = ""
        for piece in pieces:
            if isinstance(piece, Title):
                self.title = piece.text[:_LONGEST_HEADING]
                self._measure_heading()
            elif isinstance(piece, Heading):
                yield from self._cut_waiting(whole=True)
                yield from self._begin_section(piece)
            else:
                self._waiting.append(piece)
                self._waiting_length += len(piece)
                self.characters += len(piece)
                if isinstance(before, Heading):
                    self._heading_end = self.characters
                if self._waiting_length >= _BLOCK:
                    yield from self._cut_waiting(whole=False)
            before = piece
        yield from self._cut_waiting(whole=True)
        yield from self._close()
        self.tail = "".join(self._waiting)

    def _begin_section(self, heading: Heading) -> Iterator[CutPassage]:
        """Start a section: yield the open passage, unless it holds only headings, which stay with the text below."""
        if self._cut_to > self._heading_end:
            yield from self._close()
        self._headings = [above for above in self._headings if above.level < heading.level]
        self._headings.append(Heading(heading.level, heading.text[:_LONGEST_HEADING]))
        self._measure_heading()

    def _heading(self) -> str:
        texts = [heading.text for heading in self._headings]
        if self.title and self.title not in texts:
            texts = [self.title, *texts]
        return HEADING_SEPARATOR.join(texts)

    def _measure_heading(self) -> None:
        (starts,) = self._counter.starts([self._heading()])
        self._room = max(self._settings.tokens - len(starts), self._settings.tokens // 2)

    def _cut_waiting(self, *, whole: bool) -> Iterator[CutPassage]:
        """Split the text in `_waiting` and yield the passages that are full.

        Unless `whole` is true, the text after the last boundary stays in `_waiting`, because its last sentence may
        continue in the next piece.
        """
        text = "".join(self._waiting)
        end = len(text) if whole else last_end(text)
        base = self.characters - len(text)
        for paragraph in self._segments(text, base, end):
            yield from self._add(paragraph)
        rest = text[self._cut_to - base :]
        self._waiting, self._waiting_length = [rest], len(rest)

    def _segments(self, text: str, base: int, end: int) -> Iterator[list[_Segment]]:
        """Yield the segments of each paragraph in `text[:end]`; `base` is the position of `text` in the document."""
        parts = [list(sentences(text, *paragraph)) for paragraph in paragraphs(text, 0, end)]
        counted = iter(self._counter.starts([text[s.start : s.end] for part in parts for s in part]))
        for part in parts:
            short = [piece for sentence in part for piece in self._shortened(text, sentence, next(counted))]
            segments = []
            for (start, stop), tokens in short:
                before = text[self._cut_to - base : start]
                segments.append(_Segment(base + start, text[start:stop], before, max(tokens, 1)))
                self._cut_to = base + stop
            yield segments

    def _shortened(self, text: str, sentence: Stretch, starts: Sequence[int]) -> list[tuple[Stretch, int]]:
        """Return the sentence or, if the sentence is too long for a passage, parts that fit; each with its token count.

        The parts are lines if possible. `starts` holds the positions of the sentence's tokens.
        """
        if len(starts) <= self._room:
            return [(sentence, len(starts))]
        parts = list(lines(text, *sentence))
        if len(parts) > 1:
            counts = self._counter.starts([text[part.start : part.end] for part in parts])
            return [
                short
                for part, count in zip(parts, counts, strict=True)
                for short in self._shortened(text, part, count)
            ]
        return _cut_by_tokens(text, sentence, starts, self._room)

    def _add(self, paragraph: Sequence[_Segment]) -> Iterator[CutPassage]:
        """Add a paragraph to the open passage, and yield each passage that becomes full.

        If the open passage is at least half full and only a new passage can hold the whole paragraph, a new passage
        starts.
        """
        size = sum(segment.tokens for segment in paragraph)
        used = self._used()
        if used >= self._room / 2 and used + size > self._room >= size:
            yield from self._close(overlap_for=paragraph[0])
        for segment in paragraph:
            if self._open and self._used() + segment.tokens > self._room:
                yield from self._close(overlap_for=segment)
            self._open.append(segment)
            self._fresh += 1

    def _used(self) -> int:
        return sum(segment.tokens for segment in self._open)

    def _close(self, overlap_for: _Segment | None = None) -> Iterator[CutPassage]:
        """Yield the open passage and start a new one.

        If `overlap_for`, the next segment, is given, the new passage begins with those of the old passage's last
        sentences that fit before this segment.
        """
        if self._fresh:
            first, *others = self._open
            text = first.text + "".join(segment.before + segment.text for segment in others)
            gap = first.before if self._fresh == len(self._open) else ""
            yield CutPassage(start=first.start, text=text, gap=gap, heading=self._heading())
        self._open = self._overlap(overlap_for) if overlap_for is not None else []
        self._fresh = 0

    def _overlap(self, following: _Segment) -> list[_Segment]:
        kept: list[_Segment] = []
        room = min(self._settings.overlap, self._room - following.tokens)
        for segment in reversed(
            self._open[1:]
        ):  # leave out the first, so that a whole passage is never repeated
            room -= segment.tokens
            if room < 0:
                break
            kept.insert(0, segment)
        return kept


def _cut_by_tokens(
    text: str, stretch: Stretch, starts: Sequence[int], room: int
) -> list[tuple[Stretch, int]]:
    """Return parts of a stretch, cut between words if possible, each with its token count, which is at most `room`.

    `starts` holds the positions of the stretch's tokens.
    """
    cuts, first = [0], 0
    while len(starts) - first > room:
        last = first + room
        spaced = (
            at for at in range(last, first + room // 2, -1) if text[stretch.start + starts[at] - 1].isspace()
        )
        first = next(spaced, last)
        cuts.append(first)
    bounds = [starts[cut] if cut else 0 for cut in cuts] + [stretch.end - stretch.start]
    counts = [*(after - before for before, after in pairwise(cuts)), len(starts) - cuts[-1]]
    ends = [stretch.start + len(text[stretch.start : stretch.start + end].rstrip()) for end in bounds[1:]]
    return [
        (Stretch(stretch.start + start, end), count)
        for start, end, count in zip(bounds, ends, counts, strict=False)
    ]
