"""Every shipped configuration file loads, and a wrong one is refused by key."""

from __future__ import annotations

import inspect
import json
import os
from pathlib import Path
from typing import Any

import msgspec
import pytest

from golfbudget import configs
from golfbudget.errors import ConfigError
from golfbudget.models import ModelFile, load_model
from golfbudget.recipe.config import Recipe, load_recipe
from golfbudget.roles import load_roles
from golfbudget.roles.rules import Roles
from golfbudget.rules import Rules, load_rules

FILES = sorted(configs.config_folder().rglob("*.toml"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_every_shipped_file_loads_and_is_named_after_itself(path: Path) -> None:
    if path.parent.name == "roles":
        for rule in (rules := load_roles(path)).roles + rules.names + rules.accounts:
            assert rule.pattern.pattern == rule.match
        return
    kind = path.parent.name
    loaded = load_model(path.stem) if kind == "models" else load_rules(path.stem) if kind == "rules" else None
    assert (loaded or load_recipe(path.stem)).name == path.stem


#: What the schema of each kind of file is made from; editors find it by the first line of the shipped files.
SCHEMAS: dict[str, type] = {"model": ModelFile, "recipe": Recipe, "rules": Rules, "roles": Roles}


@pytest.mark.parametrize("kind", SCHEMAS)
def test_the_published_schema_is_that_of_the_type(kind: str) -> None:
    """GOLFBUDGET_REWRITE=1 writes them anew."""
    path = configs.config_folder() / "schemas" / f"{kind}.schema.json"
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", **msgspec.json.schema(SCHEMAS[kind])}
    text = json.dumps(_cleaned(schema), indent=1) + "\n"
    if os.environ.get("GOLFBUDGET_REWRITE"):
        path.write_text(text, encoding="utf-8")
    assert path.read_text(encoding="utf-8") == text


def _cleaned(value: Any) -> Any:  # noqa: ANN401  (JSON)
    """Descriptions without a docstring's indentation, which Python keeps before 3.13."""
    if isinstance(value, dict):
        return {
            key: inspect.cleandoc(each) if key == "description" and isinstance(each, str) else _cleaned(each)
            for key, each in value.items()
        }
    return [_cleaned(each) for each in value] if isinstance(value, list) else value


def test_every_model_and_recipe_names_its_schema() -> None:
    for kind in ("model", "recipe"):
        for path in (configs.config_folder() / f"{kind}s").glob("*.toml"):
            first = path.read_text(encoding="utf-8").partition("\n")[0]
            assert first == f"#:schema ../schemas/{kind}.schema.json", path
            assert (path.parent / first.partition(" ")[2]).is_file()


def test_the_contest_is_sixteen_decimal_megabytes() -> None:
    assert load_rules().cap == 16_000_000


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("level = 9", "level = 10"), "level: found 10, zlib takes 0 to 9"),
        (('codec = "zlib"', 'codec = "zip"'), "codec: found 'zip', known: brotli"),
        (("clip_quantile = 0.9999984", "clip_quantile = 2.0"), r"at `\$\.tensors\[0\]\.clip_quantile`"),
        (("bits = 8", ""), "missing required field `bits`"),
        (('layout = "int8_clean_per_row_v1"', 'layout = "v2"'), r"Invalid enum value 'v2' - at `\$\.layout`"),
    ],
)
def test_a_wrong_recipe_is_refused_by_key(tmp_path: Path, change: tuple[str, str], message: str) -> None:
    text = (configs.config_folder() / "recipes" / "int8-zlib.toml").read_text(encoding="utf-8")
    assert change[0] in text
    path = tmp_path / "mine.toml"
    path.write_text(text.replace(*change), encoding="utf-8")
    with pytest.raises(ConfigError, match=message):
        load_recipe(path)


def test_an_unknown_name_lists_the_shipped_ones() -> None:
    with pytest.raises(ConfigError, match=r"known: .*int8-zlib, int8-zlib-small, .* or give a \.toml path"):
        load_recipe("int4")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (
            "config.json",
            b'{"vocab_size": 5}',
            r"config\.json: JSON, expected a TOML file whose name ends in \.toml; known",
        ),
        ("train_gpt.py", b"import torch\n", r"train_gpt\.py: a Python program, expected a TOML file"),
        (
            "model.ptz",
            b"\x78\x9c\xff\0" * 9,
            r"model\.ptz: no text \(golfbudget inspect says what is in it\), expected",
        ),
        ("a.yaml", b"x: 1\n", r"a\.yaml: YAML, expected a TOML file"),
        ("notes", b"hello", r"notes: other text, expected a TOML file"),
        ("folder", None, r"folder: a folder, expected a TOML file"),
        (
            "x/config.json",
            b'{"x": 5}',
            r"config\.json: not valid TOML: .*; found JSON, expected a TOML file with keys of name, ",
        ),
        (
            "x/m.toml",
            b"a = \n",
            r"m\.toml: not valid TOML: .*line 1.*; found TOML with a mistake, expected .* keys of name, ",
        ),
        (
            "x/m.toml",
            b"[project]\n",
            r"m\.toml: Object contains unknown field `project`, expected keys of name, ",
        ),
        ("x/m.toml", b"", r"m\.toml: Object missing required field `name`, expected keys of name, "),
    ],
)
def test_a_file_that_is_no_toml_is_called_what_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, content: bytes | None, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    path = Path(name)
    path.parent.mkdir(exist_ok=True)
    path.mkdir() if content is None else path.write_bytes(content)
    with pytest.raises(ConfigError, match=message):
        load_model(name)
