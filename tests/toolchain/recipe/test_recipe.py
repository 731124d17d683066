"""Recipes: which settings are refused, what a file preserves, and how overrides for one call work."""

import dataclasses
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ftool.errors import RecipeError
from ftool.recipe.data_settings import DataSettings
from ftool.recipe.recipe import Recipe
from ftool.recipe.schema import SOME_TASKS, explanation, marked
from ftool.recipe.sections import ExportRecipe, GenerationSettings, TrainSettings
from ftool.recipe.shipped import shipped_recipe, shipped_recipes
from ftool.tasks.registry import find_synonym, find_task, task_names, tasks_using
from ftool_runtime.errors import InputError
from ftool_runtime.schema import field_types

GENERATION_TASKS = ("summarization", "translation", "text-generation")
MINIMAL = '[data]\npath = "builtin:intents"\n'


def write(folder: Path, text: str) -> Path:
    path = folder / "recipe.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_recipe_needs_no_more_than_its_data(tmp_path: Path) -> None:
    recipe = Recipe.read(write(tmp_path, MINIMAL))
    assert recipe == Recipe(data=DataSettings(path="builtin:intents"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "data is missing"),
        ("[data]\n", "data.path is missing"),
        (MINIMAL + "[train]\nlearning_rat = 1e-5\n", "did you mean train.learning_rate?"),
        (MINIMAL + "[train]\nlr = 1e-5\n", "train.lr is not a setting; known are method, samples"),
        (MINIMAL + "[trian]\nepochs = 1\n", "trian is not a setting; did you mean train?"),
        (MINIMAL + 'column = "x"\n', "data.column is not a setting; did you mean data.columns?"),
        (MINIMAL + '[train]\nepochs = "3"\n', 'train.epochs must be a number, got "3"'),
        (MINIMAL + "[train]\nbatch_size = 1.5\n", "train.batch_size must be a whole number, got 1.5"),
        (MINIMAL + "[train]\nbatch_size = true\n", "train.batch_size must be a whole number, got true"),
        (MINIMAL + "[train]\nepochs = true\n", "train.epochs must be a number, got true"),
        (MINIMAL + "[train]\nlearning_rate = nan\n", "train.learning_rate must be a number"),
        (MINIMAL + '[train]\nmethod = "heads"\n', 'did you mean "head"?'),
        (MINIMAL + "[train]\nbf16 = 1\n", 'train.bf16 must be "auto" or true or false, got 1'),
        (MINIMAL + 'columns = "text,label"\n', "data.columns must be a list of strings"),
        (MINIMAL + "columns = []\n", "data.columns must be different names"),
        (
            MINIMAL + "[train.class_weights]\nyes = 'heavy'\n",
            'train.class_weights.yes must be a number, got "heavy"',
        ),
        (MINIMAL + "[train.class_weights]\nyes = 0\n", "train.class_weights.yes must be above 0, got 0"),
        (MINIMAL + "[export]\nmax_drop = 1.5\n", "export.max_drop must be from 0 to 1, got 1.5"),
        (MINIMAL + "[export]\nembedding_bits = 2\n", "export.embedding_bits must be 8 or 4, got 2"),
        (MINIMAL + "validation_fraction = 0.5\n", "data.validation_fraction must be above 0, below 0.5"),
        (MINIMAL + "[train]\nepochs = 1e308\n", "train.epochs must be at most 1,000,000, got 1e+308"),
        (MINIMAL + f"[train]\nbatch_size = {2**31}\n", "train.batch_size must be from -2147483647 to"),
        (MINIMAL + f"[train]\nseed = {10**20}\n", "train.seed must be from -2147483647 to 2147483647"),
        (MINIMAL + f"seed = -{10**20}\n", "data.seed must be from -2147483647 to 2147483647, got -1000"),
        (MINIMAL + f"[generation]\nnum_beams = {10**20}\n", "generation.num_beams must be from -2147483647"),
        (MINIMAL + f"x = {'9' * 5_000}\n", "is TOML that can't be read: Exceeds the limit"),
        (MINIMAL + f"x = {'[' * 5_000}\n", "its values are nested too deeply"),
        (f"a{'.a' * 50_000} = 1\n", "has a name of more than 64 parts"),
        ("[a" + " . 'a b'" * 50_000 + "]\n", "has a name of more than 64 parts"),
        ("#" * 2**20 + "\n", "is larger than 1,048,576 bytes, which no recipe is"),
        ("train = 3\n" + MINIMAL, "train must be a table"),
        ('task = "text-classification\n', "is not TOML"),
    ],
)
def test_a_wrong_recipe_is_refused_with_file_key_and_remedy(tmp_path: Path, text: str, message: str) -> None:
    path = write(tmp_path, text)
    with pytest.raises(RecipeError) as refused:
        Recipe.read(path)
    assert str(path) in str(refused.value)
    assert message in str(refused.value)


