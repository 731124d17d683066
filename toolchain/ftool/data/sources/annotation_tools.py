"""Turn the records that annotation tools write into plain rows: Prodigy, Label Studio, and spaCy's training data."""

from collections.abc import Mapping, Sequence
from typing import Any

from ftool.data.cells import listed_rows

Records = Sequence[tuple[int, Any]]  # each with the number of its row

_ANSWERS = ("accept", "reject", "ignore")  # of a Prodigy user
_OF_PRODIGY = frozenset({"_input_hash", "_task_hash", "spans", "options", "accept", "label"})
_OF_STUDIO = frozenset(
    {"annotation_id", "lead_time"}
)  # fields that Label Studio adds to each row of JSON_MIN


def plain_records(records: Records) -> tuple[Records, list[str]]:
    """Return the records as plain rows of named values where an annotation tool wrote them, and warnings.

    - Prodigy: examples whose answer is not "accept" are left out, and an example without `spans` has none.
    - Label Studio's JSON_MIN: a row without a field that is a list in other rows has an empty list.
    - Label Studio: the fields under `data` and the first annotation's result become fields of the row; tasks without an
      annotation are left out.
    - spaCy: `[text, {"entities": [...]}]` and `[text, {"cats": {...}}]` become rows of a text and its annotation.

    The warnings count what was left out, without the name of the source. Other records are returned unchanged.
    """
    values = [record for _, record in records]
    if not values:
        return records, []
    if all(_is_of_spacy(value) for value in values):
        return [(number, {"text": value[0], **_of_spacy(value[1])}) for number, value in records], []
    if not all(isinstance(value, Mapping) for value in values):
        return records, []
    is_of_prodigy = any(_OF_PRODIGY & value.keys() for value in values)
    if is_of_prodigy and all(value.get("answer") in _ANSWERS for value in values):
        return _of_prodigy(records)
    if all(_OF_STUDIO & value.keys() for value in values):
        return _with_empty_lists(records), []
    if all(isinstance(value.get("data"), Mapping) for value in values):
        return _of_label_studio(records)
    return records, []


def _is_of_spacy(value: Any) -> bool:
    return (
        isinstance(value, list)
        and len(value) == 2
        and isinstance(value[0], str)
        and isinstance(value[1], Mapping)
        and bool({"entities", "cats"} & value[1].keys())
    )


def _of_spacy(annotation: Mapping[str, Any]) -> dict[str, Any]:
    names = {"entities": "entities", "cats": "labels"}
    return {names[key]: value for key, value in annotation.items() if key in names}


def _of_prodigy(records: Records) -> tuple[Records, list[str]]:
    has_spans = any("spans" in record for _, record in records)
    kept = [
        (number, {**({"spans": []} if has_spans else {}), **record})
        for number, record in records
        if record["answer"] == "accept"
    ]
    for _, record in kept:
        del record["answer"]
    left_out = [number for number, record in records if record["answer"] != "accept"]
    what = "whose answer in Prodigy is not 'accept'"
    return kept, [f"{listed_rows(left_out)} {what}; left out"] if left_out else []


def _of_label_studio(records: Records) -> tuple[Records, list[str]]:
    kept: list[tuple[int, Any]] = []
    empty, several = [], []
    has_annotations = any("annotations" in record or "completions" in record for _, record in records)
    for number, record in records:
        if not has_annotations:  # another program's nested rows
            kept.append((number, {**{k: v for k, v in record.items() if k != "data"}, **record["data"]}))
            continue
        annotations = [
            one
            for one in record.get("annotations") or record.get("completions") or ()
            if isinstance(one, Mapping) and not one.get("was_cancelled")
        ]
        if not annotations:
            empty.append(number)
            continue
        if len(annotations) > 1:
            several.append(number)
        kept.append((number, {**record["data"], **_results(annotations[0].get("result") or ())}))
    _fill_in(kept)
    warnings = [f"{listed_rows(empty)} without an annotation in Label Studio; left out"] if empty else []
    if several:
        warnings.append(
            f"{listed_rows(several)} with several annotations in Label Studio; the first was read"
        )
    return kept, warnings


def _results(result: Sequence[Any]) -> dict[str, list[Any]]:
    """Return the choices and the marked spans of one annotation, as the fields `label` and `entities`."""
    values = [
        one["value"] for one in result if isinstance(one, Mapping) and isinstance(one.get("value"), Mapping)
    ]
    choices = [name for value in values for name in value.get("choices") or ()]
    spans = [value for value in values if "start" in value]
    return {**({"label": choices} if choices else {}), **({"entities": spans} if spans else {})}


def _with_empty_lists(records: Records) -> Records:
    lists = {name for _, record in records for name, value in record.items() if isinstance(value, list)}
    return [(number, {**{name: [] for name in lists}, **record}) for number, record in records]


def _fill_in(records: Records) -> None:
    """Give each row an empty list for `entities`, if another row has entities."""
    if any("entities" in record for _, record in records):
        for _, record in records:
            record.setdefault("entities", [])
