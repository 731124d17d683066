"""From texts to token ids: the manifest determines the side that is truncated, and how special tokens are read."""

import json
from pathlib import Path

import pytest
from tests.helpers.tiny_bundles import SPECIAL, WORDS, tiny_tokenizer

from ftool_runtime.bundle.manifest import InputContract
from ftool_runtime.errors import BundleError
from ftool_runtime.text.encode import TokenEncoder, read_tokenizer
from ftool_runtime.text.windows import WindowEncoder

IDS = {word: number for number, word in enumerate((*SPECIAL, *WORDS))}
PLAY, MUSIC, TEN, UNKNOWN, CLS, SEP = (
    IDS[word] for word in ("play", "music", "ten", "[UNK]", "[CLS]", "[SEP]")
)


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    tokenizer = tiny_tokenizer()
    tokenizer.add_special_tokens(["[CLS]", "[SEP]"])
    path = tmp_path_factory.mktemp("tokenizer") / "tokenizer.json"
    tokenizer.save(str(path))
    return path


def contract(**changes: object) -> InputContract:
    return InputContract(**{"names": ("input_ids",), "max_length": 6} | changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("side", "kept"), [("right", [PLAY, PLAY, MUSIC, MUSIC]), ("left", [MUSIC, MUSIC, TEN, TEN])]
)
def test_a_text_loses_the_side_that_the_manifest_names(tokenizer: Path, side: str, kept: list[int]) -> None:
    encoder = TokenEncoder(read_tokenizer(tokenizer), contract(truncation_side=side))
    row = encoder.encode("play play music music ten ten", 0)
    assert (row.ids, row.truncated) == ([CLS, *kept, SEP], True)
    assert encoder.encode("play music", 0).truncated is False


@pytest.mark.parametrize(("side", "kept"), [("right", [TEN, PLAY]), ("left", [PLAY, MUSIC])])
def test_the_longer_text_of_a_pair_loses_that_side(tokenizer: Path, side: str, kept: list[int]) -> None:
    encoder = TokenEncoder(read_tokenizer(tokenizer), contract(truncation_side=side, max_length=7))
    row = encoder.encode("play play", 0, "ten play play play play music")
    assert (row.ids, row.truncated) == ([CLS, PLAY, PLAY, SEP, *kept, SEP], True)


@pytest.mark.parametrize(("split", "middle"), [(False, SEP), (True, UNKNOWN)])
def test_special_tokens_in_a_text_are_what_the_manifest_says(
    tokenizer: Path, split: bool, middle: int
) -> None:
    given = contract(split_special_tokens=split, max_length=16)
    ids = TokenEncoder(read_tokenizer(tokenizer), given).encode("play [SEP] music", 0).ids
    assert (ids[:2], ids[-2:]) == ([CLS, PLAY], [MUSIC, SEP])
    assert set(ids[2:-2]) == {middle}
    (window,) = WindowEncoder(read_tokenizer(tokenizer), given, 2).windows("play [SEP] music", 0)
    assert window.tokens.ids == ids


@pytest.mark.parametrize("side", ["right", "left"])
def test_windows_come_first_to_last_and_hold_all_of_a_text(tokenizer: Path, side: str) -> None:
    text = "play music ten play music ten play"  # 7 tokens, 4 in a window of which 1 is shared
    windows = WindowEncoder(read_tokenizer(tokenizer), contract(truncation_side=side), 1).windows(text, 0)
    assert len(windows) == 2
    starts = [window.offsets[window.text_positions.start][0] for window in windows]
    assert starts[0] == 0
    assert starts == sorted(starts)
    last = windows[-1]
    assert last.offsets[last.text_positions.stop - 1][1] == len(text)


def _sequence(kind: str, steps: list[dict[str, object]]) -> dict[str, object]:
    return {"type": "Sequence", kind: steps}


def _replace(by: str, pattern: dict[str, str]) -> dict[str, object]:
    return {"type": "Replace", "pattern": pattern, "content": by}


@pytest.mark.parametrize(
    ("part", "steps", "refused"),
    [
        ("normalizer", [_replace("aa", {"String": "a"})] * 7, False),
        ("normalizer", [_replace("aa", {"String": "a"})] * 8, True),
        ("normalizer", [_replace("a" * 500, {"String": "a" * 5})], False),
        ("normalizer", [_replace("a" * 201, {"String": "a"})], True),
        ("normalizer", [_replace("a" * 200, {"Regex": ""})], True),
        ("normalizer", [_sequence("normalizers", [{"type": "Prepend", "prepend": "a" * 20}] * 2)], True),
        ("normalizer", [{"type": "NFKD"}, {"type": "Lowercase"}] * 20, False),
        ("decoder", [_replace("aa", {"String": "a"})] * 8, True),
        ("decoder", [_replace(" ", {"String": "_"}), {"type": "Fuse"}], False),
    ],
)
def test_a_tokenizer_that_makes_texts_far_longer_is_refused(
    tokenizer: Path, tmp_path: Path, part: str, steps: list[dict[str, object]], refused: bool
) -> None:
    values = {**json.loads(tokenizer.read_bytes()), part: _sequence(f"{part}s", steps)}
    path = tmp_path / "tokenizer.json"
    path.write_text(json.dumps(values))
    if refused:
        with pytest.raises(
            BundleError, match=rf"tokenizer.json .* {part} can make a text more than 200 times as long"
        ):
            read_tokenizer(path)
    else:
        read_tokenizer(path)


def test_a_tokenizer_of_sentencepiece_is_read(shared_data: Path) -> None:
    read_tokenizer(shared_data / "tokenizers" / "t5-small" / "tokenizer.json")
