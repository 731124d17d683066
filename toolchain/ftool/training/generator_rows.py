"""Tokenise generation examples into prompts and answers, and count the texts that are cut."""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from ftool.data.rows.generation import GenerationExample
from ftool.errors import TrainingError
from ftool_export.checkpoints.generator import LoadedGenerator
from ftool_export.checkpoints.generator_inference import tokenize_chats, tokenize_sources
from ftool_export.checkpoints.languages import first_token

log = logging.getLogger(__name__)

_CHUNK = 512  # tokens of a chunk of plain text, unless training sets another length
_UNCUT = 10_000_000  # tokens: more than any text has


@dataclass(frozen=True, slots=True)
class TokenRow:
    """The tokens of one example. The loss is computed only on `answer`.

    Attributes:
        given: an encoder-decoder's source, or a decoder's prompt; for a chunk of plain text, its first token.
        answer: the tokens to predict, including the end token.
    """

    given: list[int]
    answer: list[int]

    def __len__(self) -> int:
        return len(self.given) + len(self.answer)


@dataclass(frozen=True, slots=True)
class TokenRows:
    """A split's rows, one per example or per chunk of plain text, and the numbers of texts that were cut."""

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
    """Tokenise examples exactly as the runtime does.

    A long answer is cut to `max_target_length` tokens but keeps its end token. For encoder-decoders, a long source is
    cut on the tokenizer's truncation side. For decoders, the beginning of the prompt is cut until prompt and answer fit
    into `max_length` together. Plain texts are joined, with an end token after each text, and cut into chunks.

    Args:
        loaded: the model.
        examples: pairs, conversations or plain texts; all are of one kind.
        max_target_length: the most tokens of an answer, including the end token.
        max_length: the most tokens of a source, or of a prompt and its answer together, if less than the model's limit.
            None means the model's limit, but for plain text at most 512, because a model with a long context would
            otherwise get all text as a single chunk.
    """
    if max_length is None and is_plain_text(examples):
        max_length = _CHUNK
    if max_length is not None:
        loaded = replace(loaded, max_length=min(max_length, loaded.max_length))
    if is_plain_text(examples):
        return _chunks(loaded, [example.targets[0] for example in examples])
    answers = tokenize_answers(loaded, [example.targets[0] for example in examples], chat=is_chat(examples))
    decoder = loaded.family == "decoder"
    limit = min(max_target_length, loaded.max_length - 1) if decoder else max_target_length
    kept = [answer if len(answer) <= limit else [*answer[: limit - 1], answer[-1]] for answer in answers]
    prompts = _prompts(loaded, examples)
    given = [
        _cut_prompt(loaded, example, ids, loaded.max_length - (len(answer) if decoder else 0))
        for example, ids, answer in zip(examples, prompts, kept, strict=True)
    ]
    return TokenRows(
        [TokenRow(ids, answer) for ids, answer in zip(given, kept, strict=True)],
        sources_cut=_shorter(given, prompts),
        answers_cut=_shorter(kept, answers),
    )


def assistant_turns(examples: Sequence[GenerationExample]) -> list[GenerationExample]:
    """Return the examples to train on: one for each turn of the assistant, whose prompt is all earlier turns.

    Examples without a conversation stay unchanged. Assistant turns before the first user turn are not learnt.
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
    """Return the token ids of each answer, including the end token."""
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
    """Return the id of the token that the chat template puts after an answer, or else of the tokenizer's end token.

    Raises TrainingError if there is neither.
    """
    tokenizer = loaded.tokenizer
    question = [{"role": "user", "content": "x"}]
    answer = "answer"
    prompt = tokenizer.apply_chat_template(question, add_generation_prompt=True, tokenize=False)
    whole = tokenizer.apply_chat_template(
        [*question, {"role": "assistant", "content": answer}], add_generation_prompt=False, tokenize=False
    )
    _, _, after = whole[len(prompt) :].partition(answer)
    for token in tokenizer(after, add_special_tokens=False)["input_ids"]:
        if token in tokenizer.all_special_ids or token in tokenizer.added_tokens_decoder:
            return int(token)
    if tokenizer.eos_token_id is None:
        raise TrainingError("the tokenizer has no token that ends an answer; choose another base")
    return int(tokenizer.eos_token_id)


def is_chat(examples: Sequence[GenerationExample]) -> bool:
    """Return whether the examples are conversations."""
    return any(example.messages is not None for example in examples)


def is_plain_text(examples: Sequence[GenerationExample]) -> bool:
    """Return whether the examples are plain texts, without prompts."""
    return bool(examples) and all(example.messages is None and example.source == "" for example in examples)


def warn_of_cut(rows: TokenRows, split: str, *, max_length: int, max_target_length: int) -> None:
    """Log warnings with the numbers of a split's sources and of its answers that were cut, if any were."""
    for cut, what, limit, setting in (
        (rows.sources_cut, "sources", max_length, "train.max_length"),
        (rows.answers_cut, "answers", max_target_length, "train.max_target_length"),
    ):
        if cut:
            log.warning(
                "%d of %d %s %s have more than %d tokens and were cut; raise %s to keep more",
                cut, len(rows), split, what, limit, setting,
            )  # fmt: skip


def _prompts(loaded: LoadedGenerator, examples: Sequence[GenerationExample]) -> list[list[int]]:
    """Return the token ids of uncut prompts, so that the prompts that must be cut can be counted."""
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
    """Return `ids` up to the first end token, which is added if `ids` has none."""
    ids = list(ids)
    return ids[: ids.index(end) + 1] if end in ids else [*ids, end]


def _chunks(loaded: LoadedGenerator, texts: Sequence[str]) -> TokenRows:
    tokenizer = loaded.tokenizer
    end = tokenizer.eos_token_id
    stream = [end]
    for ids in tokenizer(list(texts), split_special_tokens=True, verbose=False)["input_ids"]:
        stream += [*ids, end] if not ids or ids[-1] != end else ids
    return TokenRows(list(_cut(stream, loaded.max_length)))


def _cut(stream: list[int], length: int) -> Iterator[TokenRow]:
    """Yield chunks that overlap by one token, so that every token except the first is predicted once."""
    for start in range(0, len(stream) - 1, length - 1):
        chunk = stream[start : start + length]
        yield TokenRow(chunk[:1], chunk[1:])
