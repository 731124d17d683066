"""Checks for each field of a generation config, and the fields of transformers that are not supported."""

import math
from collections.abc import Callable, Mapping
from typing import Any, Final

from ftool_runtime.errors import InputError
from ftool_runtime.schema import is_number

Check = Callable[[str, Any], Any]

LEAST_TEMPERATURE: Final = (
    1e-6  # below this, scores become too large for beam search, which adds -1e9 to some
)
LARGEST_WHOLE: Final = 2**31 - 1  # of token ids and of numbers of tokens
LARGEST_NUMBER: Final = (
    1e30  # and its reciprocal the smallest factor: products with logits stay within float32
)
MOST_ANSWERS: Final = 256  # beams or sampled answers for one text; each has its own caches


def check(name: str, value: Any) -> Any:
    """Return `value` in the form that the config keeps for the field `name`; None, for the default, stays None.

    Raises InputError, which names the field, the value and the allowed values, if the value is not allowed.
    """
    return None if value is None else _CHECKS[name](name, value)


def without_effect(name: str, value: Any, *, in_file: bool = False) -> bool:
    """Return whether a field that this runtime does not have can be ignored, because it does not change answers.

    Returns False for an unknown field. A file may hold any value of a field that changes only how transformers computes
    or what it returns beside the answer; a call may hold only the value that changes nothing. Raises InputError for
    a field of transformers with another value.
    """
    if name in _METADATA:
        return True
    if name not in _REFUSED and name not in _IGNORED_IN_FILES:
        return False
    without = _REFUSED[name] if name in _REFUSED else _IGNORED_IN_FILES[name]
    if value in (None, *without) or (in_file and name in _IGNORED_IN_FILES):
        return True
    raise InputError(f"{name}={_told(value)} is not supported here; remove it, or generate with transformers")


def check_needs(given: Mapping[str, Any], *, do_sample: bool, num_beams: int, lookup: bool) -> None:
    """Raise InputError if an option of a call has no effect, because the call searches in another way.

    Options of sampling need sampling, options of beam search need several beams, and prompt lookup needs one beam.

    Args:
        given: the call's options. An option that switches sampling, beam search or prompt lookup off on purpose
            (`do_sample=False`, `num_beams=1`, `prompt_lookup_num_tokens=0`) allows the others to have no effect.
        do_sample: whether the call samples.
        num_beams: the number of the call's beams.
        lookup: whether prompt lookup is on, for a call with one beam.
    """
    if not do_sample and "do_sample" not in given:
        _check_need(given, _OF_SAMPLING, "do_sample=True")
    if num_beams == 1 and "num_beams" not in given:
        _check_need(given, _OF_BEAMS, "num_beams above 1")
    if not lookup and "prompt_lookup_num_tokens" not in given:
        _check_need(given, _OF_LOOKUP, "prompt_lookup_num_tokens")
    if num_beams > 1:
        _check_need(given, {"prompt_lookup_num_tokens": 0}, "num_beams=1")


def _check_need(given: Mapping[str, Any], neutral: Mapping[str, Any], needed: str) -> None:
    for name in neutral.keys() & given.keys():
        if given[name] not in (None, neutral[name]):
            raise InputError(
                f"{name}={_told(given[name])} has no effect without {needed}; set that, or remove {name}"
            )


def _told(value: Any) -> str:
    try:
        return repr(value)
    except ValueError:  # Python refuses to write numbers of thousands of digits
        return "a number of thousands of digits"


