"""The `Task` rows for summarization, translation and text generation."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from ftool.data.dataset import Dataset, Split
from ftool.data.rows.generation import GenerationExample
from ftool.data.rows.pairs import PairReader
from ftool.data.rows.prompts import PromptReader
from ftool.errors import RecipeError
from ftool.recipe.sections import Sections
from ftool.tasks.base import Task

if TYPE_CHECKING:
    from ftool.evaluation.baselines import FittedBaseline
    from ftool.evaluation.generation_split import GenerationSplit
    from ftool.evaluation.mistakes import WrongAnswers
    from ftool.evaluation.open_model import OpenModel
    from ftool.evaluation.results import Measurements

log = logging.getLogger(__name__)

_CONTEXT: Final = 512  # tokens of prompt and answer together
_SHOWN: Final = 3  # answers in tables
_GIVEN: Final = 8  # tokens at the start of a plain text that an export uses as its prompt
_TIMED: Final = 24  # tokens at the start of a plain text that bench uses as its prompt
_LONGEST_TIMED: Final = 1000  # characters of a plain text that are tokenised to find these


def _pair_defaults(recipe: Sections) -> Mapping[str, Any]:
    return {"train.max_length": 128, "generation.max_new_tokens": recipe.train.max_target_length}


def _text_defaults(recipe: Sections) -> Mapping[str, Any]:
    return {**_pair_defaults(recipe), "train.max_length": _CONTEXT}


def _check_room(recipe: Sections) -> None:
    longest, answer = recipe.train.max_length, recipe.train.max_target_length
    if answer >= longest:
        raise RecipeError(
            f"train.max_target_length must be below train.max_length, which holds prompt and answer, got {answer} "
            f"and {longest}; raise train.max_length or lower train.max_target_length"
        )


def _create(recipe: Sections, data: Dataset[GenerationExample]) -> Any:
    from ftool.training.generator_start import create_generator

    return create_generator(recipe, data)


def _load(
    name: str,
    checkpoint: str | Path,
    *,
    source_language: str | None = None,
    target_language: str | None = None,
) -> Any:
    from ftool_export.checkpoints.generator import load_generator

    return _in_languages(load_generator(checkpoint, name), source_language, target_language)


def _lengths(loaded: Any, recipe: Sections) -> Mapping[str, Any]:
    """Return the most tokens that training uses, as train.max_length; a decoder's context may be longer."""
    return {"train.max_length": min(recipe.train.max_length, loaded.max_length)}


def _objective(
    loaded: Any,
    _: Dataset[GenerationExample],
    splits: Mapping[str, "GenerationSplit"],
    recipe: Sections,
) -> Any:
    from ftool.training.generator import GeneratorObjective

    return GeneratorObjective(loaded, splits["train"].rows, splits["validation"], recipe)


def _answering(loaded: Any) -> Any:
    from ftool.evaluation.open_model import TorchGenerator

    return TorchGenerator(loaded)


def _fit(
    scores: Literal["bleu", "rouge"],
    model: "OpenModel",
    split: Split[GenerationExample],
    name: str,
    recipe: Sections,
    *,
    training: bool = False,
) -> tuple["GenerationSplit", Mapping[str, Any]]:
    """Tokenise a split. For training, each assistant turn becomes an example, cut to train.max_length tokens."""
    from ftool.evaluation.generation_split import GenerationSplit
    from ftool.training.generator_rows import assistant_turns, tokenize_examples, warn_of_cut

    loaded, limit = model.reference(), recipe.train.max_target_length
    examples = assistant_turns(split.examples) if training else split.examples
    longest = min(recipe.train.max_length, loaded.max_length) if training else None
    rows = tokenize_examples(loaded, examples, max_target_length=limit, max_length=longest)
    warn_of_cut(rows, name, max_length=longest or loaded.max_length, max_target_length=limit)
    facts: dict[str, Any] = {
        "tokens": sum(len(row) for row in rows.rows),
        "texts_cut": {"sources": rows.sources_cut, "answers": rows.answers_cut},
    }
    if training:
        facts["training_texts_altered"] = _altered(loaded, split)
    written = GenerationSplit(
        examples=split.examples,
        rows=rows.rows,
        scores=scores,
        language=recipe.data.target_language,
        table=split.table,
    )
    return written, facts


def _altered(loaded: Any, split: Split[GenerationExample]) -> int:
    """Return how many training texts the tokenizer alters; log a warning if there are any."""
    from ftool.training.scratch.tokenizer import count_altered

    turns = [message.content for example in split.examples for message in example.messages or ()]
    pairs = [text for example in split.examples for text in (example.source, example.targets[0])]
    texts = [text for text in (*pairs, *turns) if text]
    if altered := count_altered(loaded.tokenizer, texts):
        log.warning(
            "%d of %d training texts are altered by the tokenizer; choose a base that knows their characters",
            altered, len(texts),
        )  # fmt: skip
    return altered


