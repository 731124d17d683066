"""The table of what is fuzzed: readers of files that anybody may have written."""

from typing import Any, Final

from ftool.errors import DataError, DocumentError, ModelFolderError, RecipeError
from ftool_runtime.errors import BundleError, InputError, TimeLimitError
from ftool_runtime.knowledge import KnowledgeBaseError
from tests.fuzz import bundle_readers as bundles
from tests.fuzz import file_readers as files
from tests.fuzz import seeds
from tests.fuzz.spoil import spoil_bytes, spoil_database, spoil_json, spoil_lines, spoil_text
from tests.fuzz.target import Target

_JSON: Final = (
    "null",
    "true",
    "1e999",
    "NaN",
    '"\\ud800"',
    "[[",
    '{"',
    '":',
    "0.5",
    "-1",
    "18446744073709551616",
)
_BUNDLE: Final[dict[str, Any]] = {"spoil": spoil_json, "errors": (BundleError,), "marks": _JSON}
_DATA: Final[dict[str, Any]] = {
    "reads": "`ftool data`, as the data of any task",
    "errors": (DataError,),
    "share": 0.5,
}
_TEXTS: Final[dict[str, Any]] = {
    "of": "of texts",
    "reads": "`predict --input`",
    "errors": (InputError,),
    "share": 4,
}
_DOCUMENT: Final[dict[str, Any]] = {
    "reads": "`ftool index`, `search`, the text read back",
    "errors": (DocumentError,),
    "share": 0.5,
}
_BASE: Final[dict[str, Any]] = {"file": "kb.db", "spoil": spoil_database, "errors": (KnowledgeBaseError,)}
_LIMITED: Final[dict[str, Any]] = {**_BUNDLE, "errors": (BundleError, InputError)}
_CHATS: Final[dict[str, Any]] = {**_BUNDLE, "errors": (BundleError, InputError, TimeLimitError)}

