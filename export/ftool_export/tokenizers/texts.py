"""Texts on which tokenizers are held against the files that they were made from.

The first article of the Universal Declaration of Human Rights (United Nations, 1948, public domain) in languages of
many scripts, and what trips tokenizers: accents composed and decomposed, full-width forms, ligatures, joiners, spaces
of all kinds, numbers, emoji.
"""

TEXTS = (
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
