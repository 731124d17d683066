"""Examples as tokens: what a model reads, what it must answer, and how much was cut."""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from ftool.data.rows.generation import GenerationExample
from ftool.training.errors import TrainingError
from ftool_export.checkpoints.generator import LoadedGenerator
from ftool_export.checkpoints.generator_inference import tokenize_chats, tokenize_sources
from ftool_export.checkpoints.languages import first_token

log = logging.getLogger(__name__)

_PIECE = 512  # tokens of plain text that are learnt together, unless training says otherwise
_UNCUT = 10_000_000  # tokens: more than any text has


@dataclass(frozen=True, slots=True)
class TokenRow:
    """One example: loss is taken on `answer` alone.

    Attributes:
        given: an encoder-decoder's source, or a decoder's prompt; the one token that all begins with for plain text.
        answer: what follows, its end token included.
    """

    given: list[int]
    answer: list[int]

    def __len__(self) -> int:
        return len(self.given) + len(self.answer)


@dataclass(frozen=True, slots=True)
class TokenRows:
    """A split's rows in the order of its examples (plain text: of its pieces), and how many texts were cut."""

    rows: list[TokenRow]
    sources_cut: int = 0
    answers_cut: int = 0

    def __len__(self) -> int:
        return len(self.rows)


def tokenize_examples(
    loaded: LoadedGenerator,
    examples: Sequence[GenerationExample],
    *,
    max_target_length: int,
    max_length: int | None = None,
) -> TokenRows:
    """Examples with the tokens that the runtime would give the same texts.

    Encoder-decoders: a source is cut at its end, an answer before its end token. Decoders: an answer is cut at
    `max_target_length`, then a prompt loses its beginning until both fit. Plain text is joined, an end token after
    every text, and cut into pieces. `max_length` is less than the loaded model's where training cuts shorter; None
    takes the model's own, and for plain text, of which a long context would make one piece, the task's at most.
    """
    if max_length is None and is_plain_text(examples):
        max_length = _PIECE
    if max_length is not None:
        loaded = replace(loaded, max_length=min(max_length, loaded.max_length))
    if is_plain_text(examples):
        return _pieces(loaded, [example.targets[0] for example in examples])
    answers = tokenize_answers(loaded, [example.targets[0] for example in examples], chat=is_chat(examples))
    decoder = loaded.family == "decoder"
    limit = min(max_target_length, loaded.max_length - 1) if decoder else max_target_length
    kept = [answer if len(answer) <= limit else [*answer[: limit - 1], answer[-1]] for answer in answers]
    whole = _prompts(loaded, examples)
    given = [
        _cut_prompt(loaded, example, ids, loaded.max_length - (len(answer) if decoder else 0))
        for example, ids, answer in zip(examples, whole, kept, strict=True)
    ]
    return TokenRows(
        [TokenRow(ids, answer) for ids, answer in zip(given, kept, strict=True)],
        sources_cut=_shorter(given, whole),
        answers_cut=_shorter(kept, answers),
    )


def assistant_turns(examples: Sequence[GenerationExample]) -> list[GenerationExample]:
    """What training learns from: of a conversation every turn of the assistant, each answering all turns before it.

    What is no conversation stays as it is, and a turn of the assistant that nobody asked for is not learnt.
    """
    turns: list[GenerationExample] = []
    for example in examples:
        messages = example.messages or ()
        turns += [
            replace(example, messages=messages[:place], targets=(message.content,))
            for place, message in enumerate(messages)
            if message.role == "assistant" and any(before.role == "user" for before in messages[:place])
        ]
        turns.append(example)
    return turns


def tokenize_answers(loaded: LoadedGenerator, texts: Sequence[str], *, chat: bool = False) -> list[list[int]]:
    """The tokens of answers, each with the token that ends it."""
    if not texts:
        return []
    tokenizer = loaded.tokenizer
    end = tokenizer.eos_token_id
    if loaded.family == "encoder-decoder" and not (loaded.languages and loaded.languages.target_tokens):
        encoded = tokenizer(text_target=list(texts), split_special_tokens=True, verbose=False)["input_ids"]
        return [_ended(ids, end) for ids in encoded]
    first = first_token(loaded.generation_config, loaded.languages)
    if chat:
        end = turn_end(loaded)
    encoded = tokenizer(list(texts), add_special_tokens=False, split_special_tokens=True, verbose=False)[
        "input_ids"
    ]
    return [[*first, *ids, end] for ids in encoded]


