"""Model files: arithmetic, expansion, the shipped ones against public logs, and mistakes named by file and key."""

from __future__ import annotations

import ast
import json
import math
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.command_line import Run

from golfbudget import configs
from golfbudget.errors import ConfigError
from golfbudget.models import load_model
from golfbudget.models.expressions import ExpressionError, evaluate, names_in
from golfbudget.quality.baseline_model import BaselineModel, Shape
from golfbudget.recipe.config import load_recipe

NUMBERS = st.integers(-1000, 1000) | st.floats(-1000, 1000, allow_nan=False).map(lambda x: round(x, 3))
LEAVES = NUMBERS.map(repr) | st.sampled_from(["width", "heads", "layers"])
VARIABLES = {"width": 512, "heads": 8, "layers": 9}


def combined(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    binary = st.tuples(inner, st.sampled_from(["+", "-", "*", "/", "//", "%", "<", ">=", "==", "and", "or"]), inner)
    return (
        binary.map(lambda parts: f"({parts[0]} {parts[1]} {parts[2]})")
        | inner.map(lambda part: f"-{part}")
        | inner.map(lambda part: f"(not {part})")
        | st.tuples(inner, inner, inner).map(lambda p: f"({p[0]} if {p[1]} else {p[2]})")
        | st.tuples(inner, inner).map(lambda p: f"max({p[0]}, {p[1]})")
    )


@given(st.recursive(LEAVES, combined, max_leaves=8))
def test_expressions_have_the_value_that_python_gives_them(text: str) -> None:
    """The oracle is Python itself, on text that this test made."""
    try:
        expected = eval(compile(ast.parse(text, mode="eval"), "", "eval"), {"max": max}, dict(VARIABLES))  # noqa: S307
    except (ZeroDivisionError, OverflowError):
        with pytest.raises(ExpressionError):
            evaluate(text, VARIABLES)
        return
    if not math.isfinite(expected) or abs(expected) > 2**63:
        return
    try:
        found = evaluate(text, VARIABLES)
    except ExpressionError as error:
        assert "goes beyond" in str(error)  # noqa: PT017  a part was too large, though the whole is not
        return
    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("widht * 2", r"'widht' is no variable; known: width, heads, layers"),
        ("2 ** 200", "the exponent 200 is beyond 64"),
        ("10 ** 64", "a value goes beyond"),
        ("(-8) ** 0.5", "a root of a negative number"),
        ("width.bit_length()", "calls none of min, max"),
        ("__import__('os')", "calls none of min, max"),
        ("[x for x in (1, 2)]", "is not arithmetic on variables"),
        ("width +", "is no expression"),
        ("'text'", "is no number"),
        ("1 / 0", "division by zero"),
        ("width @ heads", "is not arithmetic on variables"),
        ("-" * 499 + "1", "recursion|too complex|is no expression"),
        ("1" * 501, "has 501 characters"),
        ("sqrt(-1)", "'sqrt(-1)': "),
        ("max()", "calls none of"),
    ],
)
def test_what_is_no_arithmetic_is_refused(text: str, message: str) -> None:
    with pytest.raises(
        ExpressionError, match=message.replace("(", r"\(").replace(")", r"\)") if "sqrt" in text else message
    ):
        evaluate(text, VARIABLES)


def test_the_names_an_expression_reads() -> None:
    assert names_in("min(layers // 2, width - b)") == {"layers", "width", "b"}


#: `model_params` of the public runs' logs, and the shipped model of each.
COUNTS = {
    17_059_912: "baseline",
    18_897_488: "baseline-10l",
    21_778_504: "baseline-mlp3x",
    22_174_288: "baseline-10l-mlp1344",
    22_368_840: "bigram-smear",
    22_368_841: "bigram-9l",
    26_829_913: "bigram-11l",
    26_993_756: "bigram-value-11l",
    27_038_812: "bigram-value-11l-2816",
    34_401_371: "sp4096",
    34_401_372: "sp4096-parallel",
    35_943_512: "sp8192",
    35_944_536: "sp8192-three-layers",
    35_944_602: "sp8192-parallel",
    35_989_658: "sp8192-gated",
    35_945_658: "sp8192-sparse-gated",
    35_945_671: "sp8192-lqer",
    17_190_984: "bytes-predictor",
    17_424_332: "gdn-hybrid",
    14_390_216: "gdn-hybrid-small",
    25_159_984: "mamba3-hybrid",
}


def test_every_logged_count_is_a_shipped_model_s(runs: Path) -> None:
    found: set[int] = set()
    for path in [*runs.rglob("*.log"), *runs.rglob("*.txt")]:
        text = path.read_text(encoding="utf-8", errors="replace")
        found |= {int(count) for count in re.findall(r"^model_params:(\d+)$", text, re.MULTILINE)}
    assert found == COUNTS.keys()
    assert {load_model(name).parameters: name for name in COUNTS.values()} == COUNTS


