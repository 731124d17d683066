"""The torch reference: texts to tokens, tokens to answers, in batches by length and in the texts' own order."""

import copy
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ftool_export.generator.checkpoint import LoadedGenerator

_TOKENS_PER_BATCH: Final = 4096  # padding included

TokenRows = Sequence[Sequence[int]]


def tokenize_sources(loaded: LoadedGenerator, texts: Sequence[str]) -> list[list[int]]:
    """The tokens of sources, or of a decoder's prompts, cut at the loaded model's `max_length`.

    A special token's name inside a text is text like any other. Encoder-decoders lose a long source's end, decoders
    a long prompt's beginning.
    """
    if not texts:
        return []
    tokenizer = loaded.tokenizer
    side = tokenizer.truncation_side
    tokenizer.truncation_side = "right" if loaded.family == "encoder-decoder" else "left"
    try:
        encoded = tokenizer(
            [loaded.prefix + text for text in texts],
            truncation=True,
            max_length=loaded.max_length,
            padding=False,
            split_special_tokens=True,
        )
    finally:
        tokenizer.truncation_side = side
    return [list(ids) for ids in encoded["input_ids"]]


def tokenize_chats(loaded: LoadedGenerator, chats: Sequence[Sequence[Mapping[str, str]]]) -> list[list[int]]:
    """The tokens of conversations by the checkpoint's template, up to where the answer begins."""
    return [
        list(
            loaded.tokenizer.apply_chat_template(
                [dict(message) for message in chat],
                add_generation_prompt=True,
                tokenize=True,
                return_dict=False,
            )
        )
        for chat in chats
    ]


def count_cut(loaded: LoadedGenerator, texts: Sequence[str]) -> int:
    """How many sources or prompts have more tokens than the model reads."""
    if not texts:
        return 0
    encoded = loaded.tokenizer([loaded.prefix + text for text in texts], truncation=False, verbose=False)
    return sum(len(ids) > loaded.max_length for ids in encoded["input_ids"])


def generate_tokens(loaded: LoadedGenerator, rows: TokenRows, **changes: Any) -> list[list[int]]:
    """The answers' tokens, without the prompt and the decoder's start, with the end token where there is one.

    Args:
        loaded: the model.
        rows: sources or prompts, each at least one token.
        changes: fields of the generation config, such as `max_new_tokens` and `num_beams`.
    """
    config = copy.deepcopy(loaded.generation_config)
    config.update(**({"max_length": None} if "max_new_tokens" in changes else {}), **changes)
    answers: list[list[int]] = [[] for _ in rows]
    for batch in batches([len(row) for row in rows]):
        inputs = _padded(loaded, [rows[position] for position in batch])
        with torch.inference_mode():
            output = loaded.model.generate(**inputs, generation_config=config)
        start = 1 if loaded.family == "encoder-decoder" else inputs["input_ids"].shape[1]
        for position, ids in zip(batch, output[:, start:].tolist(), strict=True):
            answers[position] = _until_end(ids, config)
    return answers


def decode(loaded: LoadedGenerator, rows: TokenRows) -> list[str]:
    """The texts of answers' tokens, special ones left out, spaces at the ends taken off."""
    texts: list[str] = loaded.tokenizer.batch_decode(
        [list(row) for row in rows], skip_special_tokens=True, clean_up_tokenization_spaces=False
    )
    return [text.strip() for text in texts]


def generate_texts(loaded: LoadedGenerator, texts: Sequence[str], **changes: Any) -> list[str]:
    """Answers to sources or plain prompts, in their order."""
    return decode(loaded, generate_tokens(loaded, tokenize_sources(loaded, texts), **changes))


def score_tokens(loaded: LoadedGenerator, rows: TokenRows, answers: TokenRows) -> list[NDArray[np.float32]]:
    """The logits that predict each token of given answers, each token given those before it.

    Returns:
        For each row float32 (tokens of its answer, vocabulary).
    """
    scored: list[NDArray[np.float32]] = [np.empty((0, 0), np.float32) for _ in rows]
    for batch in batches([len(row) + len(answer) for row, answer in zip(rows, answers, strict=True)]):
        logits = _teacher_forced(loaded, [rows[p] for p in batch], [answers[p] for p in batch])
        for position, row in zip(batch, logits, strict=True):
            scored[position] = row
    return scored


def batches(lengths: Sequence[int], budget: int = _TOKENS_PER_BATCH) -> Iterator[list[int]]:
    """Positions by length, longest first (memory runs out at once or never), cut by a budget of tokens."""
    rows: list[int] = []
    for row in sorted(range(len(lengths)), key=lambda r: -lengths[r]):
        if rows and lengths[rows[0]] * (len(rows) + 1) > budget:
            yield rows
            rows = []
        rows.append(row)
    if rows:
        yield rows


def _teacher_forced(
    loaded: LoadedGenerator, rows: TokenRows, answers: TokenRows
) -> list[NDArray[np.float32]]:
    device = loaded.model.device
    if loaded.family == "encoder-decoder":
        start = _start_token(loaded)
        given = _right([[start, *answer[:-1]] for answer in answers], loaded.tokenizer.pad_token_id)
        inputs = {**_padded(loaded, rows), "decoder_input_ids": given.to(device)}
        first = [0] * len(rows)
    else:
        joined = [[*row, *answer[:-1]] for row, answer in zip(rows, answers, strict=True)]
        inputs = {
            "input_ids": _right(joined, loaded.tokenizer.pad_token_id).to(device),
            "attention_mask": _right([[1] * len(row) for row in joined], 0).to(device),
        }
        first = [len(row) - 1 for row in rows]
    with torch.inference_mode():
        logits: Tensor = loaded.model(**inputs, use_cache=False).logits.float()
    return [
        logits[row, begin : begin + len(answer)].cpu().numpy()
        for row, (begin, answer) in enumerate(zip(first, answers, strict=True))
    ]


def _start_token(loaded: LoadedGenerator) -> int:
    start = loaded.generation_config.decoder_start_token_id
    if start is None:
        start = loaded.model.config.decoder_start_token_id
    return int(start[0] if isinstance(start, list) else start)


def _padded(loaded: LoadedGenerator, rows: TokenRows) -> dict[str, Tensor]:
    """Sources padded on the right, prompts on the left, where generation goes on."""
    longest = max(len(row) for row in rows)
    pad = loaded.tokenizer.pad_token_id
    right = loaded.family == "encoder-decoder"
    ids, mask = [], []
    for row in rows:
        missing = longest - len(row)
        ids.append([*row, *[pad] * missing] if right else [*[pad] * missing, *row])
        mask.append([1] * len(row) + [0] * missing if right else [0] * missing + [1] * len(row))
    device = loaded.model.device
    return {
        "input_ids": torch.tensor(ids, device=device),
        "attention_mask": torch.tensor(mask, device=device),
    }


def _right(rows: TokenRows, pad: int) -> Tensor:
    longest = max(len(row) for row in rows)
    return torch.tensor([[*row, *[pad] * (longest - len(row))] for row in rows])


def _until_end(ids: list[int], config: Any) -> list[int]:
    ends = config.eos_token_id if isinstance(config.eos_token_id, list) else [config.eos_token_id]
    for place, token in enumerate(ids):
        if token in ends:
            return ids[: place + 1]
    return ids
