"""Create the generator that training starts from: a checkpoint set to the task and languages, or random weights."""

from dataclasses import replace

from ftool.bases import hub_name, resolve_base
from ftool.data.dataset import Dataset
from ftool.data.rows.generation import GenerationExample
from ftool.errors import TrainingError
from ftool.recipe.sections import SCRATCH, Sections, is_default
from ftool.training.generator_rows import is_chat
from ftool.training.scratch.random_models import create_scratch
from ftool_export.checkpoints.base import trained_length
from ftool_export.checkpoints.generator import LoadedGenerator, load_generator
from ftool_export.checkpoints.languages import begin_answers_in, set_to_languages
from ftool_runtime.bundle.manifest import Languages


def create_generator(recipe: Sections, data: Dataset[GenerationExample]) -> LoadedGenerator:
    """Return the model of the recipe's base, set to the recipe's lengths, prefix, languages and generation settings.

    Raises FtoolError if the base can't be read or doesn't support the recipe's task or languages.
    """
    loaded = _from_scratch(recipe, data) if recipe.base.startswith(SCRATCH) else _from_checkpoint(recipe)
    loaded.generation_config.update(**recipe.generation_config())
    if loaded.languages is not None:
        begin_answers_in(loaded.generation_config, loaded.languages)
    return loaded


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
    wanted = recipe.train.max_length
    longest = trained_length(
        recipe.base, loaded.model, loaded.tokenizer, wanted, exact=not is_default(wanted)
    )
    if loaded.family == "decoder":  # training may use less of its context, but the context stays as it is
        longest = max(longest, loaded.max_length)
    return replace(loaded, base=hub_name(recipe.base), max_length=longest)


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
