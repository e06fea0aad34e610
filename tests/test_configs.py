"""Every shipped configuration file loads, and a wrong one is refused by key."""

from __future__ import annotations

from pathlib import Path

import pytest

from golfbudget import configs
from golfbudget.errors import ConfigError
from golfbudget.recipe.config import load_recipe
from golfbudget.roles import load_roles
from golfbudget.rules import load_rules

FILES = sorted(configs.config_folder().rglob("*.toml"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_every_shipped_file_loads_and_is_named_after_itself(path: Path) -> None:
    if path.parent.name == "roles":
        for rule in (rules := load_roles(path)).roles + rules.names + rules.accounts:
            assert rule.pattern.pattern == rule.match
        return
    loaded = load_rules(path.stem) if path.parent.name == "rules" else load_recipe(path.stem)
    assert loaded.name == path.stem


def test_the_contest_is_sixteen_decimal_megabytes() -> None:
    assert load_rules().cap == 16_000_000


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("level = 9", "level = 10"), "level: found 10, zlib takes 0 to 9"),
        (('codec = "zlib"', 'codec = "zip"'), "codec: found 'zip', known: brotli"),
        (("clip_quantile = 0.9999984", "clip_quantile = 2.0"), r"at `\$\.quantize\.clip_quantile`"),
        (("more_elements_than = 65_536", ""), "missing required field `more_elements_than`"),
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
    with pytest.raises(ConfigError, match=r"known: int8-zlib, int8-zlib-small, or give a \.toml path"):
        load_recipe("int4")
