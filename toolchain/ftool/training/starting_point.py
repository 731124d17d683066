"""What the training of a generator starts from: a checkpoint set to the task, or random weights."""

from dataclasses import replace

from ftool.bases import BASES, resolve_base
from ftool.data.dataset import Dataset
from ftool.data.rows.generation import GenerationExample
from ftool.recipe.sections import SCRATCH, Sections
from ftool.training.errors import TrainingError
from ftool.training.generator_rows import is_chat
from ftool.training.hardware import device_name
from ftool.training.scratch.models import create_scratch
from ftool_export.checkpoints.generator import LoadedGenerator, load_generator
from ftool_export.checkpoints.languages import answer_in, set_to_languages
from ftool_runtime.bundle.manifest import Languages


def starting_point(recipe: Sections, data: Dataset[GenerationExample]) -> LoadedGenerator:
    """The recipe's base, set to its lengths, prefix, languages and generation settings, on the training device.

    Raises FtoolError where the base can't be read or doesn't fit the task or its languages.
    """
    loaded = _from_scratch(recipe, data) if recipe.base.startswith(SCRATCH) else _from_checkpoint(recipe)
    loaded.generation_config.update(**recipe.generation_config())
    if loaded.languages is not None:
        answer_in(loaded.generation_config, loaded.languages)
    loaded.model.to(device_name())
    return replace(loaded, training_sha256=data.sha256, training_examples=len(data.train))


def _from_checkpoint(recipe: Sections) -> LoadedGenerator:
    loaded = load_generator(resolve_base(recipe.base), recipe.task)
    data = recipe.data
    loaded = set_to_languages(loaded, data.source_language, data.target_language, data.prefix)
    languages = loaded.languages
    codes = languages.known()["target"] if languages else []
    if codes and languages and languages.target is None:
        raise TrainingError(
            f"{recipe.base} writes several languages; set data.target_language to one of {', '.join(codes)}"
        )
    longest = loaded.max_length  # a decoder's context stays its own; training alone cuts its texts
    if loaded.family == "encoder-decoder":
        longest = min(recipe.train.max_length, longest)
    return replace(
        loaded,
        base=BASES[recipe.base].hub_id if recipe.base in BASES else recipe.base,
        max_length=longest,
    )


def _from_scratch(recipe: Sections, data: Dataset[GenerationExample]) -> LoadedGenerator:
    examples = data.train.examples
    turns = [message.content for example in examples for message in example.messages or ()]
    loaded = create_scratch(
        recipe.base,
        recipe.task,
        sources=[*(example.source for example in examples), *turns],
        targets=[example.targets[0] for example in examples],
        chat=is_chat(examples),
        settings=recipe.train,
    )
    source, target = recipe.data.source_language, recipe.data.target_language
    pair = (
        Languages(source=source, target=target) if (source or target) and loaded.family != "decoder" else None
    )
    return replace(loaded, prefix=recipe.data.prefix or "", languages=pair)
