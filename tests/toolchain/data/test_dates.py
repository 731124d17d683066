"""`builtin:dates`: every date in words has the correct ISO form, and no date is in two splits."""

import re
import unicodedata
from collections import Counter
from datetime import date, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ftool.data.dataset import Dataset
from ftool.data.load import load_dataset, load_split
from ftool.data.rows.generation import GenerationExample
from ftool.data.rows.pairs import PairReader
from ftool.data.sources.dates import CHINESE, ENGLISH, UNSEEN_CHINESE, UNSEEN_ENGLISH, Draws, written
from ftool.errors import DataError
from ftool.recipe.data_settings import DataSettings
from ftool.recipe.recipe import Recipe
from ftool.recipe.shipped import shipped_recipe

FORMS = (*ENGLISH, *CHINESE, *UNSEEN_ENGLISH, *UNSEEN_CHINESE)
DAYS = st.dates(date(1950, 1, 1), date(2049, 12, 31))


@pytest.fixture(scope="module")
def dates() -> Dataset[GenerationExample]:
    return load_dataset(PairReader, DataSettings(path="builtin:dates"))


def targets(data: Dataset[GenerationExample], split: str) -> set[str]:
    return {example.targets[0] for example in data.split(split).examples}


def test_the_splits_are_as_large_as_documented(dates: Dataset[GenerationExample]) -> None:
    sizes = {name: len(dates.split(name)) for name in ("train", "validation", "test", "unseen_forms")}
    assert sizes == {"train": 20_000, "validation": 500, "test": 1_000, "unseen_forms": 500}
    assert dates.warnings == ()


def test_no_date_is_in_two_splits(dates: Dataset[GenerationExample]) -> None:
    train, validation, test = (targets(dates, split) for split in ("train", "validation", "test"))
    assert not train & validation
    assert not train & test
    assert not validation & test
    assert targets(dates, "unseen_forms") <= test


def test_targets_are_days_of_the_calendar(dates: Dataset[GenerationExample]) -> None:
    for split in ("train", "unseen_forms"):
        for text in targets(dates, split):
            assert date.fromisoformat(text).isoformat() == text
            assert "1950-01-01" <= text <= "2049-12-31"


def test_both_languages_have_their_share(dates: Dataset[GenerationExample]) -> None:
    chinese = sum(bool(re.search("[年月]", example.source)) for example in dates.train.examples)
    assert 0.35 < chinese / len(dates.train) < 0.45


def test_unseen_forms_are_none_of_those_trained_on() -> None:
    assert not {*ENGLISH, *CHINESE} & {*UNSEEN_ENGLISH, *UNSEEN_CHINESE}
    assert len(FORMS) == len(set(FORMS))


def test_the_same_seed_makes_the_same_data_and_another_one_other_data(
    dates: Dataset[GenerationExample],
) -> None:
    again = load_dataset(PairReader, DataSettings(path="builtin:dates"))
    assert again == dates
    other = load_dataset(PairReader, DataSettings(path="builtin:dates", seed=14))
    assert targets(other, "test") != targets(dates, "test")


def test_the_data_stays_what_it_is() -> None:
    small = load_dataset(PairReader, DataSettings(path="builtin:dates:1000"))
    # Computed once, with Python 3.11: a change of forms, or of Python's random numbers, changes it.
    assert small.sha256 == "82805b95a1b75e56ca10dc7edde652e8c023756ccc5561f9e66574e80a0e4cef"


def test_a_smaller_set_is_made_on_demand() -> None:
    small = load_dataset(PairReader, DataSettings(path="builtin:dates:2000"))
    assert [len(small.split(name)) for name in ("train", "validation", "test", "unseen_forms")] == [
        2000,
        50,
        100,
        50,
    ]


@pytest.mark.parametrize("size", ["10", "40000", "many", "-5", "２０００"])
def test_a_size_that_cannot_be_is_refused(size: str) -> None:
    with pytest.raises(
        DataError, match=f"builtin:dates:{size}: the size must be a number from 1000 to 30000"
    ):
        load_dataset(PairReader, DataSettings(path=f"builtin:dates:{size}"))


def test_unseen_forms_are_a_split_like_any_other(dates: Dataset[GenerationExample]) -> None:
    split = load_split(PairReader, DataSettings(path="builtin:dates"), "unseen_forms")
    assert list(split.examples) == list(dates.split("unseen_forms").examples)
    with pytest.raises(DataError, match="there are train, validation, test, unseen_forms"):
        dates.split("dev")


def test_the_shipped_recipe_reads_these_dates() -> None:
    recipe = Recipe.read(shipped_recipe("dates"))
    assert (recipe.task, recipe.data.path, recipe.train.metric) == (
        "translation",
        "builtin:dates",
        "exact_match",
    )


@settings(max_examples=300, deadline=None)
@given(day=DAYS, form=st.sampled_from(FORMS), seed=st.text(max_size=8))
def test_every_form_says_the_date_that_it_stands_for(day: date, form: str, seed: str) -> None:
    text = written(day, form, Draws(seed))
    assert read(text) == day


def test_weekdays_are_right() -> None:
    for offset in range(7):
        day = date(2021, 3, 1) + timedelta(days=offset)
        assert written(day, "{w}", Draws("a")).lower().strip(" .").endswith(day.strftime("%A").lower())
        assert "一二三四五六日"[offset] in written(day, "{zw}", Draws("a"))