def _measure(model: "OpenModel", split: "GenerationSplit") -> "Measurements":
    import numpy as np

    from ftool.evaluation.confidence_intervals import every_estimate, metrics_of
    from ftool.evaluation.metrics.generation import text_statistics
    from ftool.evaluation.results import Measurements, ShownAnswer

    tokens = split.token_statistics(model.model.score_tokens)
    metrics: dict[str, Any] = metrics_of(tokens, np.arange(len(tokens)))
    answers: list[str] = []
    if split.answerable:  # plain text is continued, not answered
        texts, answers = split.text_metrics(partial(_answers, model, split))
        metrics = texts | metrics
    shown = tuple(
        ShownAnswer(given=_shown_input(example), answer=answer, reference=example.targets[0])
        for example, answer in zip(split.examples[:_SHOWN], answers[:_SHOWN], strict=False)
    )
    references = [example.targets for example in split.examples]
    statistics = partial(text_statistics, answers, references, scores=split.scores, language=split.language)
    return Measurements(
        metrics=metrics,
        statistics=statistics if answers else None,
        token_statistics=lambda: tokens,
        predictions=partial(_predictions, split, answers) if answers else None,
        wrong=partial(_wrong, split, answers) if answers else None,
        intervals=partial(every_estimate, tokens),
        shown=shown,
    )


def _wrong(split: "GenerationSplit", answers: Sequence[str], name: str) -> "WrongAnswers":
    from ftool.evaluation.wrong_texts import find_wrong_texts

    return find_wrong_texts(split.examples, answers, split=name)


def _baselines(
    names: Sequence[str], data: Dataset[GenerationExample], fitted: "GenerationSplit", recipe: Sections
) -> "list[FittedBaseline]":
    """Return the baselines of these names in `simple_answers.BASELINES`."""
    import numpy as np

    from ftool.evaluation.baselines import FittedBaseline
    from ftool.evaluation.confidence_intervals import metrics_of
    from ftool.evaluation.metrics.generation import text_statistics
    from ftool.evaluation.statistics import Statistics, with_main
    from ftool.training.baselines.simple_answers import BASELINES

    def measure(texts: Sequence[str], examples: Sequence[GenerationExample]) -> Statistics:
        references = [one.targets for one in examples]
        found = text_statistics(texts, references, scores=fitted.scores, language=fitted.language)
        return with_main(found, recipe.train.metric)

    def score(texts: Sequence[str], examples: Sequence[GenerationExample]) -> float:
        found = measure(texts, examples)
        return metrics_of(found, np.arange(len(found)))[found.main]

    answers = {name: BASELINES[name](data, fitted.examples, score, recipe.train.seed) for name in names}
    return [
        FittedBaseline(
            name=name,
            title=one.title,
            statistics=partial(measure, one.texts, fitted.examples),
            learnt_from=one.learnt_from,
            trivial=one.trivial,
        )
        for name, one in answers.items()
    ]


def _answers(model: "OpenModel", split: "GenerationSplit", prompts: Sequence[Sequence[int]]) -> list[str]:
    """Return the model's answers to `prompts`, the tokenised prompts of `split`, as an application would get them.

    The exception is a conversation that leaves no room for an answer: an application would get an error, but here the
    conversation is cut, as in training.
    """
    from ftool.training.generator_rows import is_chat

    if model.on == "run":
        return list(model.model.write(prompts))
    if is_chat(split.examples):
        return [model.model.decode(answer.ids) for answer in model.model.generate(prompts)]
    return [answer.text for answer in model.model([one.source for one in split.examples], overflow="cut")]


def _predictions(split: "GenerationSplit", answers: Sequence[str]) -> list[dict[str, Any]]:
    """Return a row of predictions for each example: the input, the model's answer and the reference answers."""
    return [
        {"row": one.row, "input": one.input, "predicted": answer, "references": list(one.targets)}
        for one, answer in zip(split.examples, answers, strict=True)
    ]


def _shown_input(example: GenerationExample) -> str:
    return str(example.messages[-1].content if example.messages else example.source)


