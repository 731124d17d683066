"""Probe texts: inputs for checks that need no data from the user.

The probe texts are sentences written for ftool, and the first article of the Universal Declaration of Human Rights
(United Nations, 1948, public domain) in languages of many scripts, with features that are difficult for tokenizers:
composed and decomposed accents, full-width forms, ligatures, joiners, spaces of all kinds, numbers and emoji.
"""

from collections.abc import Callable, Sequence
from typing import Any, Final

from ftool_export.errors import ExportError

Reads = Callable[[str], bool]

TEXTS: Final = (
    "All human beings are born free and equal in dignity and rights.",
    "Watu wote wamezaliwa huru, hadhi na haki zao ni sawa.",
    "人人生而自由，在尊严和权利上一律平等。",
    "すべての人間は、生まれながらにして自由であり、かつ、尊厳と権利とについて平等である。",
    "모든 인간은 태어날 때부터 자유로우며 그 존엄과 권리에 있어 동등하다.",
    "يولد جميع الناس أحرارًا متساوين في الكرامة والحقوق.",
    "כל בני אדם נולדו בני חורין ושווים בערכם ובזכויותיהם.",
    "Все люди рождаются свободными и равными в своем достоинстве и правах.",
    "सभी मनुष्यों को गौरव और अधिकारों के मामले में जन्मजात स्वतन्त्रता और समानता प्राप्त है।",
    "มนุษย์ทั้งหลายเกิดมามีอิสระและเสมอภาคกันในเกียรติศักดิ์และสิทธิ",
    "Όλοι οι άνθρωποι γεννιούνται ελεύθεροι και ίσοι στην αξιοπρέπεια και τα δικαιώματα.",
    "Tất cả mọi người sinh ra đều được tự do và bình đẳng về nhân phẩm và quyền.",
    "Bütün insanlar hür, haysiyet ve haklar bakımından eşit doğarlar. İSTANBUL, ırmak",
    "Café, cafe\u0301, naïve Straße, ﬁnal ２０２１ Ｆｕｌｌ ｗｉｄｔｈ",
    "It's 3.14 or 2,021 -- isn't it? (50% of $1,000.00) e-mail: a_b@c.org #tag",
    "two  spaces, a\ttab, a\nline and a\u00a0space that does not break",
    "😀 👩\u200d👩\u200d👧 ❤\ufe0f flags 🇰🇪🇨🇳",
)

SENTENCES: Final = (
    "yes",
    "turn it off",
    "I can't find my card anywhere!",
    "What time does the shop open tomorrow morning?",
    "My parcel should have come on Friday, but nobody knows where it is.",
    "The room was clean and quiet, the staff were kind, and breakfast was worth getting up for.",
    "Maria Keller from Lisbon met Dr. Ahmed Khan at the Blue Harbour Hotel on 3 May 2024.",
    "According to the report, sales rose by 4.5% in the third quarter, while costs stayed as they were; the board "
    "will decide in November whether the plan for next year has to change.",
)
_SPELLED: Final = 6  # names of special tokens in a probe; T5 has 100
LONG_TEXT: Final = " ".join((*SENTENCES, *TEXTS, *reversed(SENTENCES)))  # more tokens than most encoders take
_QUESTIONS: Final = (
    ("Who met Dr. Ahmed Khan?", SENTENCES[6]),
    ("When should the parcel have come?", SENTENCES[4]),
    ("By how much did sales rise?", SENTENCES[7]),
    ("How old is the captain?", SENTENCES[5]),
    ("Who is born free and equal?", TEXTS[0]),
    ("人人有什么？", TEXTS[2]),
    ("Когда рождаются люди?", TEXTS[7]),
    ("What will the board decide?", LONG_TEXT),
)


def probe_inputs(fields: Sequence[str], special: Sequence[str], reads: Reads) -> list[Any]:
    """Return up to 17 probe inputs of one kind, as JSON values.

    Args:
        fields: the names of the texts that make up an input (`input_fields` of the runtime's model). If there is one
            name, inputs are strings; if there are two, such as "question" and "context", inputs are dicts.
        special: the names of the tokenizer's special tokens, which one input spells out, because a runtime that
            replaced such a name by the token would give other answers.
        reads: whether the model's tokenizer can read a text; inputs with another text are left out.

    Raises ExportError if no input is left.
    """
    spelled = " ".join(("Some special tokens are", *special[:_SPELLED]))
    questions = (*_QUESTIONS, ("What are some special tokens?", spelled))
    return _inputs(fields, (*SENTENCES, *TEXTS[2:9], spelled, LONG_TEXT), questions, reads)


def sample_inputs(fields: Sequence[str], reads: Reads) -> list[Any]:
    """Return inputs, as JSON values, on which an export without data compares the bundle with torch.

    `fields` and `reads` are those of `probe_inputs`. Raises ExportError if no input is left.
    """
    texts = (*SENTENCES, *TEXTS)
    return _inputs(fields, texts, [*_QUESTIONS, *(("What is it?", text) for text in texts)], reads)


def _inputs(
    fields: Sequence[str], texts: Sequence[str], questions: Sequence[tuple[str, str]], reads: Reads
) -> list[Any]:
    """Return inputs made of `texts`, or of `questions` (pairs of question and context) for fields of that name."""
    readable = [text for text in texts if reads(text)]
    inputs: list[Any]
    if len(fields) == 1:
        inputs = readable
    elif fields[0] == "question":
        inputs = [dict(zip(fields, pair, strict=True)) for pair in questions if all(map(reads, pair))]
    else:
        pairs = zip(readable, (*readable[1:], *readable[:1]), strict=True)
        inputs = [dict(zip(fields, pair, strict=True)) for pair in pairs]
    if not inputs:
        raise ExportError(
            "the model's tokenizer can't read any of ftool's own texts, on which every export is checked; add the "
            "characters or words of your texts to the tokenizer"
        )
    return inputs