@pytest.mark.parametrize(
    ("form", "day", "expected"),
    [
        ("the {dth} of {name}, {y}", date(2021, 3, 3), "the 3rd of March, 2021"),
        ("{abbr}. {dth} '{yy}", date(2010, 1, 5), "Jan. 5th '10"),
        ("{dth}", date(2021, 1, 11), "11th"),
        ("{dth}", date(2021, 1, 22), "22nd"),
        ("the {dword}", date(2021, 1, 12), "the twelfth"),
        ("the {dword}", date(2021, 1, 20), "the twentieth"),
        ("the {dword}", date(2021, 1, 31), "the thirty-first"),
        ("{yword}", date(1998, 1, 1), "nineteen ninety-eight"),
        ("{yword}", date(2000, 1, 1), "two thousand"),
        ("{yword}", date(2021, 1, 1), "twenty twenty-one"),
        ("{yword}", date(1970, 1, 1), "nineteen seventy"),
        ("{zy}年{zm}月{zd}日", date(2021, 3, 3), "二〇二一年三月三日"),
        ("{zy0}年{zm}月{zd}号", date(2005, 12, 20), "二零零五年十二月二十号"),
        ("{zyy}年{zm}月{zd}号", date(2010, 10, 31), "一〇年十月三十一号"),
    ],
)
def test_forms_read_as_people_write_them(form: str, day: date, expected: str) -> None:
    plain = Counter(written(day, form, Draws(str(seed))) for seed in range(40))
    assert plain.most_common(1)[0][0] == expected


# A reader of its own, so that what is written is not checked by what wrote it.

MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
LONG_MONTHS = {1: "january", 2: "february", 9: "september", 10: "october", 11: "november", 12: "december"}
CARDINALS = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen "
    "seventeen eighteen nineteen"
)
ORDINALS = (
    "zeroth first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth thirteenth "
    "fourteenth fifteenth sixteenth seventeenth eighteenth nineteenth twentieth"
)
TENS = "zero ten twenty thirty forty fifty sixty seventy eighty ninety"
NUMERALS = "〇一二三四五六七八九"
NUMBERS = {word: 10 * tens for tens, word in enumerate(TENS.split())} | {
    word: number for number, word in enumerate(CARDINALS.split())
}
DAY_WORDS = {word: number for number, word in enumerate(ORDINALS.split())} | {"thirtieth": 30}


def read(text: str) -> date:
    text = unicodedata.normalize("NFKC", text).lower()
    if re.search("[年月]", text):
        return read_chinese(text)
    if re.search("[a-z]", text.removeprefix("on ").removeprefix("date: ").removeprefix("dated ")):
        return read_words(text)
    return read_digits(text)


def read_chinese(text: str) -> date:
    number = f"[0-9零十{NUMERALS}]+"
    year, month, day = (re.findall(rf"({number})\s*{unit}", text)[0] for unit in ("年", "月", "[日号]"))
    digits = year.replace("零", "〇").translate({ord(c): str(n) for n, c in enumerate(NUMERALS)})
    return date(full_year(digits), chinese_number(month), chinese_number(day))


def chinese_number(text: str) -> int:
    if text.isdecimal():
        return int(text)
    tens, ten, ones = text.rpartition("十")
    return (NUMERALS.index(tens) if tens else 1) * 10 * bool(ten) + (NUMERALS.index(ones) if ones else 0)


def read_digits(text: str) -> date:
    parts = re.findall(r"\d+", text)
    if len(parts) == 1:
        return date(int(parts[0][:4]), int(parts[0][4:6]), int(parts[0][6:]))
    if len(parts[0]) == 4:
        return date(*map(int, parts))
    first, second = int(parts[0]), int(parts[1])
    return date(full_year(parts[2]), *((first, second) if "/" in text else (second, first)))


def read_words(text: str) -> date:
    words = re.findall(r"[a-z]+|\d+", text)
    month = next(number for word in words if (number := month_called(word)))
    numbers = [word for word in words if word.isdecimal()]
    worded = "two thousand" in text or words[-1] in NUMBERS
    short = [] if worded else numbers[-1:]
    years = [word for word in numbers if len(word) == 4] or short
    if any(word in DAY_WORDS for word in words):
        at = next(index for index, word in enumerate(words) if word in DAY_WORDS)
        tens = words[at - 1] if words[at - 1] in ("twenty", "thirty") else "zero"
        day = DAY_WORDS[words[at]] + NUMBERS[tens]
    else:
        day = int(next(word for word in numbers if word not in years or numbers.count(word) > 1))
    return date(year_in_words(text) if worded else full_year(years[0]), month, day)


def month_called(word: str) -> int:
    """The month of a name, a short form, or a long name with a letter left out or two exchanged; 0 for none."""
    if word[:3] in MONTHS:
        return MONTHS.index(word[:3]) + 1
    slips = {
        number: {name[:at] + name[at + 1 :] for at in range(len(name))}
        for number, name in LONG_MONTHS.items()
    }
    return next((n for n, name in LONG_MONTHS.items() if word in slips[n] or sorted(word) == sorted(name)), 0)


def year_in_words(text: str) -> int:
    if "two thousand" in text:
        return 2000 + NUMBERS.get(re.findall("[a-z]+", text)[-1], 0)
    (century, rest), *_ = re.findall(r"(nineteen|twenty) (?:oh )?([a-z-]+)\W*$", re.sub(" +", " ", text))
    return 100 * NUMBERS[century] + sum(NUMBERS[word] for word in rest.split("-"))


def full_year(text: str) -> int:
    return int(text) + (0 if len(text) == 4 else 1900 if int(text) >= 50 else 2000)