def turn_end(loaded: LoadedGenerator) -> int:
    """The token that the checkpoint's chat template puts after an answer. Raises TrainingError where it has none."""
    tokenizer = loaded.tokenizer
    asked = [{"role": "user", "content": "x"}]
    answer = "answer"
    prompt = tokenizer.apply_chat_template(asked, add_generation_prompt=True, tokenize=False)
    whole = tokenizer.apply_chat_template(
        [*asked, {"role": "assistant", "content": answer}], add_generation_prompt=False, tokenize=False
    )
    _, _, after = whole[len(prompt) :].partition(answer)
    for token in tokenizer(after, add_special_tokens=False)["input_ids"]:
        if token in tokenizer.all_special_ids or token in tokenizer.added_tokens_decoder:
            return int(token)
    if tokenizer.eos_token_id is None:
        raise TrainingError("the tokenizer has no token that ends an answer; take another base")
    return int(tokenizer.eos_token_id)


def is_chat(examples: Sequence[GenerationExample]) -> bool:
    """Whether these are conversations."""
    return any(example.messages is not None for example in examples)


def is_plain_text(examples: Sequence[GenerationExample]) -> bool:
    """Whether the texts are all there is, with nothing to answer."""
    return bool(examples) and all(example.messages is None and example.source == "" for example in examples)


def warn_of_cut(rows: TokenRows, split: str, *, max_length: int, max_target_length: int) -> None:
    """Say how many of a split's texts were too long."""
    for cut, what, limit, setting in (
        (rows.sources_cut, "sources", max_length, "train.max_length"),
        (rows.answers_cut, "answers", max_target_length, "train.max_target_length"),
    ):
        if cut:
            log.warning(
                "%d of %d %s %s have more than %d tokens and were cut; %s sets how many",
                cut, len(rows), split, what, limit, setting,
            )  # fmt: skip


def _prompts(loaded: LoadedGenerator, examples: Sequence[GenerationExample]) -> list[list[int]]:
    """What goes in, whole, so that what is cut can be counted."""
    if is_chat(examples):
        chats = [[message.to_json() for message in example.messages or ()] for example in examples]
        return tokenize_chats(loaded, chats)
    return tokenize_sources(replace(loaded, max_length=_UNCUT), [example.source for example in examples])


def _cut_prompt(loaded: LoadedGenerator, example: GenerationExample, ids: list[int], room: int) -> list[int]:
    if len(ids) <= room:
        return ids
    if example.messages is not None:
        return ids[-room:]
    return tokenize_sources(replace(loaded, max_length=room), [example.source])[0]


def _shorter(rows: Sequence[Sequence[int]], before: Sequence[Sequence[int]]) -> int:
    return sum(len(row) < len(whole) for row, whole in zip(rows, before, strict=True))


def _ended(ids: Sequence[int], end: int) -> list[int]:
    """Up to the end token, which is added where the tokenizer adds none."""
    ids = list(ids)
    return ids[: ids.index(end) + 1] if end in ids else [*ids, end]


def _pieces(loaded: LoadedGenerator, texts: Sequence[str]) -> TokenRows:
    tokenizer = loaded.tokenizer
    end = tokenizer.eos_token_id
    stream = [end]
    for ids in tokenizer(list(texts), split_special_tokens=True, verbose=False)["input_ids"]:
        stream += [*ids, end] if not ids or ids[-1] != end else ids
    return TokenRows(list(_cut(stream, loaded.max_length)))


def _cut(stream: list[int], length: int) -> Iterator[TokenRow]:
    """Pieces that overlap by one token, so that every token is predicted once."""
    for start in range(0, len(stream) - 1, length - 1):
        piece = stream[start : start + length]
        yield TokenRow(piece[:1], piece[1:])
