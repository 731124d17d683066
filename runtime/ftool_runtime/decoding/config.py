"""`GenerationConfig`: the generation settings of transformers that this runtime supports, with checks."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Final, Literal, Self

from ftool_runtime.bundle.files import read_json_file
from ftool_runtime.decoding.config_checks import check, check_needs, without_effect
from ftool_runtime.errors import BundleError, InputError, nearest

logger = logging.getLogger(__name__)

DEFAULT_NEW_TOKENS: Final = 20  # transformers' default if neither max_new_tokens nor max_length is given

_SPECIAL: Final = ("pad_token_id", "bos_token_id", "eos_token_id", "decoder_start_token_id")


@dataclass(frozen=True, kw_only=True)
class GenerationConfig:
    """Settings for generating answers, with the names, defaults and meanings of transformers.

    `seed` and `prompt_lookup_approximate` are not in transformers.

    Attributes:
        max_new_tokens: the largest number of tokens in an answer, including the end token; takes precedence over
            `max_length`.
        max_length: the largest number of tokens in prompt and answer together; in an encoder-decoder the prompt is the
            start token. A call's `max_length` takes precedence over the bundle's `max_new_tokens`.
        min_new_tokens: the smallest number of tokens in an answer; takes precedence over `min_length`.
        min_length: the smallest number of tokens in prompt and answer together.
        stop_strings: the answer ends before the first of these strings. A special token has no text; given as a
            stop string, such a token ends the answer in the same way as `eos_token_id`.
        do_sample: whether to sample tokens by their probability, rather than take the most probable token.
        seed: the seed of the random numbers; None for a random seed. An answer does not depend on the other texts of
            the call.
        num_beams: the number of beams, at most 256; 1 for no beam search.
        num_return_sequences: the number of answers to each text; at most `num_beams` unless answers are sampled.
        early_stopping: beam search ends as soon as `num_beams` answers are complete (True), when a better answer is
            unlikely (False), or when a better answer is impossible ("never").
        length_penalty: for beam search: an answer's score is divided by its length to this power.
        temperature: for sampling: logits are divided by this number, which is at least 1e-6.
        top_k: for sampling: only the `top_k` most probable tokens are sampled; 0 for no limit.
        top_p: for sampling: only the most probable tokens, whose probabilities together reach `top_p`, are sampled.
        min_p: for sampling: only tokens with at least this fraction of the highest probability are sampled.
        typical_p: for sampling: locally typical sampling, https://arxiv.org/abs/2202.00666.
        top_h: for sampling: entropy-bound sampling, https://arxiv.org/abs/2509.02510.
        epsilon_cutoff: for sampling: only tokens with at least this probability are sampled.
        eta_cutoff: for sampling: as `epsilon_cutoff`, with a limit that depends on the entropy,
            https://arxiv.org/abs/2210.15191.
        prompt_lookup_num_tokens: guess up to this many tokens from the source or prompt, and check them in one run,
            which is faster for answers that quote; 0 for no guesses. A call that names it must have one beam; a
            bundle's own setting has no effect on calls with several beams.
        max_matching_ngram_size: for prompt lookup: the largest number of last tokens that are looked up.
        prompt_lookup_approximate: for prompt lookup: whether to allow it in a bundle that rounds activations, which is
            one of any precision but fp32. There, the logits of several tokens in one run differ slightly from those
            of single steps, so that another token can be chosen if two are almost equally probable.
        repetition_penalty: above 1, makes tokens that appeared before less likely.
        encoder_repetition_penalty: above 1, makes the source's tokens more likely.
        no_repeat_ngram_size: no sequence of this many tokens appears twice; 0 for no limit.
        encoder_no_repeat_ngram_size: no sequence of this many tokens of the source appears in the answer; 0 for no
            limit.
        bad_words_ids: sequences of tokens that never appear.
        sequence_bias: pairs of a sequence of tokens and a number that is added to the logit of its last token.
        forced_bos_token_id: the answer's first token.
        forced_eos_token_id: the last token of an answer that reaches its maximum length.
        exponential_decay_length_penalty: (start, factor): the end token becomes more likely after `start` tokens.
        suppress_tokens: tokens that never appear.
        begin_suppress_tokens: tokens that do not appear as the answer's first token.
        remove_invalid_values: whether to replace infinite and undefined logits by finite ones.
        renormalize_logits: whether to apply log-softmax after all logits processors.
        pad_token_id: the padding token.
        bos_token_id: the token that begins a text.
        eos_token_id: the token or tokens that end an answer.
        decoder_start_token_id: for encoder-decoders: the decoder's first token; None for `bos_token_id`.
        other: fields of a config file that this version does not know; kept, but without effect.
    """

    max_new_tokens: int | None = None
    max_length: int | None = None
    min_new_tokens: int | None = None
    min_length: int = 0
    stop_strings: tuple[str, ...] = ()
    do_sample: bool = False
    seed: int | None = None
    num_beams: int = 1
    num_return_sequences: int = 1
    early_stopping: bool | Literal["never"] = False
    length_penalty: float = 1.0
    temperature: float = 1.0
    top_k: int = 50
    top_p: float = 1.0
    min_p: float | None = None
    typical_p: float = 1.0
    top_h: float | None = None
    epsilon_cutoff: float = 0.0
    eta_cutoff: float = 0.0
    prompt_lookup_num_tokens: int = 0
    max_matching_ngram_size: int = 2
    prompt_lookup_approximate: bool = False
    repetition_penalty: float = 1.0
    encoder_repetition_penalty: float = 1.0
    no_repeat_ngram_size: int = 0
    encoder_no_repeat_ngram_size: int = 0
    bad_words_ids: tuple[tuple[int, ...], ...] = ()
    sequence_bias: tuple[tuple[tuple[int, ...], float], ...] = ()
    forced_bos_token_id: int | None = None
    forced_eos_token_id: tuple[int, ...] = ()
    exponential_decay_length_penalty: tuple[int, float] | None = None
    suppress_tokens: tuple[int, ...] = ()
    begin_suppress_tokens: tuple[int, ...] = ()
    remove_invalid_values: bool = False
    renormalize_logits: bool = False
    pad_token_id: int | None = None
    bos_token_id: int | None = None
    eos_token_id: tuple[int, ...] = ()
    decoder_start_token_id: int | tuple[int, ...] | None = None
    other: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for entry in fields(self):
            if entry.name != "other":
                value = check(entry.name, getattr(self, entry.name))
                object.__setattr__(self, entry.name, entry.default if value is None else value)
        _check_together(self)

    @classmethod
    def read(cls, path: Path) -> Self:
        """Return the config in the file `path`. Raises BundleError for a damaged file or an unsupported field."""
        values = read_json_file(path.parent, path.name)
        if not isinstance(values, dict):
            raise BundleError(f"{path} must hold an object, got {type(values).__name__}")
        try:
            return cls.from_json(values)
        except InputError as error:
            raise BundleError(f"{path}: {error}") from error

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """Return a config made from parsed JSON.

        Fields of transformers that have no effect here are ignored; unknown fields are kept in `other`, with a warning
        in the log. Raises InputError for a wrong value, and for a field that this runtime does not support.
        """
        known = {entry.name for entry in fields(cls)} - {"other"}
        rest = {name: value for name, value in values.items() if name not in known}
        other = {name: value for name, value in rest.items() if not without_effect(name, value, in_file=True)}
        if other:
            logger.warning("generation_config.json: ignored unknown fields: %s", ", ".join(sorted(other)))
        return cls(**{name: value for name, value in values.items() if name in known}, other=other)

    def changed(self, **changes: Any) -> Self:
        """Return a copy with some fields changed.

        Raises InputError for an unknown field, a wrong value, a field of transformers that is not supported, and a
        field that has no effect: of sampling where the copy does not sample, of beam search where it has one beam, of
        prompt lookup where the copy does not look up.
        """
        known = [entry.name for entry in fields(self) if entry.name != "other"]
        for name, value in changes.items():
            if name not in known and not without_effect(name, value):
                raise InputError(_unknown(name, known))
        kept = {name: value for name, value in changes.items() if name in known}
        for total, new in (("max_length", "max_new_tokens"), ("min_length", "min_new_tokens")):
            if kept.get(total) is not None:  # a call's length takes precedence over the bundle's
                kept.setdefault(new, None)
        config = replace(self, **kept) if kept else self
        check_needs(
            changes,
            do_sample=config.do_sample,
            num_beams=config.num_beams,
            lookup=config.prompt_lookup_num_tokens > 0,
        )
        return config

    def completed(self, bundle: "GenerationConfig") -> Self:
        """Return a copy whose unset special tokens are taken from the config `bundle`."""
        missing = {name: getattr(bundle, name) for name in _SPECIAL if getattr(self, name) in (None, ())}
        return replace(self, **missing) if missing else self

    def longest(self, prompt_tokens: int, most_new: int | None = None) -> int:
        """Return the largest number of tokens in prompt and answer together, for a prompt of `prompt_tokens` tokens.

        An answer has at most `most_new` tokens, whatever the settings say; None for no such limit.

        Raises InputError if the prompt leaves no room for an answer.
        """
        longest = self._asked_for(prompt_tokens)
        return longest if most_new is None else min(longest, prompt_tokens + most_new)

    def _asked_for(self, prompt_tokens: int) -> int:
        if self.max_new_tokens is not None:
            return prompt_tokens + self.max_new_tokens
        if self.max_length is None:
            return prompt_tokens + DEFAULT_NEW_TOKENS
        if prompt_tokens >= self.max_length:
            raise InputError(
                f"max_length is {self.max_length}, and the prompt has {prompt_tokens} tokens; "
                "raise it, or set max_new_tokens"
            )
        return self.max_length

    def check_vocabulary(self, size: int) -> None:
        """Raise InputError for an option that names a token outside a vocabulary of `size` tokens."""
        start = self.decoder_start_token_id
        named: dict[str, set[int]] = {
            "decoder_start_token_id": set()
            if start is None
            else {start}
            if isinstance(start, int)
            else {*start},
            "forced_bos_token_id": {self.forced_bos_token_id or 0},
            "forced_eos_token_id": {*self.forced_eos_token_id},
            "bad_words_ids": {token for run in self.bad_words_ids for token in run},
            "sequence_bias": {token for run, _ in self.sequence_bias for token in run},
        }
        for name, tokens in named.items():
            if tokens and max(tokens) >= size:
                raise InputError(f"{name} names the token id {max(tokens)}; the model's ids are below {size}")

    @property
    def looks_up(self) -> bool:
        """Whether tokens are guessed by prompt lookup."""
        return self.prompt_lookup_num_tokens > 0 and self.num_beams == 1

    @property
    def new_tokens(self) -> int:
        """The largest number of tokens in an answer to a prompt of one token."""
        return self.longest(1) - 1 if self.max_length is None or self.max_length > 1 else 1


def _check_together(config: GenerationConfig) -> None:
    if config.num_return_sequences > max(config.num_beams, 1) and not (
        config.do_sample and config.num_beams == 1
    ):
        raise InputError(
            f"num_return_sequences is {config.num_return_sequences} with num_beams={config.num_beams}: "
            "set num_beams to at least as many, or do_sample=True"
        )
    for name in ("forced_bos_token_id", "forced_eos_token_id"):
        forced = getattr(config, name)
        tokens = {forced} if isinstance(forced, int) else set(forced or ())
        if tokens and tokens <= set(config.suppress_tokens):
            raise InputError(f"{name} is {forced}, which suppress_tokens forbids; take it out of one of them")


def _unknown(name: str, known: list[str]) -> str:
    near = nearest(name, known)
    hint = f"; did you mean {near!r}?" if near else ""
    return f"generation has no option {name!r}{hint}"
