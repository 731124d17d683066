"""Run generators in torch: tokenise sources and chats, generate answers, and score given answers, in batches."""

import copy
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ftool_export.checkpoints.base import tokens_per_batch
from ftool_export.checkpoints.generator import LoadedGenerator
from ftool_export.tokenizers.runtime_tokens import chat_tokens, runtime_tokens
from ftool_runtime.decoding.prompts import fit
from ftool_runtime.errors import InputError
from ftool_runtime.session.batching import cut_into_runs

# Of prompts that are answered together, padding included; larger batches read the weights less often. The longest rows
# come first, so that memory runs out in the first batch or never.
_TOKENS_PER_BATCH: Final = 4096
_DEFAULT_TOKENS: Final = 20  # tokens of an answer if the config sets no limit, as in transformers

TokenRows = Sequence[Sequence[int]]


def tokenize_sources(loaded: LoadedGenerator, texts: Sequence[str]) -> list[list[int]]:
    """Return the token ids of sources, or of a decoder's prompts, tokenised and cut with the runtime's code.

    Names of special tokens are split like other text. Texts of more than `max_length` tokens are cut: sources on the
    tokenizer's truncation side, prompts at the beginning. Raises InputError for a blank text.
    """
    tokens = runtime_tokens(loaded).texts
    rows = []
    for row, text in enumerate(texts):
        ids, added = tokens.encode(text, row, prefix=loaded.prefix, empty=loaded.family == "decoder")
        fitted = fit(
            ids, added, loaded.max_length, side=loaded.truncation_side, refuse=False, row=row, what="source"
        )
        rows.append(list(fitted.ids))
    return rows


def tokenize_chats(loaded: LoadedGenerator, chats: Sequence[Sequence[Mapping[str, str]]]) -> list[list[int]]:
    """Return the token ids of conversations up to where the answer begins, from the runtime's code.

    The checkpoint's chat template joins the messages. Raises CheckpointError if there is no template, and InputError
    for messages that the template refuses.
    """
    tokens = chat_tokens(loaded)
    return [list(tokens.encode(chat)) for chat in chats]


def generate_tokens(loaded: LoadedGenerator, rows: TokenRows, **changes: Any) -> list[list[int]]:
    """Generate an answer for each row.

    Args:
        loaded: the model.
        rows: token ids of sources or prompts, at least one token each.
        changes: fields of the generation config to change, such as `max_new_tokens` and `num_beams`.

    Returns:
        The answers' token ids, without prompt and start token, but with the end token if the model generated it.
    """
    config = copy.deepcopy(loaded.generation_config)
    config.update(**({"max_length": None} if "max_new_tokens" in changes else {}), **changes)
    # transformers looks tokens up only for single rows; without lookup the answers are the same
    apart = {} if config.prompt_lookup_num_tokens is None else {"prompt_lookup_num_tokens": None}
    answers: list[list[int]] = [[] for _ in rows]
    for room, places in group_by_room(loaded, rows, config).items():
        limited = copy.deepcopy(config)
        if room is not None:
            limited.update(max_new_tokens=room, max_length=None)
        for batch in cut_into_runs([len(rows[place]) for place in places], _TOKENS_PER_BATCH):
            chosen = [places[position] for position in batch]
            inputs = _padded(loaded, [rows[place] for place in chosen])
            with torch.inference_mode():
                output = loaded.model.generate(**inputs, generation_config=limited, **apart)
            start = 1 if loaded.family == "encoder-decoder" else inputs["input_ids"].shape[1]
            for place, ids in zip(chosen, output[:, start:].tolist(), strict=True):
                answers[place] = _until_end(ids, config)
    return answers


def group_by_room(loaded: LoadedGenerator, rows: TokenRows, config: Any) -> dict[int | None, list[int]]:
    """Group rows by the number of tokens that the model's context leaves for their answers.

    Returns:
        Positions in `rows`, by the largest number of tokens of the answer. The key None is for rows to whose answers
        `config` gives the same limit, and the context does not limit them further.

    Raises InputError if the context leaves no room for an answer.
    """
    limit = loaded.decoder_limit
    if limit is None:
        return {None: list(range(len(rows)))}
    found: dict[int | None, list[int]] = {}
    for place, row in enumerate(rows):
        prompt = len(row) if loaded.family == "decoder" else 1
        if prompt >= limit:
            raise InputError(
                f"row {place} has {prompt} tokens, and the model holds {limit}, the answer included",
                row=place,
            )
        wanted, same = _wanted(config, prompt, loaded.family)
        room = min(wanted, limit - prompt)
        found.setdefault(None if same and room == wanted else room, []).append(place)
    return found


def _wanted(config: Any, prompt: int, family: str) -> tuple[int, bool]:
    """Return the most tokens of an answer that `config` allows, and whether this number is the same for every prompt.

    `prompt` is the number of tokens before the answer in a row of the decoder.
    """
    if config.max_new_tokens:
        return config.max_new_tokens, True
    if config.max_length:  # counts the prompt; torch would count a batch's padding too
        return max(1, config.max_length - prompt), family != "decoder"
    return _DEFAULT_TOKENS, True


def decode(loaded: LoadedGenerator, rows: TokenRows) -> list[str]:
    """Return the texts of answers from their token ids, without special tokens and without spaces at both ends."""
    texts: list[str] = loaded.tokenizer.batch_decode(
        [list(row) for row in rows], skip_special_tokens=True, clean_up_tokenization_spaces=False
    )
    return [text.strip() for text in texts]


def score_tokens(loaded: LoadedGenerator, rows: TokenRows, answers: TokenRows) -> list[NDArray[np.float32]]:
    """Compute the logits that predict each token of given answers from the tokens before it.

    Returns:
        For each row, float32 (tokens of its answer, vocabulary).
    """
    scored: list[NDArray[np.float32]] = [np.empty((0, 0), np.float32) for _ in rows]
    lengths = [len(row) + len(answer) for row, answer in zip(rows, answers, strict=True)]
    for batch in cut_into_runs(lengths, tokens_per_batch(loaded.model.device)):
        logits = _teacher_forced(loaded, [rows[p] for p in batch], [answers[p] for p in batch])
        for position, row in zip(batch, logits, strict=True):
            scored[position] = row
    return scored


def _teacher_forced(
    loaded: LoadedGenerator, rows: TokenRows, answers: TokenRows
) -> list[NDArray[np.float32]]:
    device = loaded.model.device
    if loaded.family == "encoder-decoder":
        start = loaded.start_token
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


def _padded(loaded: LoadedGenerator, rows: TokenRows) -> dict[str, Tensor]:
    """Return the network's inputs: sources padded on the right, prompts on the left, so that answers follow them."""
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
