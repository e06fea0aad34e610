"""The files of a repository at one revision, as the server states them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import PurePosixPath

from msgspec import Struct, structs

from golfbudget.errors import UsageError
from golfbudget.hub.addresses import HubAddress
from golfbudget.hub.failures import one_line, told_in_a_line

_COMMIT = re.compile(r"[0-9a-f]{40,64}")
_SHA256 = re.compile(r"[0-9a-f]{64}")


class ListedFile(Struct, frozen=True, kw_only=True):
    """A file by its path in the repository, its length in bytes, and its hash where the server states one."""

    name: str
    size: int
    sha256: str | None = None


class Repository(Struct, frozen=True, kw_only=True):
    """The files of one revision by name; the address names the commit, so that it is the same whenever it is read."""

    address: HubAddress
    files: Mapping[str, ListedFile]

    def place(self, name: str) -> str:
        """How messages and reports call a file."""
        return str(structs.replace(self.address, path=name))


def list_repository(address: HubAddress) -> Repository:
    """Ask for the files of a repository; `UsageError` in one line for whatever stands against it."""
    with told_in_a_line(address):
        from huggingface_hub import HfApi, constants

        timeout = constants.HF_HUB_ETAG_TIMEOUT
        try:
            found = HfApi().model_info(
                address.repository, revision=address.revision, files_metadata=True, timeout=timeout
            )
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise UsageError(f"{address}: {constants.ENDPOINT} answers as no Hub does: {one_line(error)}") from None
    listed, commit = [_listed(sibling, address) for sibling in found.siblings or ()], str(found.sha)
    if not _COMMIT.fullmatch(commit):
        raise UsageError(f"{address}: the server names no commit for it, but {commit[:80]!r}")
    return Repository(address=structs.replace(address, revision=commit), files={file.name: file for file in listed})


def _listed(sibling: object, address: HubAddress) -> ListedFile:
    name, size, lfs = (getattr(sibling, attribute, None) for attribute in ("rfilename", "size", "lfs"))
    if not isinstance(name, str) or type(size) is not int or size < 0:
        raise UsageError(f"{address}: the server states no length of {str(name)[:80]!r}")
    if PurePosixPath(name).as_posix() != name or name.startswith("/") or ".." in name.split("/"):
        raise UsageError(f"{address}: the server lists {name[:80]!r}, which is no path in a repository")
    stated = getattr(lfs, "sha256", None)
    known = isinstance(stated, str) and _SHA256.fullmatch(stated)
    return ListedFile(name=name, size=size, sha256=stated if known else None)
