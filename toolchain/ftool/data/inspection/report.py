"""The report on a data set before training: what was read, and what a person should check."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from ftool.data.dataset import Dataset
from ftool.data.inspection.repeats import Pair, Place, Repeats, find_repeats
from ftool.data.inspection.text_facts import Lengths, Range, has_html, languages_of, scripts_of, shares_text
from ftool.data.label_policy import look_alike_groups
from ftool.terminal import format_table

RARE: Final = 10  # a class with fewer training examples is rare
_SHOWN: Final = 3  # pairs, texts and so on of one kind in the report as text
_SHOWN_IN_JSON: Final = 100
_ALL_LABELS: Final = 20  # the most labels that the report as text shows all of
_SHOWN_LABELS: Final = 5  # most and least frequent labels in the report as text
_CHARACTERS: Final = 80  # of a text in the report as text
_MANY: Final = 0.05  # share of a split's texts that repeat others
_TIMES_LONGER: Final = 10  # a text this many times longer than the median is very long

# Returns the number of tokens of each text; without special tokens.
CountTokens = Callable[[Sequence[str]], list[int]]


@dataclass(frozen=True, kw_only=True)
class TokenLimit:
    """How the tokens of inputs are counted, and the longest input.

    Attributes:
        base: the name of the base model whose tokenizer counts.
        count: returns the number of tokens of each text.
        special: the number of special tokens of an input.
        longest: the most tokens of an input, special tokens included.
        windows: whether longer inputs are read in several windows; otherwise, they are cut.
    """

    base: str
    count: CountTokens
    special: int
    longest: int
    windows: bool


@dataclass(frozen=True, kw_only=True)
class Inspection:
    """What a data set holds.

    Attributes:
        task: the task's name.
        notes: the decisions made while reading.
        warnings: the problems found while reading.
        examples: the number of examples by split.
        labels: the number of examples with each label, by split and label; empty if examples have no labels.
        classes: all labels, in order.
        look_alikes: groups of labels that look alike.
        numbers: the range of each number that a model learns to give, by the number's name; empty without numbers.
        far_numbers: the places and values of numbers that are far from the others.
        characters: the lengths of each text of the examples, by the text's name.
        tokens: the same in tokens; empty without a base model.
        limit: the longest input in tokens; None without a base model.
        too_long: the number of inputs by split that are longer than `limit`.
        html_texts: the number of texts with tags or entities of HTML.
        html: the places of the first of them.
        long_texts: the places and lengths of texts that are very long beside the others, longest first.
        exact: texts that are equal.
        near: texts that are nearly equal.
        scripts: the number of texts by script.
        languages: the number of texts by language, in a sample.
        facts: properties of the data set, such as `multi_label`.
    """

    task: str
    notes: Sequence[str]
    warnings: Sequence[str]
    examples: Mapping[str, int]
    labels: Mapping[str, Mapping[str, int]]
    classes: Sequence[str]
    look_alikes: Sequence[Mapping[str, int]]
    characters: Mapping[str, Lengths]
    tokens: Mapping[str, Lengths] = field(default_factory=dict)
    numbers: Mapping[str, Range] = field(default_factory=dict)
    far_numbers: Sequence[tuple[Place, float]] = ()
    limit: TokenLimit | None = None
    too_long: Mapping[str, int] = field(default_factory=dict)
    html_texts: int = 0
    html: Sequence[Place] = ()
    long_texts: Sequence[tuple[Place, int]] = ()
    exact: Repeats
    near: Repeats
    scripts: Mapping[str, int]
    languages: Mapping[str, int]
    facts: Mapping[str, Any]

    @property
    def rare(self) -> dict[str, int]:
        """The labels with fewer than ten training examples, and the number of these."""
        trained = self.labels.get("train", {})
        counts = {name: trained.get(name, 0) for name in self.classes}
        return {name: count for name, count in sorted(counts.items(), key=lambda one: one[1]) if count < RARE}

    @property
    def unmeasured(self) -> dict[str, list[str]]:
        """The labels without an example, by split other than the training split; splits that have all are left out."""
        found = {
            split: [name for name in self.classes if not counts.get(name)]
            for split, counts in self.labels.items()
            if split != "train"
        }
        return {split: names for split, names in found.items() if names}

    def to_json(self) -> dict[str, Any]:
        """Return the report as plain JSON."""
        limit = self.limit
        return {
            "task": self.task,
            "examples": dict(self.examples),
            **self.facts,
            "labels": {
                name: {split: counts.get(name, 0) for split, counts in self.labels.items()}
                for name in self.classes
            },
            "rare_labels": self.rare,
            "labels_without_examples": self.unmeasured,
            "look_alike_labels": [dict(group) for group in self.look_alikes],
            "numbers": {name: one.to_json() for name, one in self.numbers.items()},
            "far_numbers": [{**place._asdict(), "number": number} for place, number in self.far_numbers],
            "characters": {name: one.to_json() for name, one in self.characters.items()},
            "tokens": {name: one.to_json() for name, one in self.tokens.items()},
            "limit": None
            if limit is None
            else {
                "base": limit.base,
                "max_length": limit.longest,
                "longer": dict(self.too_long),
                "read_in_windows": limit.windows,
            },
            "html_texts": self.html_texts,
            "html": [place._asdict() for place in self.html],
            "long_texts": [{**place._asdict(), "characters": length} for place, length in self.long_texts],
            "duplicates": self.exact.to_json(),
            "near_duplicates": self.near.to_json(),
            "scripts": dict(self.scripts),
            "languages": dict(self.languages),
            "notes": list(self.notes),
            "warnings": list(self.warnings),
        }

    def text(self) -> str:
        """Return the whole report as text to print."""
        parts = ["\n".join(self.notes), self._splits(), self._lengths(), self._answers(), self._scripts()]
        checks = self.checks()
        parts.append(
            "To check:\n" + "\n".join(f"- {one}" for one in checks) if checks else "Nothing to check."
        )
        return "\n\n".join(part for part in parts if part)

    def short_checks(self) -> list[str]:
        """Return one line for each thing that a person should check, without the examples."""
        return [check.partition("\n")[0] for check in self.checks()]

    def checks(self) -> list[str]:
        """Return one text for each thing that a person should check, with a few examples; warnings first."""
        found = list(self.warnings)
        found += self._rare_lines()
        found += [
            f"{split}: no example has {_listed(names)}; the {split} figures say nothing about "
            f"{'this label' if len(names) == 1 else 'these labels'}"
            for split, names in self.unmeasured.items()
        ]
        found += self._copy_lines()
        found += _repeat_lines(self.near)  # `warnings` has equal texts of two splits or with different labels
        if self.limit is not None and any(self.too_long.values()):
            what = "are read in several windows" if self.limit.windows else "will be cut"
            counts = ", ".join(
                f"{count} of {self.examples[split]} {split}" for split, count in self.too_long.items()
            )
            found.append(
                f"inputs of more than {self.limit.longest} tokens (train.max_length) {what}: {counts}"
            )
        if self.html:
            rows = ", ".join(map(str, self.html[:_SHOWN]))
            found.append(
                f"texts with HTML tags or entities, such as <br/> or &nbsp;: {self.html_texts} ({rows}"
                f"{' …' if self.html_texts > _SHOWN else ''}); clean them, unless the texts of your app have them too"
            )
        if self.far_numbers:
            shown = ", ".join(f"{place} ({number:g})" for place, number in self.far_numbers[:_SHOWN])
            found.append(f"numbers far from all others: {shown}{_more(self.far_numbers)}")
        if self.long_texts:
            shown = ", ".join(
                f"{place} ({length:,} characters)" for place, length in self.long_texts[:_SHOWN]
            )
            found.append(f"very long texts: {shown}{_more(self.long_texts)}")
        return found

    def _copy_lines(self) -> list[str]:
        counts = [
            f"{count} of {self.examples[split]} {split}"
            for split, count in self.exact.within.items()
            if count >= _MANY * self.examples[split]
        ]
        if not counts:
            return []
        return [
            f"texts that repeat others of their split: {', '.join(counts)}; the copies say nothing new, but count as "
            "examples in training and in intervals"
        ]

    def _rare_lines(self) -> list[str]:
        if not self.rare:
            return []
        named = [f"{name} ({count})" for name, count in self.rare.items()]
        return [
            f"labels with fewer than {RARE} training examples, {len(named)} of {len(self.classes)}: "
            f"{', '.join(named[:_SHOWN_LABELS])}{_more(named, _SHOWN_LABELS)}"
        ]

    def _splits(self) -> str:
        rows = [["", *self.examples], ["examples", *map(str, self.examples.values())]]
        for title, counts in (
            ("repeated in the split", self.exact.within),
            ("nearly repeated in the split", self.near.within),
            ("also in training", self.exact.trained),
            ("nearly also in training", self.near.trained),
            ("too long" if self.limit is None else f"over {self.limit.longest} tokens", self.too_long),
        ):
            if any(counts.values()):
                rows.append([title, *(str(counts.get(split, 0)) for split in self.examples)])
        return format_table(rows)

    def _lengths(self) -> str:
        rows = [["length of", "median", "95% up to", "longest"]]
        for name, lengths in self.characters.items():
            for unit, one in (("characters", lengths), ("tokens", self.tokens.get(name))):
                if one is not None:
                    rows.append([f"{name}, {unit}", *(f"{number:,}" for number in one.to_json().values())])
        return format_table(rows)

    def _answers(self) -> str:
        if self.numbers:
            rows = [["", "lowest", "5% up to", "median", "95% up to", "highest"]]
            rows += [
                [name, *(f"{number:g}" for number in one.to_json().values())]
                for name, one in self.numbers.items()
            ]
            return format_table(rows)
        if not self.classes:
            return ""
        trained = self.labels["train"]
        ranked = sorted(self.classes, key=lambda name: -trained.get(name, 0))
        if len(ranked) > _ALL_LABELS:
            ranked = [*ranked[:_SHOWN_LABELS], *ranked[-_SHOWN_LABELS:]]
        left_out = len(self.classes) - len(ranked)
        title = f"{len(self.classes)} labels" + (
            f" (the most and least frequent; {left_out} between them not shown)" if left_out else ""
        )
        rows = [[title, *self.labels]]
        rows += [[name, *(str(counts.get(name, 0)) for counts in self.labels.values())] for name in ranked]
        return format_table(rows)

    def _scripts(self) -> str:
        lines = [f"scripts: {shares_text(self.scripts)}"]
        if self.languages:
            lines.append(f"languages, guessed: {shares_text(self.languages)}")
        return "\n".join(lines)


def inspect_dataset(data: Dataset[Any], task: str, limit: TokenLimit | None = None) -> Inspection:
    """Return the report on a data set that was read for the task; `limit` counts tokens, None to count none."""
    texts: dict[str, list[str]] = {}  # by the name of the text
    places: list[tuple[Place, int]] = []
    html: list[Place] = []
    for split, examples in data.splits.items():
        for example in examples.examples:
            for name, text in example.named_texts.items():
                texts.setdefault(name, []).append(text)
                places.append((Place(split, example.row), len(text)))
                if has_html(text):
                    html.append(Place(split, example.row))
    counts = {
        split: Counter(one for example in examples.examples for one in example.classes)
        for split, examples in data.splits.items()
    }
    exact, near = find_repeats(data.splits, shown=_SHOWN_IN_JSON)
    every = [text for several in texts.values() for text in several]
    characters = {name: Lengths.of([len(text) for text in several]) for name, several in texts.items()}
    numbers = _numbers(data)
    longest = _TIMES_LONGER * max(one.median for one in characters.values())
    return Inspection(
        task=task,
        notes=data.notes,
        warnings=data.warnings,
        examples={name: len(split) for name, split in data.splits.items()},
        labels=counts if any(counts.values()) else {},
        classes=_classes(data, counts),
        look_alikes=look_alike_groups(data.splits.values()),
        characters=characters,
        tokens={}
        if limit is None
        else {name: Lengths.of(limit.count(several)) for name, several in texts.items()},
        numbers={name: Range.of([number for _, number in several]) for name, several in numbers.items()},
        far_numbers=_far_numbers(numbers),
        limit=limit,
        too_long={} if limit is None else _too_long(data, limit),
        long_texts=sorted((one for one in places if one[1] > longest), key=lambda one: -one[1])[
            :_SHOWN_IN_JSON
        ],
        html_texts=len(html),
        html=html[:_SHOWN_IN_JSON],
        exact=exact,
        near=near,
        scripts=scripts_of(every),
        languages=languages_of(every),
        facts=data.facts,
    )


def _numbers(data: Dataset[Any]) -> dict[str, list[tuple[Place, float]]]:
    """Return each number that a model learns to give, with its place, by the name of the number."""
    found: dict[str, list[tuple[Place, float]]] = {}
    for split, examples in data.splits.items():
        for example in examples.examples:
            names = data.labels if len(example.numbers) > 1 else ("number",)
            for name, number in zip(names, example.numbers, strict=False):
                found.setdefault(name, []).append((Place(split, example.row), number))
    return found


def _classes(data: Dataset[Any], counts: Mapping[str, Counter[str]]) -> list[str]:
    """Return what examples are counted by, in order: all labels, or of taggers the kinds of entity that occur."""
    found = {name for split in counts.values() for name in split}
    return sorted(found | set(data.labels)) if found & set(data.labels) else sorted(found)


def _far_numbers(numbers: Mapping[str, Sequence[tuple[Place, float]]]) -> list[tuple[Place, float]]:
    found = []
    for several in numbers.values():
        usual = Range.of([number for _, number in several])
        found += [(place, number) for place, number in several if usual.is_far(number)]
    return found[:_SHOWN_IN_JSON]


def _too_long(data: Dataset[Any], limit: TokenLimit) -> dict[str, int]:
    longest = limit.longest - limit.special
    found = {}
    for name, split in data.splits.items():
        texts = [text for example in split.examples for text in example.separate_texts]
        found[name] = sum(count > longest for count in limit.count(texts))
    return found


def _repeat_lines(found: Repeats) -> list[str]:
    """Return the lines about nearly equal texts: in training and another split, and with different answers."""
    lines = []
    if any(found.trained.values()):
        counts = ", ".join(f"{count} {split}" for split, count in found.trained.items())
        pairs = [pair for pair in found.shown if pair.first.split == "train" != pair.second.split]
        lines.append(
            f"texts nearly equal to a training text: {counts}; remove them, or the figures look better than they are"
            f"{_shown(pairs)}"
        )
    if found.conflicts:
        pairs = [pair for pair in found.shown if not pair.same_answer]
        lines.append(f"nearly equal texts with different labels: {found.conflicts}{_shown(pairs)}")
    return lines


def _shown(pairs: Sequence[Pair]) -> str:
    lines = [
        f"\n    {place}{f' ({answer})' if answer else ''}: {_cut(text)}"
        for pair in pairs[:_SHOWN]
        for place, answer, text in zip((pair.first, pair.second), pair.answers, pair.texts, strict=True)
    ]
    return "".join(lines)


def _cut(text: str) -> str:
    text = " ".join(text.split())
    return repr(text if len(text) <= _CHARACTERS else text[: _CHARACTERS - 1] + "…")


def _listed(names: Sequence[str]) -> str:
    return f"{len(names)} of the labels ({', '.join(names[:_SHOWN_LABELS])}{_more(names, _SHOWN_LABELS)})"


def _more(listed: Sequence[Any], shown: int = _SHOWN) -> str:
    return f" and {len(listed) - shown} more" if len(listed) > shown else ""
