"""Publish a bundle on the Hugging Face hub, with a model card that the hub understands."""

import importlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ftool.errors import PublishError
from ftool_export.bundle.card import Publication, model_card
from ftool_export.bundle.writer import copy_bundle
from ftool_export.temporary import temporary_folder
from ftool_runtime.bundle.manifest import Manifest
from ftool_runtime.bundle.paths import MANIFEST_FILE


@dataclass(frozen=True, slots=True, kw_only=True)
class PushReport:
    """What was published, or would be.

    Attributes:
        repository: the hub id.
        url: the address of the commit; None if nothing was sent.
        files: the size in bytes of every file, by its path.
        card: the model card, with its YAML header.
    """

    repository: str
    url: str | None
    files: Mapping[str, int]
    card: str

    def to_json(self) -> dict[str, Any]:
        """Return the report as plain JSON."""
        return {
            "repository": self.repository,
            "url": self.url,
            "bytes": sum(self.files.values()),
            "files": [{"path": path, "bytes": size} for path, size in self.files.items()],
            "card": self.card,
        }


def push(
    bundle: Path,
    publication: Publication,
    *,
    private: bool = False,
    revision: str | None = None,
    message: str = "Publish with ftool",
    dry_run: bool = False,
) -> PushReport:
    """Publish the bundle in the folder `bundle`; what the repository held before is replaced in one commit.

    The published copy has another model card than the bundle, and so another manifest; all other files are the same.

    Args:
        bundle: the folder. Every file must have the hash in its manifest.
        publication: where to, and what the model card says of it; the repository is created if it is missing.
        private: whether the repository is to be private: one that is created will be, one that exists must be.
        revision: the branch to write to, which is created if it is missing; None for main.
        message: the message of the commit.
        dry_run: whether to send nothing.

    Raises:
        BundleError: a file of the bundle was altered.
        PublishError: the hub can't be reached or refuses, or the repository's name is wrong.
    """
    repository = publication.repository
    if repository is None:
        raise PublishError("a repository is needed, such as my-name/my-model")
    _check_name(repository)
    with _prepared(bundle, publication) as (folder, card):
        files = _sizes(folder)
        url = None if dry_run else _send(folder, repository, private, revision, message)
    return PushReport(repository=repository, url=url, files=files, card=card)


@contextmanager
def _prepared(bundle: Path, publication: Publication) -> Iterator[tuple[Path, str]]:
    """Yield a temporary copy of the bundle with the card for publication, and the card."""
    card = model_card(Manifest.read(bundle), publication)
    with temporary_folder() as place:
        folder = place / "bundle"
        copy_bundle(bundle, folder, card=card)
        yield folder, card


def _sizes(folder: Path) -> dict[str, int]:
    records = Manifest.read(folder).files
    return {
        MANIFEST_FILE: (folder / MANIFEST_FILE).stat().st_size,
        **{path: record.bytes for path, record in records.items()},
    }


def _check_name(repository: str) -> None:
    from huggingface_hub import hf_hub_url
    from huggingface_hub.errors import HFValidationError

    try:
        hf_hub_url(repository, "README.md")  # checks the name; sends nothing
    except HFValidationError as error:
        raise PublishError(
            f"{repository!r} is not a repository's name, such as my-name/my-model: {error}"
        ) from error


def _send(folder: Path, repository: str, private: bool, revision: str | None, message: str) -> str:
    """Upload the folder in one commit, which deletes the files that it lacks; return the commit's address."""
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError, LocalTokenNotFoundError, OfflineModeIsEnabled

    unreachable: tuple[type[Exception], ...] = (OSError, ValueError, *_transport_errors())
    api = HfApi(library_name="ftool")
    try:
        api.create_repo(repository, private=private, exist_ok=True)
        if private and not api.model_info(repository).private:
            raise PublishError(
                f"{repository} exists and is public, so nothing was sent: make it private on the hub, or leave out "
                "--private"
            )
        if revision is not None:
            api.create_branch(repository, branch=revision, exist_ok=True)
        commit = api.upload_folder(
            repo_id=repository,
            folder_path=folder,
            commit_message=message,
            revision=revision,
            delete_patterns="*",
        )
    except LocalTokenNotFoundError as error:
        raise PublishError("the hub needs a token: run `hf auth login`, or set HF_TOKEN") from error
    except OfflineModeIsEnabled as error:
        raise PublishError("HF_HUB_OFFLINE is set, so nothing is sent: unset it, or use --dry-run") from error
    except HfHubHTTPError as error:
        raise PublishError(f"the hub refuses {repository}: {_reason(error)}") from error
    except unreachable as error:
        raise PublishError(f"{repository} can't be published: {_reason(error)}") from error
    return str(commit.commit_url)


def _transport_errors() -> tuple[type[Exception], ...]:
    """Return the errors of the HTTP client that huggingface_hub uses, which it does not wrap in its own."""
    clients = [importlib.import_module(name) for name in ("httpx2", "httpx") if find_spec(name)]
    return tuple(client.TransportError for client in clients)


def _reason(error: Exception) -> str:
    """Return an error's text in one line, with the remedy if the hub does not accept the token."""
    status = getattr(getattr(error, "response", None), "status_code", None)
    remedy = (
        "; run `hf auth login`, or set HF_TOKEN to a token that may write there"
        if status in (401, 403)
        else ""
    )
    return " ".join(str(error).split()) + remedy
