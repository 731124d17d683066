"""What a model card says that depends on the task: what the model is for, how it is called, what its limits are."""

from dataclasses import dataclass
from typing import Final

from ftool_runtime.bundle.manifest import Manifest

_LOAD: Final = 'model = ft.load("path/to/this/folder")\n'
_READ_WHOLE: Final = "- Long texts are read to their end, in windows of {length} tokens that share {stride}."
_READ_FIRST: Final = (
    "- Reads the first {length} tokens of a text, special ones included; answers say if it was cut."
)
_NO_PROBABILITY: Final = "elsewhere its scores are no probabilities of being right."


@dataclass(frozen=True, kw_only=True)
class CardWords:
    """The parts of a card that differ by task.

    Attributes:
        purpose: a sentence.
        use: lines of Python.
        same: what two runs of the model did alike: "gave the same labels to".
        limits: lines of a list.
    """

    purpose: str
    use: str
    same: str
    limits: tuple[str, ...]


def card_words(manifest: Manifest) -> CardWords:
    """The words for a bundle's task."""
    if manifest.generation is not None:
        return _writer(manifest)
    if manifest.questions is not None:
        return _reader(manifest)
    if manifest.entities is not None:
        return _tagger(manifest)
    if manifest.embedding is not None:
        return _embedder(manifest)
    return _classifier(manifest)


def _classifier(manifest: Manifest) -> CardWords:
    what = "two texts" if manifest.pairs else "a text"
    given = '("a text", "another")' if manifest.pairs else '"a text"'
    shown = "answer.score" if manifest.regression else "answer.label, answer.score"
    kind = "any number of" if manifest.multi_label else "exactly one of"
    gives = "a number" if manifest.regression else f"{kind} {len(manifest.labels)} labels"
    known = (
        "Knows the kind of text that it was trained on; elsewhere its numbers mean nothing."
        if manifest.regression
        else f"Knows the labels above and no others, and the kind of text that it was trained on; {_NO_PROBABILITY}"
    )
    return CardWords(
        purpose=f"Gives {what} {gives}.",
        use=f"{_LOAD}answer = model({given})\nprint({shown})",
        same="gave the same answers to" if manifest.regression else "gave the same labels to",
        limits=(_READ_FIRST.format(length=manifest.input.max_length), f"- {known}"),
    )


def _tagger(manifest: Manifest) -> CardWords:
    assert manifest.entities is not None
    return CardWords(
        purpose="Finds entities in a text, with their places in it.",
        use=f'{_LOAD}for entity in model("a text"):\n    print(entity.text, entity.label, entity.start, entity.end)',
        same="found the same entities in",
        limits=(
            _READ_WHOLE.format(length=manifest.input.max_length, stride=manifest.entities.stride),
            "- Knows the kinds of entity above and no others, in the kind of text that it was trained on; "
            f"{_NO_PROBABILITY}",
        ),
    )


def _reader(manifest: Manifest) -> CardWords:
    assert manifest.questions is not None
    never = manifest.questions.no_answer_threshold is None
    return CardWords(
        purpose="Answers a question by a stretch of a context"
        + ("." if never else ", or says that it has none."),
        use=(
            f'{_LOAD}answer = model("a question", "a context")\n'
            "print(answer.text, answer.start, answer.end, answer.score)"
        ),
        same="gave the same answers to",
        limits=(
            _READ_WHOLE.format(length=manifest.input.max_length, stride=manifest.questions.stride),
            *(["- It always answers, whether the context does or not."] if never else []),
            f"- Knows the kind of question and context that it was trained on; {_NO_PROBABILITY}",
        ),
    )


def _embedder(manifest: Manifest) -> CardWords:
    assert manifest.embedding is not None
    return CardWords(
        purpose=f"Gives a text a vector of {manifest.embedding.dimension} numbers, alike for texts that mean the like.",
        use=f'{_LOAD}vectors = model(["a text", "another"])\nprint(model.similarity(vectors[0], vectors[1]))',
        same="gave the same vectors to",
        limits=(
            _READ_FIRST.format(length=manifest.input.max_length),
            "- Vectors of two models, or of two precisions of one, are not to be compared with each other.",
        ),
    )


def _writer(manifest: Manifest) -> CardWords:
    assert manifest.generation is not None
    length, languages = manifest.input.max_length, manifest.generation.languages
    between = ""
    if languages is not None and languages.source and languages.target:
        between = f", {languages.source} to {languages.target}"
    if manifest.generation.family == "decoder":
        read = f"Prompt and answer together have at most {length} tokens; longer ones are refused, or cut if asked."
    else:
        read = (
            f"Reads the first {length} tokens of a source, special ones included; answers say if it was cut."
        )
    return CardWords(
        purpose=f"Writes text ({manifest.task}{between}).",
        use=(
            f'{_LOAD}print(model("a text").text)\n'
            'for piece in model.stream("a text"):\n    print(piece, end="", flush=True)'
        ),
        same="chose the same tokens to",
        limits=(f"- {read}", "- What it writes may be wrong, and sounds no different then."),
    )