@pytest.mark.skipif(os.name == "nt", reason="needs named pipes")
@pytest.mark.timeout(10, func_only=True)
def test_a_recipe_that_is_a_named_pipe_is_not_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "recipe.toml")
    with pytest.raises(RecipeError, match="can't be read: it is a named pipe, not a regular file"):
        Recipe.read(tmp_path / "recipe.toml")


def test_a_missing_recipe_names_the_command_that_writes_one(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="ftool new"):
        Recipe.read(tmp_path / "recipe.toml")


def test_a_recipe_in_another_encoding_says_where(tmp_path: Path) -> None:
    path = tmp_path / "recipe.toml"
    path.write_bytes('# für\n[data]\npath = "x"\n'.encode("latin-1"))
    with pytest.raises(RecipeError, match="byte 0xfc at offset 3"):
        Recipe.read(path)


_NAMES = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), min_size=1, max_size=12)


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    path=_NAMES.filter(str.strip),
    columns=st.none() | st.lists(_NAMES, min_size=1, max_size=4, unique=True).map(tuple),
    separator=st.none() | _NAMES,
    multi_label=st.sampled_from([None, True, False]),
    learning_rate=st.floats(min_value=1e-9, max_value=1.0),
    class_weights=st.sampled_from(["none", "balanced"])
    | st.dictionaries(_NAMES, st.floats(min_value=0.01, max_value=100), max_size=3),
)
def test_a_recipe_survives_its_file(
    tmp_path: Path,  # one file for all examples: a recipe is written over another
    path: str,
    columns: tuple[str, ...] | None,
    separator: str | None,
    multi_label: bool | None,
    learning_rate: float,
    class_weights: Any,
) -> None:
    recipe = Recipe(
        data=DataSettings(
            path=f"builtin:{path}", columns=columns, label_separator=separator, multi_label=multi_label
        ),
        train=TrainSettings(learning_rate=learning_rate, class_weights=class_weights, bf16=False),
        export=ExportRecipe(precision="w8"),
    )
    file = tmp_path / "recipe.toml"
    recipe.write(file)
    assert Recipe.read(file) == recipe


@pytest.mark.parametrize("task", ["text-classification", *GENERATION_TASKS])
def test_a_written_recipe_explains_the_settings_that_its_task_uses_and_no_others(
    tmp_path: Path, task: str
) -> None:
    recipe = Recipe(task=task, data=DataSettings(path="builtin:intents"))
    recipe.write(tmp_path / "recipe.toml")
    assert Recipe.read(tmp_path / "recipe.toml") == recipe
    text = (tmp_path / "recipe.toml").read_text(encoding="utf-8")
    tables = {
        "data": DataSettings,
        "train": TrainSettings,
        "generation": GenerationSettings,
        "export": ExportRecipe,
    }
    for table, kind in tables.items():
        for name in field_types(kind):
            assert explanation(kind, name)
            stands = f"\n{name} = " in text or f"\n# {name} = " in text
            only = tasks_using(f"{table}.{name}")
            assert stands == (not only or task in only)
    assert ("[generation]" in text) == (task in GENERATION_TASKS)


