"""Compute SQuAD 2.0's metrics of predictions in a file, as the paper describes them, to check the metrics of ftool.

    python tests/helpers/squad2_scorer.py DATA.json PREDICTIONS.jsonl

PREDICTIONS has one JSON object per line, with the "id" of a question and the "answer", which is null for "no answer";
`ftool evaluate --predictions` writes this format. Nothing of ftool is imported.
"""

import json
import sys
from pathlib import Path
from typing import Any

MARKS = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"


def words(text: str) -> list[str]:
    """Return the words of a text in lower case, without punctuation and without articles."""
    bare = "".join(letter for letter in text.lower() if letter not in MARKS)
    kept, word = [], ""
    for letter in (
        bare + " "
    ):  # an article stands between characters that are no letters, digits or underscores
        if letter.isalnum() or letter == "_":
            word += letter
            continue
        kept.append("" if word in ("a", "an", "the") else word)
        kept.append(letter)
        word = ""
    return "".join(piece if piece.strip() else " " for piece in kept).split()


def overlap(answer: str, reference: str) -> float:
    """Return the F1 of the words of two texts; a repeated word counts as often as it occurs."""
    given, right = words(answer), words(reference)
    if not given or not right:
        return 1.0 if given == right else 0.0
    left, common = list(right), 0
    for word in given:
        if word in left:
            left.remove(word)
            common += 1
    return 2.0 * common / (len(given) + len(right))


def score(data: Any, predictions: dict[str, str]) -> dict[str, float]:
    """Return exact match and F1 in percent: over all questions, answerable questions and unanswerable questions."""
    exact: dict[bool, list[float]] = {True: [], False: []}
    f1: dict[bool, list[float]] = {True: [], False: []}
    for article in data["data"]:
        for paragraph in article["paragraphs"]:
            for question in paragraph["qas"]:
                references = [one["text"] for one in question["answers"] if words(one["text"])] or [""]
                answer = predictions[question["id"]]
                kind = bool(question["answers"])
                exact[kind].append(max(1.0 if words(answer) == words(one) else 0.0 for one in references))
                f1[kind].append(max(overlap(answer, one) for one in references))
    result = {}
    for name, numbers in (("exact_match", exact), ("f1", f1)):
        every = numbers[True] + numbers[False]
        result[name] = 100.0 * sum(every) / len(every)
        for kind, prefix in ((True, "has_answer"), (False, "no_answer")):
            if numbers[kind]:
                result[f"{prefix}_{name}"] = 100.0 * sum(numbers[kind]) / len(numbers[kind])
    return result


def read_predictions(path: Path) -> dict[str, str]:
    """Return the answers by question id; "" for "no answer"."""
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return {row["id"]: row["answer"] or "" for row in rows}


if __name__ == "__main__":
    _, data_file, predictions_file = sys.argv
    data = json.loads(Path(data_file).read_text(encoding="utf-8"))
    print(json.dumps(score(data, read_predictions(Path(predictions_file))), indent=1))