def test_the_ternary_models_store_what_is_published() -> None:
    """The counts of their logs less an output matrix that is never stored, and the ternary part of them."""
    for name, logged, low_bits in (("ternary-74m", 73_685_840, 64_880_640), ("binary-106m", 106_154_616, 97_320_960)):
        model = load_model(name)
        assert model.parameters == logged - 8192 * 768
        assert sum(t.elements for t in model.tensors if re.search(r"\.(attn|mlp)\..*weight", t.name)) == low_bits


@pytest.mark.parametrize("name", configs.names("models"))
def test_a_shipped_model_is_named_after_itself_and_counts_what_it_says(name: str) -> None:
    model = load_model(name)
    assert model.name == name
    assert f"{model.parameters:,} parameters" in model.summary
    assert load_recipe(str(model.recipe)).name == model.recipe


def test_the_baseline_has_the_tensors_of_the_module() -> None:
    state = BaselineModel(Shape(vocab=64, width=32, blocks=5, heads=4, kv_heads=2, hidden=96, tied=True)).state_dict()
    sizes = {"vocabulary": 64, "width": 32, "layers": 5, "heads": 4, "kv_heads": 2, "hidden": 96}
    tensors = load_model("baseline", variables=sizes).tensors
    assert [(t.name, t.shape) for t in tensors] == [(name, tuple(tensor.shape)) for name, tensor in state.items()]


GOOD = """
name = "mine"
[variables]
width = 8
half = "width // 2"
[[tensors]]
name = "a"
shape = ["width", "half"]
[[tensors]]
repeat = 2
tensors = [{ name = "b.{i}", shape = [2] }, { name = "c.{i}", shape = [3], when = "i > 0" }]
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "mine.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_groups_repeat_block_by_block(tmp_path: Path) -> None:
    model = load_model(written(tmp_path, GOOD))
    assert [(t.name, t.shape) for t in model.tensors] == [("a", (8, 4)), ("b.0", (2,)), ("b.1", (2,)), ("c.1", (3,))]
    assert load_model(model.path, variables={"width": 10}).tensors[0].shape == (10, 5)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (('"width", "half"', '"widht"'), r"tensors\[0\]\.shape\[0\]: 'widht'.*known: width, half"),
        (('"width", "half"', '"half - width"'), r"tensors\[0\]\.shape\[0\]: 'half - width' is -4, expected 1 or more"),
        (('"width", "half"', "-3"), r"`int` >= 1|expected"),
        (('"width", "half"', '"width / 3"'), r"is 2\.66.*expected a whole number"),
        (('"width // 2"', '"half + 1"'), r"variables\.half: depends on itself: half -> half"),
        (('"width // 2"', '"other"'), r"variables\.half: 'other'.*known: width, half"),
        (('name = "c.{i}"', 'name = "b.{i}"'), r"tensors\[1\]\.tensors\[1\]\.name: 'b\.1' stands for a second tensor"),
        (("shape = [2]", "shape = [2], dtype = 'int7'"), "Invalid enum value 'int7'"),
        (("shape = [2]", "shapes = [2]"), "unknown field `shapes`"),
        (("repeat = 2", "repeat = -1"), r"tensors\[1\]\.repeat: is -1"),
        (("repeat = 2", "repeat = 2\nindex = 'width'"), r"'width' is a variable already"),
        (("repeat = 2\n", "repeat = 2\nname = 'x'\n"), "takes no name and shape"),
        (('name = "a"\n', ""), "neither name and shape"),
        (("width = 8", "width = 1e12"), "goes beyond 100,000 tensors or 1,000,000,000,000 elements"),
        (('name = "mine"', 'name = "mine"\nbase = "nothing"'), "no models file is called 'nothing'; known: baseline"),
        (('name = "mine"', 'name = "mine"\nbase = "sp8192-lqer"'), "'sp8192-lqer' has a base of its own"),
    ],
)
def test_mistakes_are_named_by_file_and_key(tmp_path: Path, change: tuple[str, str], message: str) -> None:
    assert change[0] in GOOD
    path = written(tmp_path, GOOD.replace(*change))
    with pytest.raises(ConfigError, match=message) as raised:
        load_model(path)
    if "base" not in change[1] or "sp8192" in change[1]:
        assert str(path) in str(raised.value)


def test_an_unknown_variable_to_change_lists_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nothing is called 'depth'; known: width, half"):
        load_model(written(tmp_path, GOOD), variables={"depth": 3})


@pytest.mark.parametrize(("line", "said"), [("", False), ("tied = true\n", True), ("tied = false\n", False)])
def test_a_file_that_says_nothing_of_the_tie_contradicts_no_names(
    tmp_path: Path, golfbudget: Run, line: str, *, said: bool
) -> None:
    path = tmp_path / "untied.toml"
    shapes = {"tok_emb.weight": [64, 8], "lm_head.weight": [64, 8]}
    tensors = "".join(f'[[tensors]]\nname = "{name}"\nshape = {shape}\n' for name, shape in shapes.items())
    path.write_text(f'name = "untied"\nrecipe = "int8-zlib"\n{line}{tensors}', encoding="utf-8")
    told = json.loads(golfbudget("estimate", path, "--format", "json").stdout)
    assert any("names say the opposite" in note for note in told["notes"]) is said
    assert told["tied"] is False
    assert told["model"]["tied"] is said