GENERATION = 'task = "translation"\n' + MINIMAL


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            'task = "translatoin"\n' + MINIMAL,
            'task "translatoin" is unknown; did you mean translation?',
        ),
        ('task = "poetry"\n' + MINIMAL, "known tasks are text-classification, "),
        (
            GENERATION + 'label = "x"\n',
            "data.label is for text-classification and token-classification, and the task is translation; "
            "data.target is",
        ),
        (GENERATION + "multi_label = false\n", "data.multi_label is for text-classification"),
        (
            GENERATION + 'messages = "x"\n',
            "data.messages is for text-generation, and the task is translation",
        ),
        (GENERATION + '[train]\npooling = "cls"\n', "train.pooling is for text-classification"),
        (GENERATION + '[train]\nmethod = "head"\n', 'train.method can\'t be "head" for translation'),
        (
            GENERATION + '[train]\nmetric = "rougeL"\n',
            "must be one of bleu, chrf, exact_match, token_accuracy",
        ),
        (GENERATION + "[train]\nmax_target_length = 1\n", "train.max_target_length must be 2 or more, got 1"),
        (GENERATION + "[train]\nvocabulary_size = 10\n", "train.vocabulary_size must be 100 or more, got 10"),
        (GENERATION + '[train]\ntokenizer = "bpee"\n', 'did you mean "bpe"?'),
        (GENERATION + "[generation]\nnum_beams = 0\n", "generation.num_beams must be 1 or more, got 0"),
        (GENERATION + "[generation]\ntop_p = 0.0\n", "generation.top_p must be above 0, at most 1, got 0.0"),
        (GENERATION + "[generation]\ntemperature = 0\n", "generation.temperature must be above 0, got 0"),
        (GENERATION + "[generation]\nmax_new_tokens = 0\n", "generation.max_new_tokens must be 1 or more"),
        (GENERATION + "[generation]\nbeams = 4\n", "did you mean generation.num_beams?"),
        (GENERATION + 'target_language = ""\n', "data.target_language must be at least one character"),
        (
            MINIMAL + 'target = "x"\n',
            "data.target is for summarization, translation and text-generation, and the task is",
        ),
        (
            MINIMAL + 'source_language = "en"\n',
            "data.source_language is for summarization and translation, and",
        ),
        (MINIMAL + "[generation]\nnum_beams = 4\n", "generation.num_beams is for summarization"),
        (
            MINIMAL + '[train]\nmetric = "f1"\n',
            "train.metric must be one of accuracy, f1_macro, f1_weighted, f1_micro, subset_accuracy, spearman, pearson",
        ),
    ],
)
def test_settings_of_another_task_are_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(RecipeError) as refused:
        Recipe.read(write(tmp_path, text))
    assert message in str(refused.value)


def test_what_another_task_would_have_by_default_may_stand_there(tmp_path: Path) -> None:
    text = GENERATION + '[train]\npooling = "auto"\nclass_weights = "none"\n'
    assert Recipe.read(write(tmp_path, text)).task == "translation"


@pytest.mark.parametrize(
    ("task", "precision"),
    [("text-classification", "int8"), *((task, "w8") for task in GENERATION_TASKS)],
)
def test_a_precision_that_is_not_set_is_the_tasks(task: str, precision: str) -> None:
    recipe = Recipe(task=task, data=DataSettings(path="x"))
    assert recipe.export.precision == precision
    assert dataclasses.replace(recipe, export=ExportRecipe(precision="fp32")).export.precision == "fp32"


def test_the_generation_table_is_a_generation_config_of_transformers() -> None:
    from transformers import GenerationConfig

    recipe = Recipe(
        task="summarization",
        data=DataSettings(path="x"),
        train=TrainSettings(max_target_length=48),
        generation=GenerationSettings(num_beams=4, length_penalty=2.0),
    )
    values = recipe.generation_config()
    assert (values["max_new_tokens"], values["num_beams"]) == (48, 4)
    known = vars(GenerationConfig(**values))
    assert {name: known[name] for name in values} == values
    shorter = dataclasses.replace(recipe, generation=GenerationSettings(max_new_tokens=9))
    assert shorter.generation_config()["max_new_tokens"] == 9


SCRATCH = 'base = "scratch:small"\n' + MINIMAL


def test_one_setting_that_is_named_at_its_default_changes_no_other(tmp_path: Path) -> None:
    alone = Recipe.read(write(tmp_path, SCRATCH))
    assert (alone.train.learning_rate, alone.train.epochs) == (1e-3, 10)
    assert Recipe.read(write(tmp_path, SCRATCH + "[train]\nseed = 13\n")) == alone
    assert alone.with_overrides(["train.seed=13"]) == alone
    assert Recipe(base="scratch:small", data=alone.data, train=TrainSettings(seed=13)) == alone


