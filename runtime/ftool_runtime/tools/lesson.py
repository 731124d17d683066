"""`teach`: one lesson for a classifier, or what it was taught."""

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ftool_runtime.errors import InputError
from ftool_runtime.models.classifier import TextClassifier
from ftool_runtime.teaching.lessons import Lesson


def lessons_file(bundle: Path) -> Path:
    """Return where the lessons of a bundle are if no other file is named: beside it."""
    whole = bundle.absolute()
    return whole.with_name(f"{whole.name}.lessons")


def teach(model: Any, options: argparse.Namespace) -> tuple[dict[str, Any], list[str]]:
    """Do what the flags of `teach` say with a loaded model; return the result as JSON values and as lines.

    Raises InputError for a wrong call or a bundle that can't be taught, and LessonError for a lesson that fails.
    """
    given = (options.text, options.label)
    if any(given) and not all(given):
        raise InputError("a lesson is a text and its label: give both --text and --label")
    chosen = (all(given), options.undo, options.reset, options.share is not None, options.adopt is not None)
    if sum(chosen) > 1:
        raise InputError(
            "give only one of a lesson (--text and --label), --undo, --reset, --share and --adopt"
        )
    if not isinstance(model, TextClassifier):
        raise InputError(f"{options.bundle} is not a classifier: only classifiers can be taught")
    path = options.lessons or lessons_file(options.bundle)
    model.open_lessons(path)
    lines = []
    if all(given):
        lines.append(_learnt(model.teach(options.text, options.label, max_loss_rise=options.max_loss_rise)))
    elif options.undo:
        lines.append(f"undone: {_learnt(model.undo())}")
    elif options.reset:
        model.reset()
    elif options.share is not None:
        head = model.share_head(options.share, min_lessons=options.min_lessons)
        lines.append(f"{options.share}: {len(head.labels)} labels of {sum(head.lessons)} lessons")
    elif options.adopt is not None:
        dropped = model.adopt_head(options.adopt, max_loss_rise=options.max_loss_rise)
        lines += [
            f"dropped, because it can't be learnt on the adopted head: {_learnt(one)}" for one in dropped
        ]
    else:
        lines += _listed(model)
    lines.append(f"{path}: {len(model.lessons)} lessons")
    return {"lessons": str(path), "history": [one.to_json() for one in model.lessons]}, lines


def _listed(model: TextClassifier) -> Iterator[str]:
    known = model.lessons_known()
    for number, (lesson, still) in enumerate(zip(model.lessons, known, strict=True), 1):
        yield f"{number}. {lesson.taught}  {_learnt(lesson)}{'' if still else '; no longer known, after later lessons'}"


def _learnt(lesson: Lesson) -> str:
    new = " (new)" if lesson.new else ""
    before = "no label" if lesson.before is None else repr(lesson.before)
    return (
        f"{lesson.label!r}{new}, instead of {before}; probability {lesson.score:.3f}, loss on the replay "
        f"{lesson.loss_rise:+.4f}"
    )