TARGETS: Final = (
    Target(
        file="ftool.json",
        of="of a classifier",
        reads="`load`, a call; digest made to fit",
        prepare=bundles.file_of(bundles.classifier, "ftool.json"),
        **_LIMITED,
    ),
    Target(
        file="ftool.json",
        of="of a decoder",
        reads="`load`, a call, `chat`; digest made to fit",
        prepare=bundles.file_of(bundles.decoder, "ftool.json"),
        **_CHATS,
    ),
    Target(
        file="golden.json",
        of="of a classifier",
        reads="`verify`; hashes made to fit",
        prepare=bundles.file_of(bundles.classifier, "golden.json", bundles.verify),
        share=0.3,
        **_BUNDLE,
    ),
    Target(
        file="golden.json",
        of="of a decoder",
        reads="`verify`; hashes made to fit",
        prepare=bundles.file_of(bundles.decoder, "golden.json", bundles.verify),
        share=0.3,
        **_BUNDLE,
    ),
    Target(
        file="generation_config.json",
        reads="`load`, a call, `chat`",
        prepare=bundles.file_of(bundles.decoder, "generation_config.json"),
        share=0.5,
        **_CHATS,
    ),
    Target(
        file="tokenizer.json",
        of="of a classifier",
        reads="`load`, a call",
        prepare=bundles.file_of(bundles.classifier, "tokenizer.json"),
        share=0.5,
        **_BUNDLE,
    ),
    Target(
        file="tokenizer.json",
        of="of a decoder",
        reads="`load`, a call, `chat`",
        prepare=bundles.file_of(bundles.decoder, "tokenizer.json"),
        share=0.5,
        **_CHATS,
    ),
    Target(
        file="tokenizer_config.json",
        reads="`load`, `chat`",
        prepare=bundles.file_of(bundles.old_decoder, "tokenizer_config.json"),
        share=0.3,
        **_CHATS,
    ),
    Target(
        file="chat_template.jinja",
        reads="`load`, `chat`",
        prepare=bundles.file_of(bundles.decoder, "chat_template.jinja"),
        share=0.3,
        spoil=spoil_text,
        errors=(BundleError, InputError, TimeLimitError),
        marks=(
            "{{",
            "}}",
            "{%",
            "%}",
            "|",
            "loop.",
            "messages",
            "range(",
            "~",
            " * ",
            "set ",
            "for ",
            "macro ",
        ),
    ),
    Target(
        file="ftool.sig",
        reads="`load` with trusted keys",
        prepare=bundles.signature,
        **_BUNDLE,
    ),
    Target(
        file="squad.json",
        reads="`ftool data`, as question answering",
        prepare=files.data("squad.json", "question-answering"),
        share=0.5,
        spoil=spoil_json,
        errors=(DataError,),
        marks=_JSON,
    ),
    Target(
        file="words.conll",
        reads="`ftool data`, as tags of words",
        prepare=files.data("words.conll", "token-classification"),
        share=0.5,
        spoil=spoil_text,
        errors=(DataError,),
        marks=("B-per", "I-per", "O", "-DOCSTART-", "# ", "\t", "\n\n", "-X- "),
    ),
    Target(
        file="rows.csv",
        prepare=files.data("rows.csv"),
        spoil=spoil_text,
        marks=(
            '"',
            '""',
            ",",
            ";",
            "\t",
            "\r\n",
            "sep=",
            "text",
            "label",
            "split",
            "train",
            "['a', 'b']",
            "\ufeff",
        ),
        **_DATA,
    ),
    Target(file="rows.json", prepare=files.data("rows.json"), spoil=spoil_json, marks=_JSON, **_DATA),
    Target(file="rows.jsonl", prepare=files.data("rows.jsonl"), spoil=spoil_lines, marks=_JSON, **_DATA),
    Target(file="rows.parquet", prepare=files.data("rows.parquet"), spoil=spoil_bytes, **_DATA),
    Target(
        file="recipe.toml",
        reads="a recipe",
        prepare=files.recipe,
        share=0.5,
        spoil=spoil_text,
        errors=(RecipeError,),
        marks=("[train]\n", "[[", "]", " = ", '"""', "'''", "{", "inf", "nan", "0x", ".", "#", "1979-05-27"),
    ),
    Target(
        file="bench.json",
        reads="`ftool report`",
        prepare=files.benchmark,
        share=0.2,
        spoil=spoil_json,
        errors=(ModelFolderError,),
        marks=_JSON,
    ),
    Target(
        file="texts.csv",
        prepare=files.texts("texts.csv", *seeds.TEXTS_CSV),
        spoil=spoil_text,
        marks=('"', ",", ";", "\t", "\r\n", "sep=", "text"),
        **_TEXTS,
    ),
    Target(
        file="texts.jsonl",
        prepare=files.texts("texts.jsonl", *seeds.TEXTS_JSONL),
        spoil=spoil_lines,
        marks=_JSON,
        **_TEXTS,
    ),
    Target(
        file="page.md",
        prepare=files.document("page.md", *seeds.MARKDOWN),
        spoil=spoil_text,
        marks=("# ", "```", "---\n", "> ", "- ", "| ", "[a](b)", "<div>", "&amp;", "**", "![", "<!--"),
        **_DOCUMENT,
    ),
    Target(
        file="page.html",
        prepare=files.document("page.html", *seeds.HTML),
        spoil=spoil_text,
        marks=("<p>", "</p>", "<h1>", "<pre>", "<br>", "<title>", "<td>", "<script>", "&#", "<!--", "hidden"),
        **_DOCUMENT,
    ),
    Target(
        file="rows.jsonl",
        of="of documents",
        prepare=files.document("rows.jsonl", *seeds.DOCUMENTS),
        spoil=spoil_lines,
        marks=_JSON,
        **_DOCUMENT,
    ),
    Target(
        of="searched",
        reads="`KnowledgeBase.open`, `search`, `ask`, `text`",
        prepare=files.searched,
        **{**_BASE, "errors": (KnowledgeBaseError, InputError)},
    ),
    Target(of="indexed into", reads="`ftool index`", prepare=files.indexed, **_BASE),
)