def test_a_default_that_is_named_stays_whatever_the_base(tmp_path: Path) -> None:
    recipe = Recipe.read(write(tmp_path, SCRATCH + "[train]\nepochs = 3\n"))
    assert (recipe.train.learning_rate, recipe.train.epochs) == (1e-3, 3)
    assert dataclasses.replace(recipe, base="minilm").train.learning_rate == 1e-4
    assert recipe.with_overrides(["train.learning_rate=1e-4"]).train.learning_rate == 1e-4


@pytest.mark.parametrize(
    ("task", "assignments", "step"),
    [
        ("text-classification", [], (32, 1)),
        ("text-classification", ["train.max_length=512"], (8, 4)),
        ("text-classification", ["train.max_length=16"], (32, 1)),
        ("question-answering", [], (8, 4)),
        ("question-answering", ["train.max_length=128"], (32, 1)),
        ("question-answering", ["train.batch_size=4"], (4, 1)),
        ("question-answering", ["train.gradient_accumulation=2"], (8, 2)),
        ("question-answering", ["train.max_length=9000"], (1, 32)),
        ("feature-extraction", ["train.max_length=512"], (32, 1)),
    ],
)
def test_a_step_reads_few_tokens_and_an_update_is_made_from_32_examples(
    task: str, assignments: list[str], step: tuple[int, int]
) -> None:
    train = Recipe(task=task, data=DataSettings(path="d.csv")).with_overrides(assignments).train
    assert (train.batch_size, train.gradient_accumulation) == step


def test_defaults_follow_the_settings_that_they_depend_on() -> None:
    recipe = Recipe(task="question-answering", data=DataSettings(path="x"))
    assert _windows(recipe) == (384, 128, 30)
    assert _windows(recipe.with_overrides(["train.max_length=60"])) == (60, 20, 21)
    assert _windows(recipe.with_overrides(["train.max_length=60", "train.max_length="])) == (384, 128, 30)
    tagger = dataclasses.replace(recipe, task="token-classification")
    assert (tagger.train.max_length, tagger.train.stride) == (128, 42)


def _windows(recipe: Recipe) -> tuple[int, int, int]:
    return recipe.train.max_length, recipe.train.stride, recipe.train.max_answer_length


@pytest.mark.parametrize("base", ["minilm", "scratch:t5-tiny"])
def test_a_written_recipe_shows_what_holds_and_reads_the_same(tmp_path: Path, base: str) -> None:
    recipe = Recipe(task="translation", base=base, data=DataSettings(path="x"))
    recipe.write(tmp_path / "recipe.toml")
    text = (tmp_path / "recipe.toml").read_text(encoding="utf-8")
    rate = "0.001" if base.startswith("scratch") else "0.0001"
    assert f"\nlearning_rate = {rate} #" in text
    for line in ("max_length = 128", 'metric = "bleu"', "max_new_tokens = 128", 'precision = "w8"'):
        assert f"\n# {line}  #" in text
    read = Recipe.read(tmp_path / "recipe.toml")
    assert dataclasses.asdict(read) == dataclasses.asdict(recipe)


def test_rows_name_settings_that_exist_and_every_such_setting_has_a_row() -> None:
    tables = {"data": DataSettings, "train": TrainSettings, "export": ExportRecipe}
    for_some = {
        f"{t}.{n}" for t, kind in tables.items() for n in field_types(kind) if marked(kind, n, SOME_TASKS)
    }
    named = {path for name in task_names() for path in find_task(name).settings}
    assert named == for_some | {"generation"}


def test_settings_cannot_be_changed_in_place() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        TrainSettings().epochs = 4  # type: ignore[misc]


