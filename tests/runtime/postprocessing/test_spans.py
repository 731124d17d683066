"""From logits of windows to spans: the result equals that of trying every pair of tokens in all windows."""

import itertools

import numpy as np
import pytest
from numpy.typing import NDArray

from ftool_runtime.errors import BundleError
from ftool_runtime.postprocessing.spans import Span, Spans, find_spans
from ftool_runtime.text.encode import Tokens
from ftool_runtime.text.windows import Window

WORDS = tuple(f"w{number:02d}" for number in range(40))
CONTEXT = " ".join(WORDS)
QUESTION = 3  # tokens before the text: [CLS], one of the question, [SEP]


def window(first: int, last: int) -> Window:
    """The words from `first` up to `last`, one token each."""
    offsets = [(0, 0)] * QUESTION + [(4 * word, 4 * word + 3) for word in range(first, last)] + [(0, 0)]
    ids = list(range(len(offsets)))
    return Window(Tokens(ids, None, truncated=False), offsets, range(QUESTION, len(offsets) - 1))


def logits_of(windows: list[Window], seed: int = 0) -> list[NDArray[np.float32]]:
    random = np.random.default_rng(seed)
    return [random.normal(size=(len(one.offsets), 2)).astype(np.float32) for one in windows]


def by_trying_all(windows: list[Window], logits: list[NDArray[np.float32]], longest: int) -> list[Span]:
    scores: dict[tuple[int, int], float] = {}
    for one, values in zip(windows, logits, strict=True):
        for first, last in itertools.product(one.text_positions, repeat=2):
            if first <= last < first + longest:
                place = one.offsets[first][0], one.offsets[last][1]
                score = float(values[first, 0]) + float(values[last, 1])
                scores[place] = max(score, scores.get(place, -np.inf))
    return sorted((Span(*place, score) for place, score in scores.items()), key=lambda span: -span.score)


@pytest.mark.parametrize("longest", [1, 2, 7, 100])
@pytest.mark.parametrize("seed", range(5))
def test_spans_are_the_best_of_all_pairs_of_tokens(longest: int, seed: int) -> None:
    windows = [window(0, 20), window(12, 32), window(24, 40)]
    logits = logits_of(windows, seed)
    found = find_spans(CONTEXT, windows, logits, max_answer_length=longest, n_best=6)
    expected = by_trying_all(windows, logits, longest)
    assert found.best == tuple(expected[:6])
    assert found.no_answer == min(float(values[0, 0]) + float(values[0, 1]) for values in logits)


def test_question_and_special_tokens_are_never_part_of_an_answer() -> None:
    windows = [window(0, 10)]
    logits = logits_of(windows)
    logits[0][[0, 1, 2, -1]] = 100.0  # far above all of the text's
    for span in find_spans(CONTEXT, windows, logits, max_answer_length=30).best:
        assert CONTEXT[span.start : span.end].split()[0] in WORDS[:10]


def test_an_answer_on_a_border_is_found_in_the_window_that_holds_all_of_it() -> None:
    """Windows overlap by 8 tokens, so an answer of 9 tokens is completely in one of them, wherever it is."""
    windows = [window(0, 20), window(12, 32), window(24, 40)]
    for first in range(32):
        logits = logits_of(windows)
        for one, values in zip(windows, logits, strict=True):
            for place in one.text_positions:
                values[place, 0] += 50 * (one.offsets[place][0] == 4 * first)
                values[place, 1] += 50 * (one.offsets[place][1] == 4 * (first + 8) + 3)
        best = find_spans(CONTEXT, windows, logits, max_answer_length=9).best[0]
        assert CONTEXT[best.start : best.end] == " ".join(WORDS[first : first + 9])


def test_a_span_of_two_windows_counts_once_with_its_better_score() -> None:
    windows = [window(0, 10), window(0, 10)]
    low, high = logits_of(windows)
    high = low + 1
    found = find_spans(CONTEXT, windows, [low, high], max_answer_length=5, n_best=40)
    places = [(span.start, span.end) for span in found.best]
    assert len(set(places)) == len(places) == 40
    alone = find_spans(CONTEXT, windows[1:], [high], max_answer_length=5, n_best=40)
    assert found.best == alone.best


def test_no_answer_is_chosen_if_it_is_above_by_more_than_the_threshold() -> None:
    spans = Spans((Span(0, 3, 4.0),), no_answer=5.0)
    assert spans.margin == -1.0
    assert not spans.answered(0.0)
    assert spans.answered(1.0)  # not more than the threshold
    assert spans.answered(None)  # a model that knows no unanswerable questions
    assert not Spans((), no_answer=0.0).answered(None)


def test_probabilities_are_a_softmax_over_the_spans_and_no_answer() -> None:
    spans = Spans((Span(0, 3, 2.0), Span(4, 7, 1.0)), no_answer=0.0)
    np.testing.assert_allclose(spans.probabilities(with_no_answer=True), [0.66524096, 0.24472847, 0.09003057])
    np.testing.assert_allclose(spans.probabilities(with_no_answer=False), [0.73105858, 0.26894142])


def test_white_space_that_tokens_hold_is_left_out() -> None:
    context = " the  man"
    windows = [
        Window(Tokens([0, 1, 2, 3], None, truncated=False), [(0, 0), (0, 4), (4, 6), (5, 9)], range(1, 4))
    ]
    logits = [np.array([[0, 0], [5, 1], [0, 0], [4, 5]], dtype=np.float32)]
    best = find_spans(context, windows, logits, max_answer_length=3).best
    assert [context[span.start : span.end] for span in best[:3]] == ["the  man", "man", "the"]
    assert all(span.end > span.start for span in best)  # the token of spaces alone is no answer


def test_a_window_without_a_token_of_the_text_has_only_its_no_answer() -> None:
    nothing = Window(Tokens([0, 1], None, truncated=False), [(0, 0), (0, 0)], range(0))
    found = find_spans(CONTEXT, [nothing], [np.ones((2, 2), dtype=np.float32)], max_answer_length=3)
    assert found == Spans((), 2.0)
    assert not found.answered(100.0)


def test_a_logit_that_is_not_a_number_is_refused() -> None:
    windows = [window(0, 5)]
    logits = logits_of(windows)
    logits[0][4, 1] = np.nan
    with pytest.raises(BundleError, match="not a finite number"):
        find_spans(CONTEXT, windows, logits, max_answer_length=3)