def _examples(_: Any, split: "GenerationSplit", recipe: Sections) -> Any:
    from ftool.evaluation.confidence_intervals import difference_error
    from ftool.evaluation.metrics.generation import score_called, text_metrics, text_statistics
    from ftool_export.examples.generation import GenerationExamples

    metric, rows = str(recipe.train.metric), split.rows
    if not split.answerable:
        whole = [[*row.given, *row.answer] for row in rows if len(row.answer) > _GIVEN]
        return GenerationExamples(
            inputs=[row[:_GIVEN] for row in whole],
            metric="token_accuracy",
            targets=[row[_GIVEN:] for row in whole],
        )
    given = [row.given for row in rows]
    if metric == "token_accuracy":
        return GenerationExamples(inputs=given, metric=metric, targets=[row.answer for row in rows])
    references = [example.targets for example in split.examples]

    def score(positions: Sequence[int], answers: Sequence[str]) -> float:
        right = [references[position] for position in positions]
        return score_called(
            metric, text_metrics(answers, right, scores=split.scores, language=split.language)
        )

    def uncertainty(positions: Sequence[int], *both: Sequence[str]) -> float:
        right = [references[position] for position in positions]
        one, other = (
            text_statistics(answers, right, scores=split.scores, language=split.language) for answers in both
        )
        return difference_error(one, other, metric)

    return GenerationExamples(inputs=given, metric=metric, scorer=score, uncertainty=uncertainty)


def _samples(loaded: Any) -> Any:
    from ftool_export.examples.generation import sample_examples

    return sample_examples(loaded)


def _in_languages(loaded: Any, source: str | None, target: str | None) -> Any:
    """Return `loaded` set to two languages. Raises CheckpointError if `loaded` is a run/ with other languages."""
    from ftool_export.checkpoints.languages import set_to_languages
    from ftool_export.errors import CheckpointError
    from ftool_runtime.bundle.manifest import Languages

    if loaded.training_sha256 is None:
        return set_to_languages(loaded, source, target)
    own = loaded.languages or Languages()
    for option, asked, known in (("source", source, own.source), ("target", target, own.target)):
        if asked is not None and asked != known:
            raise CheckpointError(
                f"--{option}-language {asked}: this run was trained with {known or 'none'}; leave it out"
            )
    return loaded


def _timed(split: Split[GenerationExample], bundle: Path) -> Sequence[Any]:
    """Return a split's inputs for bench: sources, conversations up to the answer, or the beginnings of plain texts.

    A beginning has at most 24 tokens, and at most half as many tokens as the bundle's context. Beginnings are measured
    in tokens, not words, because not every script has spaces between words. Raises BundleError if the bundle can't be
    read.
    """
    from ftool_runtime.bundle.manifest import Manifest
    from ftool_runtime.bundle.paths import TOKENIZER_FILE
    from ftool_runtime.text.generation_tokenizer import GenerationTokenizer

    contract = Manifest.read(bundle).generation
    context = contract.max_length if contract else None
    most = _TIMED if context is None else min(_TIMED, context // 2)
    tokens = GenerationTokenizer(bundle / TOKENIZER_FILE)
    return [
        example.input or tokens.beginning(example.targets[0].strip()[:_LONGEST_TIMED], most)
        for example in split.examples
    ]


_SHARED: Final = frozenset(
    {
        "data.source",
        "data.target",
        "train.max_target_length",
        "train.optimizer",
        "train.metric",
        "train.evaluation_examples",
        "train.gradient_checkpointing",
        "train.dropout",
        "train.tokenizer",
        "train.vocabulary_size",
        "generation",
    }
)
TRANSLATION = Task(
    name="translation",
    reader=PairReader,
    settings=_SHARED | {"data.target_file", "data.source_language", "data.target_language", "data.prefix"},
    defaults=_pair_defaults,
    instead={
        "data.text": "data.source is the column of the source texts",
        "data.label": "data.target is the column of the target texts",
    },
    metrics=("bleu", "chrf", "exact_match", "token_accuracy"),
    precision="w8",
    standard_precision="w8",
    scratch=("t5", "bart"),
    named_bases=False,
    create=_create,
    facts=frozenset({"source_language", "target_language"}),
    load=partial(_load, "translation"),
    lengths=_lengths,
    objective=_objective,
    answering=_answering,
    fit=partial(_fit, "bleu"),
    measure=_measure,
    baselines=partial(_baselines, ("copy", "nearest")),
    extra="generate",
    predicts=True,
    examples=_examples,
    samples=_samples,
    timed=_timed,
)

SUMMARIZATION = replace(
    TRANSLATION,
    name="summarization",
    load=partial(_load, "summarization"),
    fit=partial(_fit, "rouge"),
    baselines=partial(_baselines, ("lead",)),
    metrics=("rougeL", "rougeLsum", "rouge1", "rouge2", "exact_match", "token_accuracy"),
)

TEXT_GENERATION = replace(
    TRANSLATION,
    name="text-generation",
    reader=PromptReader,
    load=partial(_load, "text-generation"),
    fit=partial(_fit, "rouge"),
    baselines=partial(_baselines, ("majority", "nearest")),
    settings=_SHARED | {"data.text", "data.messages"},
    defaults=_text_defaults,
    check=_check_room,
    metrics=("token_accuracy", "exact_match", "answer_accuracy", "rougeL", "rouge1", "rouge2"),
    scratch=("gpt2", "llama"),
)
