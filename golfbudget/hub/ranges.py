"""Bytes of a repository's files from one place to another, by HTTP ranges over the library's own session.

A server that ignores ranges is read no further than what was asked for, and what it sends is held against what it
stated: nothing is taken for a part of a file that may be another.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from golfbudget.errors import CorruptError, UsageError
from golfbudget.hub.failures import told_in_a_line
from golfbudget.hub.listings import ListedFile, Repository

_CONTENT_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+|\*)")
_WHOLE, _PARTIAL = 200, 206
#: What is asked for as it is: compressed on the way, a range would be one of other bytes.
_AS_IT_IS = {"Accept-Encoding": "identity"}


class RangeReader:
    """Reads files of a repository in part; `received` counts bytes of them that came, wanted or not."""

    def __init__(self, repository: Repository) -> None:
        self.repository = repository
        self.received = 0

    def read(self, file: ListedFile, start: int, stop: int) -> bytes:
        """The bytes `[start, stop)` of a file.

        Raises `UsageError` for a server that does not answer, `CorruptError` for one that contradicts itself.
        """
        repository, where = self.repository, self.repository.place(file.name)
        if stop <= start:
            return b""
        with told_in_a_line(repository.address):
            from huggingface_hub import constants, get_session, hf_hub_url
            from huggingface_hub.utils import build_hf_headers, hf_raise_for_status

            address = repository.address
            url = hf_hub_url(address.repository, file.name, revision=address.revision)
            headers = {**build_hf_headers(), **_AS_IT_IS, "Range": f"bytes={start}-{stop - 1}"}
            with get_session().stream(
                "GET", url, headers=headers, timeout=constants.HF_HUB_DOWNLOAD_TIMEOUT, follow_redirects=True
            ) as response:
                hf_raise_for_status(response)
                skipped = start - _beginning(response, file, start, where)
                data = self._taken(response.iter_bytes(), skipped + stop - start)[skipped:]
        if len(data) < stop - start:
            ended = start + len(data)
            raise CorruptError(f"{where}: the server ends at byte {ended}, and states a length of {file.size}")
        return data

    def _taken(self, pieces: Iterable[bytes], wanted: int) -> bytes:
        """The first bytes of what comes; nothing is waited for once they are there."""
        taken = bytearray()
        for piece in pieces:
            self.received += len(piece)
            taken += piece
            if len(taken) >= wanted:
                break
        return bytes(taken[:wanted])


def _beginning(response: Any, file: ListedFile, start: int, where: str) -> int:  # noqa: ANN401  (the client's own)
    """The byte of the file at which a response begins; `CorruptError` where it is of another file."""
    encoding = response.headers.get("Content-Encoding", "identity")
    if encoding != "identity":
        raise UsageError(f"{where}: the server sends it compressed ({encoding[:40]}), which was not asked for")
    if response.status_code == _WHOLE:
        told = response.headers.get("Content-Length", "")
        first, total = 0, int(told) if told.isdecimal() else file.size
    elif response.status_code == _PARTIAL:
        told = response.headers.get("Content-Range", "")
        found = _CONTENT_RANGE.fullmatch(told)
        if found is None or int(found[1]) != start:
            raise CorruptError(f"{where}: asked for bytes from {start} on, the server sends {told[:80]!r}")
        first, total = start, file.size if found[3] == "*" else int(found[3])
    else:
        raise UsageError(f"{where}: the server answers {response.status_code}, expected {_WHOLE} or {_PARTIAL}")
    if total != file.size:
        raise CorruptError(f"{where}: the server lists {file.size} bytes, and sends a file of {total}")
    return first
