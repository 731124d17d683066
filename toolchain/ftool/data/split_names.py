"""What data sets call their splits."""

import re

SPLITS = ("train", "validation", "test")

_SHARD = re.compile(r"-\d+-of-\d+$")
_SPELLINGS = {
    "train": "train",
    "training": "train",
    "validation": "validation",
    "valid": "validation",
    "val": "validation",
    "dev": "validation",
    "development": "validation",
    "test": "test",
    "testing": "test",
}


def split_called(name: str) -> str | None:
    """The split that a file's stem or a key means, shards (`train-00000-of-00002`) too; None for none."""
    return _SPELLINGS.get(_SHARD.sub("", name.lower()))


def is_shard(stem: str) -> bool:
    """Whether a file's stem says that it holds one part of a split."""
    return _SHARD.search(stem) is not None
