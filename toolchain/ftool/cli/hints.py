"""Hints for options that a command does not have: settings of the recipe, and other tools' names of options."""

from collections.abc import Mapping, Sequence
from typing import Final

import click

_SET: Final = "--set"

# What other tools call it, by our option or setting.
_ELSEWHERE: Final[Mapping[str, tuple[str, ...]]] = {
    "--base": ("model", "model_id", "model_name", "model_name_or_path", "base_model", "pretrained"),
    "--data": ("dataset", "dataset_name", "train_file", "train_data", "data_dir", "data_path"),
    "--precision": ("quantize", "quantization", "quant", "dtype"),
    "--text-column": ("text_col", "text_column_name"),
    "--label-column": ("label_col", "label_column_name", "target_column_name"),
    "--on": ("engine", "backend"),
    "train.epochs": ("num_train_epochs", "num_epochs", "n_epochs"),
    "train.learning_rate": ("lr",),
    "train.batch_size": ("bs", "per_device_train_batch_size", "train_batch_size"),
    "train.gradient_accumulation": ("gradient_accumulation_steps",),
    "train.max_length": ("max_seq_length", "max_seq_len", "model_max_length"),
    "train.warmup_ratio": ("warmup",),
    "train.schedule": ("lr_scheduler_type", "scheduler"),
    "train.method": ("peft", "use_peft", "lora"),
}
_FOLDER: Final = ("output_dir", "out_dir", "save_dir", "model_dir", "model_folder", "folder")


def hint(error: click.NoSuchOption, arguments: Sequence[str]) -> str | None:
    """Return the message for an option that does not exist, with what was probably meant; None without an idea.

    `arguments` are the words of the command line, among them the option and its value.
    """
    command = error.ctx.command if error.ctx else None
    if command is None:
        return None
    options = {option for parameter in command.params for option in parameter.opts}
    name = error.option_name.lstrip("-").replace("-", "_")
    if name in _FOLDER and any(
        isinstance(one, click.Argument) and one.name == "folder" for one in command.params
    ):
        return f"no option {error.option_name}; the model folder is the argument FOLDER, without an option"
    meant = _meant(name, options, similar=error.possibilities is not None and bool(error.possibilities))
    if meant is None:
        return None
    value = _value(error.option_name, arguments)
    call = f"{meant} {value}" if meant.startswith("--") else f"{_SET} {meant}={value}"
    return f"no option {error.option_name}; did you mean {call}?"


def _meant(name: str, options: set[str], *, similar: bool) -> str | None:
    """Return the option, or the path of the setting, that is probably meant by `name`.

    `options` are those of the command; `similar` says whether one of them is spelt much like the given one.
    """
    from ftool.recipe.override import nearest_settings, setting_paths
    from ftool.recipe.recipe import Recipe

    elsewhere = next((ours for ours, names in _ELSEWHERE.items() if name in names), None)
    if elsewhere is not None and (elsewhere in options or not elsewhere.startswith("--")):
        return elsewhere if elsewhere in options or _SET in options else None
    if _SET not in options:
        return None
    paths = setting_paths(Recipe, name)
    if not paths and not similar:
        paths = [path for path in nearest_settings(Recipe, name) if "." in path]
    return next((path for path in paths if path.startswith("train.")), paths[0] if paths else None)


def _value(option: str, arguments: Sequence[str]) -> str:
    for place, argument in enumerate(arguments):
        if argument.startswith(f"{option}="):
            return argument.partition("=")[2]
        if argument == option and place + 1 < len(arguments) and not arguments[place + 1].startswith("--"):
            return arguments[place + 1]
    return "VALUE"