def test_paths_in_a_recipe_are_relative_to_its_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "train.csv").write_text("text,label\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "models" / "mine" / "recipe.toml"
    Recipe(data=DataSettings(path=str(Path("data", "train.csv")))).write(file)
    assert 'path = "../../data/train.csv"' in file.read_text(encoding="utf-8")
    monkeypatch.chdir(tmp_path / "models")
    assert Path(Recipe.read(Path("mine/recipe.toml")).data.path).samefile(tmp_path / "data" / "train.csv")


def test_a_file_of_targets_moves_with_its_recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("d.en", "d.zh"):
        Path(name).write_text("x\n", encoding="utf-8")
    file = tmp_path / "models" / "recipe.toml"
    Recipe(task="translation", data=DataSettings(path="d.en", target_file="d.zh")).write(file)
    assert 'target_file = "../d.zh"' in file.read_text(encoding="utf-8")
    assert Path(Recipe.read(file).data.target_file or "").samefile("d.zh")


def test_a_relative_path_that_leads_nowhere_is_still_seen_from_the_file(tmp_path: Path) -> None:
    recipe = Recipe.read(write(tmp_path, '[data]\npath = "gone.csv"\n'))
    assert recipe.data.path == str(tmp_path / "gone.csv")


@pytest.mark.parametrize("path", ["owner/name", "imdb", "builtin:intents", "owner/name:subset"])
def test_hub_ids_and_shipped_names_are_no_paths(tmp_path: Path, path: str) -> None:
    assert Recipe.read(write(tmp_path, f'[data]\npath = "{path}"\n')).data.path == path


def test_the_file_stays_as_it_was_where_writing_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path, MINIMAL)

    def full_disk(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(RecipeError, match="No space left on device"):
        Recipe(data=DataSettings(path="builtin:other")).write(path)
    assert path.read_text(encoding="utf-8") == MINIMAL
    assert [file.name for file in tmp_path.iterdir()] == ["recipe.toml"]


BASE = Recipe(data=DataSettings(path="builtin:intents", text="body"))


@pytest.mark.parametrize(
    ("assignment", "key", "value"),
    [
        ("train.learning_rate=3e-5", "learning_rate", 3e-5),
        ("train.epochs=2", "epochs", 2.0),
        ("train.method=head", "method", "head"),
        ('train.method="head"', "method", "head"),
        ("train.bf16=false", "bf16", False),
        ("train.bf16=auto", "bf16", "auto"),
        ("train.threads=2", "threads", 2),
        ("train.threads=", "threads", None),
        ("train.class_weights={yes = 2.0}", "class_weights", {"yes": 2.0}),
    ],
)
def test_one_setting_is_replaced_for_one_call(assignment: str, key: str, value: object) -> None:
    changed = BASE.with_overrides([assignment])
    assert getattr(changed.train, key) == value
    assert changed.data == BASE.data


@pytest.mark.parametrize("order", [1, -1])
def test_settings_that_need_each_other_are_replaced_together(order: int) -> None:
    base = Recipe(task="text-generation", base="scratch:gpt2-tiny", data=BASE.data)
    assignments = ["train.max_length=64", "train.max_target_length=32"][::order]
    train = base.with_overrides(assignments).train
    assert (train.max_length, train.max_target_length) == (64, 32)


def test_a_string_that_looks_like_a_number_stays_a_string() -> None:
    assert BASE.with_overrides(["data.text=2024"]).data.text == "2024"


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("train.epochs", "key=value"),
        ("train.epoch=1", "did you mean train.epochs"),
        ("epochs=1", "epochs is not a setting"),
        ("train=1", "train is a table"),
        ("train.epochs.x=1", "train.epochs is not a table"),
        ("train.epochs=many", "train.epochs must be a number"),
        ("train.early_stopping_patience=", "train.early_stopping_patience must be a whole number"),
        ("train.epochs=-1", "train.epochs must be above 0"),
    ],
)
def test_a_wrong_override_is_refused(assignment: str, message: str) -> None:
    with pytest.raises(RecipeError, match=message.replace(".", r"\.")):
        BASE.with_overrides([assignment])


def test_the_shipped_recipes_are_valid() -> None:
    recipes = shipped_recipes()
    assert "intents" in recipes
    for path in recipes.values():
        Recipe.read(path)


def test_an_unknown_shipped_recipe_names_the_nearest() -> None:
    with pytest.raises(RecipeError, match="did you mean intents"):
        shipped_recipe("intent")


def test_tasks_have_synonyms_and_unknown_ones_are_refused() -> None:
    assert find_synonym("sequence-classification").name == "text-classification"
    assert find_synonym("causal-lm").name == "text-generation"
    assert find_synonym("translation").name == "translation"
    with pytest.raises(InputError, match="text-classification"):
        find_synonym("image-segmentation")


def test_a_task_name_that_means_two_tasks_is_refused_with_both() -> None:
    with pytest.raises(InputError, match="summarization or translation"):
        find_synonym("text2text-generation")
