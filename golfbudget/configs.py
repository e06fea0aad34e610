"""Find and load the TOML files that travel with golfbudget, and validate the user's own against a type."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from golfbudget.errors import ConfigError

T = TypeVar("T")
_HEAD = 512
_KINDS = {".py": "a Python program", ".yaml": "YAML", ".yml": "YAML", ".json": "JSON", ".toml": "TOML with a mistake",
          ".md": "prose", ".log": "a log"}  # fmt: skip


def config_folder() -> Path:
    """`configs/` inside the installed package, or beside it in a source checkout."""
    package = Path(__file__).parent
    installed = package / "configs"
    return installed if installed.is_dir() else package.parent / "configs"


def names(kind: str) -> list[str]:
    """The names of the files shipped under `configs/KIND`."""
    return sorted(path.stem for path in (config_folder() / kind).glob("*.toml"))


def find(kind: str, name: str | Path) -> Path:
    """The file meant by a shipped name or a path; `ConfigError` lists the shipped names."""
    path = Path(name)
    if path.suffix == ".toml" or path.parent != Path():
        return path
    shipped = config_folder() / kind / f"{name}.toml"
    if not shipped.is_file() and path.exists():
        raise ConfigError(
            f"{path}: {_looks(path)}, expected a TOML file whose name ends in .toml; known names of {kind}: "
            f"{', '.join(names(kind))}"
        )
    if not shipped.is_file():
        raise ConfigError(
            f"no {kind} file is called {str(name)!r}; known: {', '.join(names(kind))}, or give a .toml path"
        )
    return shipped


def load(
    path: Path,
    kind: type[T],
    *,
    base: Path | None = None,
    required: tuple[str, ...] = (),
    whole: type[msgspec.Struct] | None = None,
) -> T:
    """Read a TOML file into a `msgspec.Struct`; `ConfigError` names the file and the key path.

    Keys that the file leaves out are taken from `base`, all but the `required` ones, and tables key by key.  `whole` is
    what the file should be where only a part of it is read.
    """
    try:
        values = _read(path)
        if base is not None:
            values = _over({key: value for key, value in _read(base).items() if key not in required}, values)
        return convert(values, kind, str(path))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError) as error:  # Bad syntax or encoding, numbers of absurd length, deep nesting.
        keys = ", ".join((whole or kind).__struct_fields__)  # type: ignore[union-attr]
        raise ConfigError(
            f"{path}: not valid TOML: {error}; found {_looks(path)}, expected a TOML file with keys of {keys}"
        ) from None


def convert(values: dict[str, Any], kind: type[T], where: str) -> T:
    """Plain values as a `msgspec.Struct`; `ConfigError` names `where` they are from and the key path."""
    try:
        return msgspec.convert(values, type=kind)
    except msgspec.ValidationError as error:
        # With a path the message says what was expected there.
        top = "" if " - at " in str(error) else f", expected keys of {', '.join(kind.__struct_fields__)}"  # type: ignore[attr-defined]
        raise ConfigError(f"{where}: {error}{top}") from None


def _looks(path: Path) -> str:
    """What a file is that is no TOML, as far as its name and its first bytes tell."""
    if path.is_dir():
        return "a folder"
    with path.open("rb") as file:
        head = file.read(_HEAD)
    try:
        text = head.decode()
    except UnicodeDecodeError as error:
        # The end may be cut inside of a character.
        if error.start < len(head) - 4:
            return "no text (golfbudget inspect says what is in it)"
        text = ""
    if "\0" in text:
        return "no text (golfbudget inspect says what is in it)"
    if text.lstrip().startswith(("{", "[{")):
        return "JSON"
    return _KINDS.get(path.suffix.lower(), "other text")


def _read(path: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        return tomllib.load(file)


def _over(base: dict[str, Any], found: dict[str, Any]) -> dict[str, Any]:
    both = {key for key, value in found.items() if isinstance(value, dict) and isinstance(base.get(key), dict)}
    return {**base, **found, **{key: _over(base[key], found[key]) for key in both}}
