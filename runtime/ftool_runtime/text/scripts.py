"""Character ranges of scripts and punctuation, for use inside the character classes of regular expressions."""

from typing import Final

HAN: Final = "\u2e80-\u2fdf\u3005-\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_COMMON_KANA = "\u3041-\u3096\u3099\u309a\u309d-\u309f\u30a1-\u30fa\u30fc-\u30ff\u31f0-\u31ff"
KANA: Final = _COMMON_KANA + "\uff66-\uff9f\U0001aff0-\U0001b16f"  # with half-width and historic kana
BOPOMOFO: Final = "\u3105-\u312f\u31a0-\u31bf"
HANGUL: Final = "\u1100-\u11ff\u3131-\u318e\ua960-\ua97c\uac00-\ud7fb"
THAI: Final = "\u0e01-\u0e3a\u0e40-\u0e4e"
LAO: Final = "\u0e81-\u0ebd\u0ec0-\u0ece"
TIBETAN: Final = "\u0f00-\u0fff"
MYANMAR: Final = "\u1000-\u103f\u1050-\u109d\ua9e0-\ua9ef\uaa60-\uaa7f"
KHMER: Final = "\u1780-\u17d3"

SOUTH_EAST_ASIAN: Final = THAI + LAO + MYANMAR + KHMER  # no spaces between words
UNSPACED: Final = HAN + KANA + SOUTH_EAST_ASIAN

STOPS: Final = ".!?…"  # these end a sentence if a space follows
FULL_WIDTH_STOPS: Final = "。！？｡．"  # in Chinese and Japanese; no space follows
OTHER_STOPS: Final = "।॥؟۔።။"  # in Devanagari, Arabic, Urdu, Ethiopic and Myanmar; a space may follow
CLOSING: Final = "\"'”’»)\\]"  # these may come between a full stop and the space
FULL_WIDTH_CLOSING: Final = "」』”’）】"
