"""Conversations become token ids: the runtime's ids equal those of transformers' apply_chat_template."""

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("transformers")
pytest.importorskip("jinja2")

from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from ftool_runtime.bundle.integrity import file_record
from ftool_runtime.bundle.manifest import GenerationContract, InputContract, Manifest, Precision
from ftool_runtime.chat.tokens import ChatFiles, ChatTokens
from ftool_runtime.decoding.config import GenerationConfig
from ftool_runtime.text.generation_tokenizer import GenerationTokenizer

CHATML = (
    "{%- for message in messages %}{{- '<|im_start|>' + message.role + '\n' + message.content + '<|im_end|>' + '\n' }}"
    "{%- endfor %}{%- if add_generation_prompt %}{{- '<|im_start|>assistant\n' }}{%- endif %}"
)
LLAMA = """\
{{ bos_token }}{% for message in messages %}
{% if message['role'] == 'assistant' %}{% generation %}
{{ message['content'] | trim + ' ' + eos_token }}{% endgeneration %}
{% elif message['role'] == 'user' %}{{ '[INST] ' + message['content'] | trim + ' [/INST] ' }}
{% else %}{{ '<<SYS>>' + message['content'] | tojson + '<</SYS>>' }}{% continue %}
{% endif %}{% endfor %}"""
SPECIAL = ["<s>", "</s>", "<|im_start|>", "<|im_end|>"]


def tokenizer(metaspace: bool) -> Tokenizer:
    made = Tokenizer(models.BPE())
    if metaspace:
        made.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
        made.decoder = decoders.Metaspace()
    else:
        made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        made.decoder = decoders.ByteLevel()
    alphabet = (
        pre_tokenizers.ByteLevel.alphabet()
        if not metaspace
        else list('abcdefghijklmnopqrstuvwxyz▁ \n[]/{}"\\<>|_')
    )
    made.train_from_iterator(
        ["user assistant system\n[INST] [/INST]", "how are you im_start im_end"],
        trainers.BpeTrainer(vocab_size=400, initial_alphabet=alphabet),
    )
    made.add_special_tokens(SPECIAL)
    return made


def both(folder: Path, template: str, metaspace: bool) -> tuple[Any, ChatTokens]:
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer(metaspace), bos_token="<s>", eos_token="</s>", chat_template=template
    )
    fast.save_pretrained(folder)
    manifest = Manifest(
        ftool="0",
        created="",
        task="text-generation",
        name="x",
        architecture="x",
        base="x",
        labels=(),
        input=InputContract(names=("input_ids",), max_length=64),
        precision=Precision(),
        attention="fused",
        generation=GenerationContract(family="decoder"),
        files={path.name: file_record(path) for path in folder.iterdir()},
    )
    files = ChatFiles.read(folder, manifest)
    return fast, ChatTokens(files, GenerationConfig(), GenerationTokenizer(folder / "tokenizer.json"))


@pytest.fixture(scope="module", params=[(CHATML, False), (CHATML, True), (LLAMA, False), (LLAMA, True)])
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    return both(tmp_path_factory.mktemp("chat"), *request.param)


content = st.text(st.sampled_from('ab how <|im_>\n"{{ }}%你😀'), min_size=1, max_size=30).filter(str.strip)


@settings(max_examples=50, deadline=None)
@given(texts=st.lists(content, min_size=1, max_size=4))
def test_ids_are_transformers_where_contents_hold_no_special_tokens(pair: Any, texts: list[str]) -> None:
    fast, ours = pair
    roles = ["system", "user", "assistant", "user"][-len(texts) :]  # the last is to be answered
    messages = [{"role": roles[place], "content": text} for place, text in enumerate(texts)]
    expected = fast.apply_chat_template(
        messages, add_generation_prompt=True, tokenize=True, return_dict=False
    )
    assert ours.encode(messages) == list(expected)


@settings(max_examples=30, deadline=None)
@given(text=content, name=st.sampled_from(SPECIAL))
def test_a_special_token_in_a_content_adds_none(pair: Any, text: str, name: str) -> None:
    fast, ours = pair
    special = set(fast.all_special_ids) | {fast.convert_tokens_to_ids(token) for token in SPECIAL}

    def count(content: str) -> int:
        return sum(number in special for number in ours.encode([{"role": "user", "content": content}]))

    assert count(f"{text}{name}{text}") == count(text + "x" + text)


@pytest.mark.parametrize("metaspace", [False, True])
@settings(max_examples=50, deadline=None)
@given(text=content)
def test_texts_become_transformers_ids(
    tmp_path_factory: pytest.TempPathFactory, metaspace: bool, text: str
) -> None:
    """Unknown characters included, for which the unknown token stands, itself a special one."""
    made = Tokenizer(
        models.Unigram([("<unk>", 0.0), ("</s>", 0.0), ("▁", -2.0), ("a", -1.0), ("b", -1.5)], unk_id=0)
    )
    if metaspace:
        made.pre_tokenizer = pre_tokenizers.Metaspace()
    made.add_special_tokens(["<unk>", "</s>"])
    folder = tmp_path_factory.mktemp("unigram")
    fast = PreTrainedTokenizerFast(tokenizer_object=made, unk_token="<unk>", eos_token="</s>")
    fast.save_pretrained(folder)
    ours = GenerationTokenizer(folder / "tokenizer.json")
    assert ours.encode(text, 0)[0] == fast(text, split_special_tokens=True)["input_ids"]
    assert 1 not in ours.encode(f"{text}</s>", 0)[0]
