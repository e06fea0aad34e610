"""A Hub on this machine: the addresses that `huggingface_hub` asks, over folders on disk, with every byte counted."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

COMMIT = "0123456789abcdef0123456789abcdef01234567"
#: Longer files lie in LFS, as the Hub keeps them, with a hash of their own.
_LFS = 10_000


@dataclass
class Hub:
    """Repositories by name, what is wrong with the server, and what it was asked for and sent.

    `behaviour` is one of: "" (as the Hub), `redirects` (to another host, for files in LFS), `ignores-range`, `lies`
    (another length than listed), `short` (ends early), `shifted` (another range than asked for), `compressed`, `no-hub`
    (a page for every address).
    """

    folders: dict[str, Path] = field(default_factory=dict)
    behaviour: str = ""
    token: str | None = None
    gated: bool = False
    address: str = ""
    asked: list[str] = field(default_factory=list)
    sent: int = 0
    #: Whether the other host was told the token.
    leaked: bool = False

    @property
    def environ(self) -> dict[str, str]:
        """What makes the library ask this server, and nothing of the user's own."""
        return {
            "HF_ENDPOINT": self.address, "HF_HUB_DISABLE_TELEMETRY": "1", "HF_HUB_DISABLE_XET": "1",
            "HF_TOKEN": "", "NO_PROXY": "127.0.0.1,localhost", "HF_HUB_DISABLE_IMPLICIT_TOKEN": "",
        }  # fmt: skip

    def files(self, name: str) -> list[Path]:
        return sorted(path for path in self.folders[name].rglob("*") if path.is_file())


@contextmanager
def serving(folders: dict[str, Path]) -> Iterator[Hub]:
    """A running server."""
    hub = Hub(folders=folders)
    server = _Server(hub)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    hub.address = f"http://127.0.0.1:{server.server_port}"
    try:
        yield hub
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, hub: Hub) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.hub = hub


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    @property
    def hub(self) -> Hub:
        return self.server.hub

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._answer(body=True)

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        del format, args

    def _answer(self, *, body: bool) -> None:
        path = unquote(urlsplit(self.path).path)
        self.hub.asked.append(f"{self.command} {path} {self.headers.get('Range', '')}".strip())
        if self.hub.behaviour == "no-hub":
            self._send(200, b"<html>Sign in</html>", {"Content-Type": "text/html"}, body=body)
            return
        if path.startswith("/elsewhere/"):
            self.hub.leaked |= "Authorization" in self.headers
            self._file(Path(path.removeprefix("/elsewhere")), body=body)
            return
        if self.hub.token is not None and self.headers.get("Authorization") != f"Bearer {self.hub.token}":
            self._fail(401, "GatedRepo" if self.hub.gated else "RepoNotFound")
            return
        parts = path.strip("/").split("/")
        name = "/".join(parts[2:4]) if parts[0] == "api" else "/".join(parts[:2])
        if name not in self.hub.folders:
            self._fail(404, "RepoNotFound")
        elif parts[0] == "api":
            self._about(name, parts[4:], body=body)
        elif parts[3] not in ("main", COMMIT):
            self._fail(404, "RevisionNotFound")
        else:
            self._file(self.hub.folders[name] / "/".join(parts[4:]), body=body)

    def _about(self, name: str, rest: list[str], *, body: bool) -> None:
        if len(rest) > 1 and rest[1] not in ("main", COMMIT):
            self._fail(404, "RevisionNotFound")
            return
        told = [_told(path, self.hub.folders[name], stated=self.hub.behaviour) for path in self.hub.files(name)]
        if rest[:1] == ["tree"]:
            value: object = [
                {"type": "file", "path": one["rfilename"], "size": one["size"], "oid": one["blobId"],
                 **({"lfs": {**one["lfs"], "oid": one["lfs"]["sha256"]}} if "lfs" in one else {})}
                for one in told
            ]  # fmt: skip
        else:
            value = {"id": name, "modelId": name, "sha": COMMIT, "private": False, "tags": [], "downloads": 0,
                     "likes": 0, "siblings": told}  # fmt: skip
        self._send(200, json.dumps(value).encode(), {"Content-Type": "application/json"}, body=body)

    def _file(self, path: Path, *, body: bool) -> None:
        if not path.is_file():
            self._fail(404, "EntryNotFound")
            return
        data = path.read_bytes()
        if self.hub.behaviour == "redirects" and len(data) > _LFS and not self.path.startswith("/elsewhere"):
            elsewhere = self.hub.address.replace("127.0.0.1", "localhost")
            self._send(302, b"", {"Location": f"{elsewhere}/elsewhere{path}"}, body=body)
            return
        more = {"ETag": f'"{_digest(data)}"', "X-Repo-Commit": COMMIT, "Accept-Ranges": "bytes"}
        asked = self.headers.get("Range", "")
        if not asked or self.hub.behaviour == "ignores-range":
            self._send(200, data, more, body=body)
            return
        first, _, last = asked.removeprefix("bytes=").partition("-")
        start, stop = int(first), min(int(last or len(data)) + 1, len(data))
        start += 8 * (self.hub.behaviour == "shifted")
        more["Content-Range"] = f"bytes {start}-{stop - 1}/{len(data)}"
        if self.hub.behaviour == "compressed":
            more["Content-Encoding"] = "br"
        piece = data[start:stop]
        self._send(206, piece[: len(piece) // 2] if self.hub.behaviour == "short" else piece, more, body=body)

    def _fail(self, status: int, code: str) -> None:
        self._send(status, b'{"error": "not for you"}', {"X-Error-Code": code}, body=True)

    def _send(self, status: int, data: bytes, more: dict[str, str], *, body: bool) -> None:
        self.send_response(status)
        for name, value in {**more, "Content-Length": str(len(data))}.items():
            self.send_header(name, value)
        self.end_headers()
        for at in range(0, len(data) if body else 0, 1 << 14):
            try:
                self.hub.sent += self.wfile.write(data[at : at + (1 << 14)])
            except OSError:  # Whoever asked has what it wanted, and hung up.
                self.close_connection = True
                return


def _digest(data: bytes) -> str:
    return (hashlib.sha256 if len(data) > _LFS else hashlib.sha1)(data, usedforsecurity=False).hexdigest()


def _told(path: Path, root: Path, *, stated: str) -> dict[str, Any]:
    """A file as the Hub lists it with `blobs=true`."""
    data = path.read_bytes()
    told: dict[str, Any] = {
        "rfilename": path.relative_to(root).as_posix(),
        "size": len(data) + (stated == "lies"),
        "blobId": hashlib.sha1(data, usedforsecurity=False).hexdigest(),
    }
    if len(data) > _LFS:
        told["lfs"] = {"sha256": _digest(data), "size": told["size"], "pointerSize": 130}
    return told
