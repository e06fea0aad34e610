"""Addresses of repositories: hf://org/name, a revision after @, a file or folder after that."""

from __future__ import annotations

import os
import re

from msgspec import Struct

from golfbudget.errors import UsageError, explained

SCHEME = "hf://"
#: As it was written, or as `pathlib` leaves it.
_WRITTEN = re.compile(r"^hf:(?:/+|$)")


class HubAddress(Struct, frozen=True, kw_only=True):
    """A repository of a model at a revision (None: its default branch); `path` is a file or folder in it, "" for all.

    >>> str(HubAddress(repository="org/name", revision="main", path="a.gguf"))
    'hf://org/name@main/a.gguf'
    """

    repository: str
    revision: str | None = None
    path: str = ""

    def __str__(self) -> str:
        revision = "" if self.revision is None else f"@{self.revision.replace('/', '%2F')}"
        return f"{SCHEME}{self.repository}{revision}{'/' if self.path else ''}{self.path}"

    @property
    def name(self) -> str:
        """What the model is called."""
        return self.repository.rpartition("/")[2]

    @property
    def download_command(self) -> str:
        """What to type to have the files here."""
        revision = "" if self.revision is None else f" --revision {self.revision}"
        return f"hf download {self.repository}{revision} --local-dir DIR"


def is_hub_path(path: str | os.PathLike[str]) -> bool:
    """Whether a path names a repository of the Hub and no file of this machine.

    >>> is_hub_path("hf://org/name"), is_hub_path("hf/org/name")
    (True, False)
    """
    return _WRITTEN.match(os.fspath(path)) is not None


def refuse_hub_path(path: str | os.PathLike[str], taken: str) -> None:
    """`UsageError` for an hf:// path; `taken` says what is taken in its place, and how to have it.

    In it `{address}` is the path, and `{download}` what to type to have its files.
    """
    if is_hub_path(path):
        address = parse_address(path)
        download = f"type: {address.download_command}"
        raise UsageError(f"{address}: {taken.format(address=address, download=download)}")


def parse_address(path: str | os.PathLike[str]) -> HubAddress:
    """What a path that `is_hub_path` says; `UsageError` for what names no repository of a model."""
    shown = _WRITTEN.sub(SCHEME, os.fspath(path))
    with explained():
        try:
            from huggingface_hub import parse_hf_uri
            from huggingface_hub.errors import HfUriError
        except ValueError as error:
            # The library takes HF_ENDPOINT apart when it is imported.
            raise UsageError(f"{shown}: HF_ENDPOINT {os.environ.get('HF_ENDPOINT', '')!r}: {error}") from None
    expected = f"expected {SCHEME}org/name, {SCHEME}org/name@REVISION or {SCHEME}org/name/FILE"
    try:
        uri = parse_hf_uri(shown)
    except HfUriError as error:
        raise UsageError(f"{shown}: {expected}; {error.msg}") from None
    if uri.type != "model":
        raise UsageError(f"{shown}: a {uri.type} of the Hub, and no model; {expected}")
    if any(part in ("", ".", "..") for part in uri.path_in_repo.split("/")) and uri.path_in_repo:
        raise UsageError(f"{shown}: {uri.path_in_repo!r} is no path in a repository; {expected}")
    return HubAddress(repository=uri.id, revision=uri.revision, path=uri.path_in_repo)
