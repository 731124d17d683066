"""Generate the data set `builtin:dates`: dates as people write them in English and Chinese, with their ISO form.

Every form of a date has only one meaning: if the form has slashes and the year last, the month comes first (3/14/1998);
if it has dots, the day comes first (14.3.1998). All dates are from 1950 to 2049, so that two digits are enough for a
year. If a date has a weekday, the weekday is correct. The data depends only on the size and the seed: it is the same on
every machine and with every version of Python.
"""

import random
from collections.abc import Mapping, Sequence
from datetime import date, timedelta

from ftool.data.table import Row, Table
from ftool.errors import DataError

SIZE = 20_000  # training examples
COLUMNS = ("source", "target", "language")

_FIRST, _DAYS = date(1950, 1, 1), 36_525  # up to 2049-12-31

# Slots: d is the day, m the month, y the year, w the weekday. Doubled letters are padded or cut to two digits; `th` is
# an ordinal, `word` a number in words, `name` a month's name, `abbr` a short name; slots with z are Chinese numerals.
ENGLISH = (
    "{d} {name} {y}", "{dd} {name} {y}", "{name} {d}, {y}", "{name} {d} {y}", "{dth} {name} {y}",
    "{name} {dth}, {y}", "the {dth} of {name}, {y}", "the {dth} of {name} {y}", "{dth} of {name}, {y}",
    "{abbr} {d}, {y}", "{abbr}. {d}, {y}", "{d} {abbr} {y}", "{d} {abbr}. {y}", "{dd} {abbr} {yy}",
    "{d} {abbr} '{yy}", "{abbr}. {dth} '{yy}", "{abbr} {d} '{yy}", "{wabbr} {d} {abbr} {y}",
    "{wabbr}, {d} {abbr} {y}", "{w}, {name} {d}, {y}", "{w} {d} {name} {y}", "{w} the {dth} of {name}, {y}",
    "{wabbr}. {abbr}. {d}, {y}", "the {dword} of {name}, {y}", "{name} the {dword}, {y}",
    "{name} {dword}, {yword}", "the {dword} of {name} {yword}", "{dth} {name} {yword}", "{m}/{d}/{y}",
    "{mm}/{dd}/{y}", "{m}/{d}/{yy}", "{d}.{m}.{y}", "{dd}.{mm}.{y}", "{dd}.{mm}.{yy}", "{y}-{mm}-{dd}",
    "{y}/{m}/{d}", "{y}{mm}{dd}", "{y} {name} {d}",
)  # fmt: skip
CHINESE = (
    "{y}年{m}月{d}日", "{y}年{mm}月{dd}日", "{y}年{m}月{d}号", "{yy}年{m}月{d}日", "{yy}年{m}月{d}号",
    "{y} 年 {m} 月 {d} 日", "{m}月{d}日，{y}年", "{m}月{d}号，{y}年", "{zy}年{zm}月{zd}日",
    "{zy}年{zm}月{zd}号", "{zy0}年{zm}月{zd}日", "{zy0}年{zm}月{zd}号", "{zyy}年{zm}月{zd}日",
    "{zyy}年{zm}月{zd}号", "{zm}月{zd}日，{zy}年", "{y}年{m}月{d}日{zw}", "{y}年{m}月{d}日（{zw}）",
    "{zy}年{zm}月{zd}日，{zw}", "{zw}，{y}年{m}月{d}日", "{y}年{zm}月{d}日",
)  # fmt: skip
UNSEEN_ENGLISH = (
    "{d}-{abbr}-{y}", "{y}, {name} {dth}", "{name} {y}, the {dth}", "{y}.{mm}.{dd}", "{d}/{abbr}/{y}",
    "{dth} day of {name}, {y}", "{abbr} {dth} {y}, a {w}", "the {dword} of {abbr}. '{yy}",
)  # fmt: skip
UNSEEN_CHINESE = (
    "{m}月{d}日（{y}年）", "{zy}年 {zm}月 {zd}日", "{zw} {zy0}年{zm}月{zd}号", "公元{y}年{m}月{d}日",
    "{yy}年{zm}月{zd}日", "{zy}年的{zm}月{zd}号",
)  # fmt: skip

_MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
    "December",
)  # fmt: skip
_WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_SHORT_WEEKDAYS = (
    ("Mon",), ("Tue", "Tues"), ("Wed",), ("Thu", "Thurs"), ("Fri",), ("Sat",), ("Sun",),
)  # fmt: skip
_ONES = (
    "", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve", "thirteen",
    "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen",
)  # fmt: skip
_TENS = ("", "", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
_ORDINALS = {
    "one": "first", "two": "second", "three": "third", "five": "fifth", "eight": "eighth", "nine": "ninth",
    "twelve": "twelfth", "twenty": "twentieth", "thirty": "thirtieth",
}  # fmt: skip
_NUMERALS = "〇一二三四五六七八九"
_WIDE = str.maketrans("0123456789", "０１２３４５６７８９")


class Draws:
    """Random choices that are the same for the same seed, with every version of Python.

    Only `Random.random` is used, because Python does not keep the results of its other methods stable.
    """

    def __init__(self, seed: str) -> None:
        self._random = random.Random(seed)

    def below(self, limit: int) -> int:
        """Return a random whole number from 0 to `limit` - 1."""
        return int(self._random.random() * limit)

    def one_of(self, choices: Sequence[str]) -> str:
        """Return a random element of `choices`."""
        return choices[self.below(len(choices))]

    def happens(self, share: float) -> bool:
        """Return True with the probability `share` (from 0 to 1), else False."""
        return self._random.random() < share

    def shuffled(self, count: int) -> list[int]:
        """Return the numbers from 0 to `count` - 1 in random order."""
        numbers = list(range(count))
        for last in range(count - 1, 0, -1):
            other = self.below(last + 1)
            numbers[last], numbers[other] = numbers[other], numbers[last]
        return numbers


def date_tables(size: str, seed: int) -> dict[str, Table]:
    """Return the tables of the splits train, validation, test and unseen_forms.

    The training split has `size` examples (20,000 if `size` is ""), the validation split a fortieth and the test split
    a twentieth of this number. The split unseen_forms has half of the dates of the test split, in forms that no other
    split has. Otherwise, no date is in two splits. `seed` decides which dates and forms are chosen. Raises DataError if
    `size` is not a number from 1,000 to 30,000.
    """
    if size and not (size.isascii() and size.isdecimal() and 1_000 <= int(size) <= 30_000):
        raise DataError(f"builtin:dates:{size}: the size must be a number from 1000 to 30000")
    train = int(size) if size else SIZE
    days = Draws(f"dates {seed}").shuffled(_DAYS)
    test, validation = train // 20, train // 40
    parts = {
        "train": days[test + validation : test + validation + train],
        "validation": days[test : test + validation],
        "test": days[:test],
        "unseen_forms": days[: test // 2],
    }
    return {split: _table(split, numbers, seed) for split, numbers in parts.items()}


def written(day: date, form: str, draws: Draws) -> str:
    """Return the date `day` as a text of the form `form`, such as "{d} {name} {y}".

    Some texts get irregularities of typed text: capitals or small letters throughout, an extra space, a word before the
    date, a full stop, or a typo in a month's name of 7 letters or more. `draws` decides which.
    """
    slots = _slots(day, draws)
    if "{name}" in form and len(slots["name"]) >= 7 and draws.happens(0.05):
        slots = {**slots, "name": _with_slip(slots["name"], draws)}
    text = form.format_map(slots)
    return _typed_chinese(text, draws) if not text.isascii() else _typed_english(text, draws)


def _table(split: str, days: Sequence[int], seed: int) -> Table:
    draws = Draws(f"{split} {seed}")
    unseen = split == "unseen_forms"
    forms = {
        "en": UNSEEN_ENGLISH if unseen else ENGLISH,
        "zh": UNSEEN_CHINESE if unseen else CHINESE,
    }
    rows = []
    for number, offset in enumerate(days, start=1):
        day = _FIRST + timedelta(days=offset)
        language = "zh" if draws.happens(0.4) else "en"
        text = written(day, draws.one_of(forms[language]), draws)
        rows.append(Row(number, (text, day.isoformat(), language)))
    return Table(f"builtin:dates ({split})", COLUMNS, rows)


def _slots(day: date, draws: Draws) -> Mapping[str, str]:
    year, month, number, weekday = day.year, day.month, day.day, day.weekday()
    name = _MONTHS[month - 1]
    return {
        "d": str(number),
        "dd": f"{number:02d}",
        "dth": f"{number}{_suffix(number)}",
        "dword": _ordinal(number),
        "m": str(month),
        "mm": f"{month:02d}",
        "name": name,
        "abbr": draws.one_of(("Sep", "Sept")) if month == 9 else name[:3],
        "y": str(year),
        "yy": f"{year % 100:02d}",
        "yword": _year_in_words(year, draws),
        "w": _WEEKDAYS[weekday],
        "wabbr": draws.one_of(_SHORT_WEEKDAYS[weekday]),
        "zy": "".join(_NUMERALS[int(digit)] for digit in str(year)),
        "zy0": "".join(_NUMERALS[int(digit)] for digit in str(year)).replace("〇", "零"),
        "zyy": "".join(_NUMERALS[int(digit)] for digit in f"{year % 100:02d}"),
        "zm": _chinese_number(month),
        "zd": _chinese_number(number),
        "zw": draws.one_of(("星期", "周", "礼拜")) + "一二三四五六日"[weekday],
    }


def _suffix(number: int) -> str:
    return "th" if number in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")


def _ordinal(number: int) -> str:
    head, dash, last = _cardinal(number).rpartition("-")
    return head + dash + _ORDINALS.get(last, f"{last}th")


def _cardinal(number: int) -> str:
    if number < 20:
        return _ONES[number]
    return _TENS[number // 10] + (f"-{_ONES[number % 10]}" if number % 10 else "")


def _year_in_words(year: int, draws: Draws) -> str:
    century, rest = divmod(year, 100)
    if year < 2010 and century == 20:
        return "two thousand" + (draws.one_of((" and ", " ")) + _ONES[rest] if rest else "")
    tail = _cardinal(rest) if rest >= 10 else f"oh {_ONES[rest]}"
    return f"{_cardinal(century)} {tail}"


def _chinese_number(number: int) -> str:
    """Return a number from 1 to 99 in Chinese numerals as spoken, with 十 for ten: 十二, 二十, 三十一."""
    tens, ones = divmod(number, 10)
    ten = "" if not tens else "十" if tens == 1 else f"{_NUMERALS[tens]}十"
    return ten + (_NUMERALS[ones] if ones else "")


def _with_slip(name: str, draws: Draws) -> str:
    """Return a month's name with a typo after the first letter: two letters are swapped or one is left out."""
    at = 1 + draws.below(len(name) - 2)
    if draws.happens(0.5):
        return name[:at] + name[at + 1] + name[at] + name[at + 2 :]
    return name[:at] + name[at + 1 :]


def _typed_english(text: str, draws: Draws) -> str:
    if draws.happens(0.1):
        text = text.lower()
    elif draws.happens(0.05):
        text = text.upper()
    if draws.happens(0.04):
        text = text.replace(" ", "  ", 1)
    if draws.happens(0.06):
        text = draws.one_of(("on ", "On ", "Date: ", "dated ")) + text
    return text + ("." if draws.happens(0.04) else "")


def _typed_chinese(text: str, draws: Draws) -> str:
    if draws.happens(0.05):
        text = text.translate(_WIDE)
    if draws.happens(0.05):
        text = draws.one_of(("日期：", "于")) + text
    return text + ("。" if draws.happens(0.04) else "")