def _whole(least: int, most: float = LARGEST_WHOLE) -> Check:
    highest = f" and at most {most}" if most < LARGEST_WHOLE else ""

    def whole(name: str, value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            highest_told = highest or (
                f" and at most {most}" if isinstance(value, int) and value > most else ""
            )
            raise InputError(
                f"{name} must be a whole number of at least {least}{highest_told}, got {_told(value)}"
            )
        return value

    return whole


def _number(low: float, high: float = math.inf, *, open_low: bool = False) -> Check:
    def number(name: str, value: Any) -> float:
        good = is_number(value) and abs(value) <= LARGEST_NUMBER
        if good and open_low:
            good = value - low >= 1 / LARGEST_NUMBER
        if not good or value > high or value < low:
            lowest = f"above {low:g}" if open_low else f"at least {low:g}"
            highest = (
                high if high < math.inf else LARGEST_NUMBER if is_number(value) and value > 1 else math.inf
            )
            limits = (f"a number {lowest}" if low > -math.inf else "a number") + (
                f" and at most {highest:g}" if highest < math.inf else ""
            )
            raise InputError(f"{name} must be {limits}, got {_told(value)}{_hint(name, value)}")
        return float(value)

    return number


def _hint(name: str, value: Any) -> str:
    return (
        "; to always take the most probable token set do_sample=False"
        if name == "temperature" and isinstance(value, int | float) and 0 <= value < LEAST_TEMPERATURE
        else ""
    )


def _truth(name: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise InputError(f"{name} must be True or False, got {_told(value)}")
    return value


def _early_stopping(name: str, value: Any) -> bool | str:
    if isinstance(value, bool):
        return value
    if value != "never":
        raise InputError(f'{name} must be True, False or "never", got {_told(value)}')
    return "never"


def _tokens(name: str, value: Any) -> tuple[int, ...]:
    listed = (value,) if isinstance(value, int) else value
    if not isinstance(listed, list | tuple) or not all(_is_token(token) for token in listed):
        raise InputError(f"{name} must be a token id or a list of them, got {_told(value)}")
    return tuple(listed)


def _start_tokens(name: str, value: Any) -> int | tuple[int, ...]:
    if isinstance(value, list | tuple) and not value:
        raise InputError(
            f"{name} must be a token id or a list of them, got an empty list; leave it out, or name a token"
        )
    return value if _is_token(value) else _tokens(name, value)


def _is_token(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= LARGEST_WHOLE


def _pad(name: str, value: Any) -> int | None:
    if isinstance(value, int) and not isinstance(value, bool) and value < 0:
        return None  # some checkpoints write -1 for "none"
    return _whole(0)(name, value)  # type: ignore[no-any-return]


def _token_runs(name: str, value: Any) -> tuple[tuple[int, ...], ...]:
    if not isinstance(value, list | tuple) or not all(
        isinstance(run, list | tuple) and run and all(_is_token(token) for token in run) for run in value
    ):
        raise InputError(
            f"{name} must be a list of lists of token ids, none of them empty, got {_told(value)}"
        )
    return tuple(tuple(run) for run in value)


def _biases(name: str, value: Any) -> tuple[tuple[tuple[int, ...], float], ...]:
    pairs = list(value.items()) if isinstance(value, Mapping) else value
    if not isinstance(pairs, list | tuple) or not all(
        isinstance(pair, list | tuple) and len(pair) == 2 and _is_bias(pair[1]) for pair in pairs
    ):
        raise InputError(f"{name} must be a list of pairs of token ids and a number, got {_told(value)}")
    return tuple((_token_runs(name, [run])[0], float(bias)) for run, bias in pairs)


def _is_bias(value: object) -> bool:
    """Return whether a number may be added to logits; infinity forbids a token or forces it."""
    return (is_number(value) and abs(value) <= LARGEST_NUMBER) or value in (math.inf, -math.inf)


def _decay(name: str, value: Any) -> tuple[int, float]:
    if not isinstance(value, list | tuple) or len(value) != 2:
        raise InputError(f"{name} must be a pair of a token count and a factor, got {_told(value)}")
    return _whole(0)(name, value[0]), _number(0, open_low=True)(name, value[1])


def _strings(name: str, value: Any) -> tuple[str, ...]:
    listed = (value,) if isinstance(value, str) else value
    if not isinstance(listed, list | tuple) or not all(isinstance(text, str) and text for text in listed):
        raise InputError(
            f"{name} must be a string or a list of strings, none of them empty, got {_told(value)}"
        )
    return tuple(listed)


_CHECKS: Final[Mapping[str, Check]] = {
    "max_new_tokens": _whole(1),
    "max_length": _whole(1),
    "min_new_tokens": _whole(0),
    "min_length": _whole(0),
    "stop_strings": _strings,
    "do_sample": _truth,
    "seed": _whole(0, math.inf),
    "num_beams": _whole(1, MOST_ANSWERS),
    "num_return_sequences": _whole(1, MOST_ANSWERS),
    "early_stopping": _early_stopping,
    "length_penalty": _number(-math.inf),
    "temperature": _number(LEAST_TEMPERATURE),
    "top_k": _whole(0),
    "top_p": _number(0, 1),
    "min_p": _number(0, 1),
    "typical_p": _number(0, 1, open_low=True),
    "top_h": _number(0, 1, open_low=True),
    "epsilon_cutoff": _number(0, 1),
    "eta_cutoff": _number(0, 1),
    "prompt_lookup_num_tokens": _whole(0),
    "max_matching_ngram_size": _whole(1),
    "prompt_lookup_approximate": _truth,
    "repetition_penalty": _number(0, open_low=True),
    "encoder_repetition_penalty": _number(0, open_low=True),
    "no_repeat_ngram_size": _whole(0),
    "encoder_no_repeat_ngram_size": _whole(0),
    "bad_words_ids": _token_runs,
    "sequence_bias": _biases,
    "forced_bos_token_id": _whole(0),
    "forced_eos_token_id": _tokens,
    "exponential_decay_length_penalty": _decay,
    "suppress_tokens": _tokens,
    "begin_suppress_tokens": _tokens,
    "remove_invalid_values": _truth,
    "renormalize_logits": _truth,
    "pad_token_id": _pad,
    "bos_token_id": _pad,
    "eos_token_id": _tokens,
    "decoder_start_token_id": _start_tokens,
}

# Fields of transformers that would change an answer, with the values that do not.
_REFUSED: Final[Mapping[str, tuple[Any, ...]]] = {
    "cache_implementation": (
        "dynamic",
        "dynamic_full",
        "hybrid",
        "hybrid_chunked",
        "offloaded",
        "offloaded_hybrid",
        "offloaded_hybrid_chunked",
        "offloaded_static",
        "sliding_window",
        "static",
    ),  # "quantized" rounds what later tokens see
    "constraints": ([],),
    "diversity_penalty": (0, 0.0),
    "dola_layers": (),
    "force_words_ids": ([],),
    "guidance_scale": (1, 1.0),
    "low_memory": (False,),
    "max_time": (),
    "num_beam_groups": (1,),
    "penalty_alpha": (0, 0.0),
    "token_healing": (False,),
    "watermarking_config": (),
}

# Options that have an effect only if tokens are sampled, with the values that change nothing even then.
_OF_SAMPLING: Final[Mapping[str, Any]] = {
    "temperature": 1.0,
    "top_k": 50,
    "top_p": 1.0,
    "min_p": 0.0,
    "typical_p": 1.0,
    "top_h": 1.0,
    "epsilon_cutoff": 0.0,
    "eta_cutoff": 0.0,
}

# The same for beam search.
_OF_BEAMS: Final[Mapping[str, Any]] = {"early_stopping": False, "length_penalty": 1.0}

# The same for prompt lookup.
_OF_LOOKUP: Final[Mapping[str, Any]] = {"max_matching_ngram_size": 2, "prompt_lookup_approximate": False}

# Fields that say where a config came from.
_METADATA: Final = frozenset({"_commit_hash", "_from_model_config", "transformers_version"})

# Fields that change how transformers computes, or what it returns besides the answer, with the values that change
# neither.
_IGNORED_IN_FILES: Final[Mapping[str, tuple[Any, ...]]] = {
    "assistant_confidence_threshold": (0.4,),
    "assistant_early_exit": (),
    "assistant_ensemble_weight": (),
    "assistant_lookbehind": (10,),
    "cache_config": ({},),
    "compile_config": (),
    "continuous_batching_config": (),
    "disable_compile": (True, False),
    "is_assistant": (False,),
    "max_cache_len": (),
    "num_assistant_tokens": (20,),
    "num_assistant_tokens_schedule": ("constant",),
    "output_attentions": (False,),
    "output_hidden_states": (False,),
    "output_logits": (False,),
    "output_scores": (False,),
    "prefill_chunk_size": (),
    "return_dict_in_generate": (False,),
    "speculation_type": (),
    "target_lookbehind": (10,),
    "use_cache": (True,),
    "use_mtp": (False,),
}
