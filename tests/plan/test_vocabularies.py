"""`plan --vocab`: bytes of synthetic heads, figures of real tokenizers, certificates, and what is said of them."""

from __future__ import annotations

import json
import math
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from support.command_line import Run
from support.transcripts import PAGES

from golfbudget import example, schemes
from golfbudget.certificates import best_tie_floor, biased_bound
from golfbudget.errors import GolfbudgetError, UsageError
from golfbudget.evidence import Evidence
from golfbudget.plan.vocabulary import VocabularyPlan, VocabularyRequest, plan_vocabularies
from golfbudget.plan.vocabulary.heads import encode_drawn
from golfbudget.plan.vocabulary.results import Figures, HeadRow, Vocabulary, vocabulary_json
from golfbudget.plan.vocabulary.run import closing
from golfbudget.report.vocabulary import answer, conclusion, heading
from golfbudget.schemes import Context, Options

TOKENIZER = example.FOLDER / "tokenizer.model"
CAP = 16_000_000

#: A tied model with a bias per token, and a trunk matrix that has as many rows as the vocabulary at first.
MODEL = """
name = "small"
tied = true
recipe = "int8-zlib-small"
[variables]
vocabulary = 64
width = 16
[[tensors]]
name = "vocab_bias"
shape = ["vocabulary"]
[[tensors]]
name = "tok_emb.weight"
shape = ["vocabulary", "width"]
[[tensors]]
name = "blocks.0.mlp.fc.weight"
shape = [64, "width"]
"""


def asked(path: object, *vocabularies: object, **more: object) -> VocabularyPlan:
    given = {"path": str(path), "vocabularies": tuple(map(str, vocabularies)), "cap": CAP, "jobs": 1, **more}
    return plan_vocabularies(VocabularyRequest(**given), lambda _what, _steps: None)  # type: ignore[arg-type]


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "small.toml"
    path.write_text(MODEL, encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def words(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Plain words with single spaces, the commonest first: 1/rank of them each."""
    parts = [" ".join(f"{a}{b}" for a in ("ba", "ko", "ti", "mu")) for b in ("lan", "der", "sip", "on", "qua", "x")]
    text = " ".join(part for number, part in enumerate(parts) for _ in range(60 // (number + 1)))
    path = tmp_path_factory.mktemp("text") / "words.txt"
    path.write_bytes(text.encode())
    return path


@pytest.fixture(scope="module")
def tokenizers(words: Path) -> list[Path]:
    """Two SentencePiece models trained on the words."""
    sentencepiece = pytest.importorskip("sentencepiece", reason="sentencepiece trains the tokenizers under test")
    found = []
    for size in (32, 48):
        prefix = words.parent / f"sp{size}"
        sentencepiece.SentencePieceTrainer.train(
            input=str(words), model_prefix=str(prefix), vocab_size=size, model_type="bpe", minloglevel=2
        )
        found.append(prefix.with_suffix(".model"))
    return found


def row(plan: VocabularyPlan, label: str, name: str) -> HeadRow:
    ((found),) = [r for v in plan.vocabularies if v.figures.label == label for r in v.rows if r.name == name]
    return found


@pytest.mark.slow
def test_a_control_weighs_what_public_files_of_its_step_do() -> None:
    """int8 at k = 20: 4.716 bits a weight were measured in a public artifact, scales apart."""
    plan = asked("sp8192", "256:2.0", schemes=("scalar",))
    control = plan.vocabularies[0].control.head_bytes
    assert control == pytest.approx(256 * 512 * 4.716 / 8 + 2 * 256, rel=0.02)
    assert plan.vocabularies[0].figures.bytes_per_token_known is Evidence.CLAIMED
    assert plan.trunk.known is Evidence.MODELLED
    # The public artifacts of this shape hold 15.9 MB, of which the head of 8,192 rows is about 2.5.
    assert 13_000_000 < (plan.trunk.bytes or 0) < 14_000_000


@pytest.mark.slow
def test_floors_of_counts_over_rank_are_those_published(model: Path) -> None:
    plan = asked(model, "1024:2.44", "8192:3.72", schemes=("default",))
    expected = {1024: (0.190, 0.4845455, 0.867), 8192: (0.149, 0.380, 0.680)}
    for vocabulary, bytes_per_token in zip(plan.vocabularies, (2.44, 3.72), strict=True):
        size = vocabulary.figures.size
        for over, nats in zip((2, 4, 8), expected[size], strict=True):
            floor = row(plan, str(size), f"vq-int-k{size // over}-b6").floor
            assert floor is not None
            assert floor.nats_per_token == pytest.approx(nats, abs=5e-4)
            assert floor.bits_per_byte == pytest.approx(floor.nats_per_token / math.log(2) / bytes_per_token)
            assert (floor.known, floor.codes, floor.biased) == (Evidence.MODELLED, size // over, False)
    biased = row(plan, "8192", "vq-bias-k2048-b6-bias8").floor
    assert biased is not None
    assert biased.nats_per_token == pytest.approx(0.378, abs=5e-4)
    # Explicit rows are codes of their own.
    explicit = row(plan, "8192", "vq-explicit-k1024-s1024-b6").floor
    assert explicit is not None
    assert explicit.codes == 2048
    assert explicit.nats_per_token == pytest.approx(0.380, abs=5e-4)


def test_every_row_adds_up(model: Path) -> None:
    plan = asked(model, "64:1.5", "512:2", "512:2.5", code_bytes=30_000, price=7.0)
    assert [v.figures.size for v in plan.vocabularies] == [64, 512, 512]
    for vocabulary in plan.vocabularies:
        control = vocabulary.control
        assert len(vocabulary.rows) == 10
        for one in vocabulary.rows:
            decoder = 0 if one.scheme is None else len(schemes.get(one.scheme).decoder_source.encode())
            own = one.head_bytes + decoder
            assert one.decoder_bytes == decoder
            assert one.saved_bytes == control.head_bytes - own
            assert one.trunk_left + own + vocabulary.others_bytes + plan.container_bytes + 30_000 == CAP
            assert plan.headroom(one) == one.trunk_left - (plan.trunk.bytes or 0)
            if one.break_even is not None:
                assert one.break_even == pytest.approx(one.saved_bytes / 1000 * 7.0 * 1e-6)
            floor = one.floor
            if floor is not None and one.break_even is not None and floor.bits_per_byte is not None:
                worth = floor.bits_per_byte - one.break_even
                assert floor.loser_under == (pytest.approx(worth) if worth > 0 else None)


def test_only_tensors_with_a_vocabulary_axis_grow(model: Path) -> None:
    """The trunk matrix has 64 rows as the vocabulary does, and the bias grows though it is no matrix."""
    plan = asked(model, "64:1.5", "1024:2.5", schemes=("scalar",))
    assert (plan.head, plan.others, plan.tied) == ("tok_emb.weight", ("vocab_bias",), True)
    small, large = plan.vocabularies
    # A float of two bytes a token, of which a codec saves little.
    assert 0.8 < (large.others_bytes - small.others_bytes) / (2 * 960) < 1.05


def test_an_untied_model_keeps_its_input_table(model: Path) -> None:
    model.write_text(
        MODEL.replace("tied = true", "tied = false")
        + '[[tensors]]\nname = "lm_head.weight"\nshape = ["vocabulary", "width"]\n',
        encoding="utf-8",
    )
    plan = asked(model, "1024:2.5", schemes=("scalar",))
    assert (plan.head, plan.others, plan.tied) == ("lm_head.weight", ("vocab_bias", "tok_emb.weight"), False)
    assert plan.vocabularies[0].others_bytes > 0.9 * plan.vocabularies[0].control.head_bytes
    document = vocabulary_json(plan)
    heads = document["vocabularies"][0]["heads"]  # type: ignore[index]
    assert all(head["saved_bytes_on_output_alone"] == head["saved_bytes"] for head in heads)
    assert document["input_side"] is None


def test_in_a_tied_model_the_output_alone_only_adds(model: Path) -> None:
    plan = asked(model, "512:2")
    heads = vocabulary_json(plan)["vocabularies"][0]["heads"]  # type: ignore[index]
    for head in heads[1:]:
        assert head["saved_bytes_on_output_alone"] == -head["head_bytes"] - head["decoder_bytes"] < 0
    best = plan.vocabularies[0].best(vq=True)
    assert best is not None
    assert f"on the output alone it adds {best.head_bytes + best.decoder_bytes:,} bytes" in answer(
        plan, plan.vocabularies[0]
    )


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("vq-logits", {"codes": 64}),
        ("vq-logits-int", {"codes": 64, "bits": 6}),
        ("vq-logits-bias", {"codes": 64, "bits": 6, "bias_bits": 8}),
        ("vq-logits-explicit", {"codes": 64, "explicit": 32, "bits": 6}),
        ("vq-logits-residual", {"codes": 64, "rank": 4, "bits": 6}),
        ("product", {"groups": 8, "codes": 64, "bits": 8}),
    ],
)
def test_drawn_codebooks_have_the_tables_of_fitted_ones(name: str, options: Options) -> None:
    """The same tables of the same shapes; a decoder takes them; coded, they differ by a few percent."""
    import zlib

    matrix = torch.randn(256, 32, generator=torch.Generator().manual_seed(1))
    context = Context(seed=0, counts=torch.arange(256, 0, -1))
    scheme = schemes.get(name)
    drawn, fitted = encode_drawn(scheme, matrix, options, context), scheme.encode(matrix, options, context)
    shapes = [
        [(table.name, table.shape, table.bits, table.tensor.dtype) for table in e.tables] for e in (drawn, fitted)
    ]
    assert shapes[0] == shapes[1]
    assert drawn.raw_bytes == fitted.raw_bytes <= scheme.raw_bytes((256, 32), options)
    assert drawn.scheme == name
    assert scheme.decode(drawn).shape == (256, 32)
    coded = [zlib.compress(b"".join(t.tensor.numpy().tobytes() for t in e.tables), 9) for e in (drawn, fitted)]
    assert len(coded[0]) == pytest.approx(len(coded[1]), rel=0.05)


def test_a_scheme_without_codebooks_is_its_own_encoder() -> None:
    matrix, options = torch.randn(40, 8, generator=torch.Generator().manual_seed(2)), {"bits": 6, "clip": 12.85}
    scheme = schemes.get("clipped")
    drawn, own = (
        e.tables for e in (encode_drawn(scheme, matrix, options, Context()), scheme.encode(matrix, options, Context()))
    )
    assert all(torch.equal(a.tensor, b.tensor) for a, b in zip(drawn, own, strict=True))


def test_tokenizers_are_measured_on_the_text(model: Path, words: Path, tokenizers: list[Path]) -> None:
    sentencepiece = pytest.importorskip("sentencepiece")
    plan = asked(model, *tokenizers, "64:3", text=words, schemes=("vq-logits",))
    assert [v.figures.label for v in plan.vocabularies] == ["sp32.model", "sp48.model", "64"]
    text = words.read_text(encoding="utf-8")
    for path, vocabulary in zip(tokenizers, plan.vocabularies[:2], strict=True):
        processor = sentencepiece.SentencePieceProcessor(model_file=str(path))
        pieces, figures = processor.encode(text, out_type=str), vocabulary.figures
        # All of the text but the first piece, whose space mark stands for none of it, is predicted.
        predicted = len(text) - len(pieces[0].removeprefix("▁"))
        assert figures.bytes_per_token == pytest.approx(predicted / (len(pieces) - 1), abs=1e-12)
        assert (figures.tokens, figures.tokenizer_bytes) == (len(pieces) - 1, path.stat().st_size)
        counted = Counter(processor.encode(text)[1:])
        assert figures.used == len(counted)
        counts = np.array([counted[token] for token in range(figures.size)])
        for one in vocabulary.rows[1:]:
            assert one.floor is not None
            assert one.floor.known is Evidence.CERTIFIED
            assert one.floor.nats_per_token == pytest.approx(best_tie_floor(counts, one.floor.codes).value, abs=1e-12)
    claimed = plan.vocabularies[2]
    assert (claimed.figures.tokens, claimed.figures.tokenizer_bytes) == (None, None)
    assert claimed.rows[1].floor is not None
    assert claimed.rows[1].floor.known is Evidence.MODELLED
    assert plan.text_bytes == len(text)


def test_the_tokenizer_is_never_counted(model: Path, words: Path, tokenizers: list[Path]) -> None:
    with_file = asked(model, tokenizers[0], text=words, schemes=("scalar",)).vocabularies[0]
    without = asked(model, "32:2", schemes=("scalar",)).vocabularies[0]
    assert with_file.rows == without.rows


def test_counts_of_a_file_certify_a_claimed_vocabulary(model: Path, tmp_path: Path) -> None:
    counts = torch.tensor([2 ** (8 - i // 8) for i in range(64)])
    path = tmp_path / "counts.safetensors"
    save_file({"counts": counts}, path)
    plan = asked(model, "64:2", counts=path, schemes=("vq-logits-bias",))
    floor = plan.vocabularies[0].rows[-1].floor
    assert floor is not None
    assert floor.known is Evidence.CERTIFIED
    assert floor.nats_per_token == pytest.approx(biased_bound(counts.numpy(), floor.codes))
    np.save(tmp_path / "counts.npy", counts.numpy())
    same = asked(model, "64:2", counts=tmp_path / "counts.npy", schemes=("vq-logits-bias",))
    assert same.vocabularies == plan.vocabularies
    with pytest.raises(UsageError, match="counts of 64 tokens"):
        asked(model, "65:2", counts=path)


def test_checkpoint_and_artifact_give_their_own_trunk() -> None:
    """The example's two files hold one model, so that the trunk weighs the same, and with the head the whole file."""
    size = example.ARTIFACT.stat().st_size
    one = asked(example.CHECKPOINT, "1024:2.4", recipe=example.RECIPE, schemes=("scalar",))
    two = asked(example.ARTIFACT, "1024:2.4", schemes=("scalar",))
    assert one.trunk == two.trunk
    assert one.trunk.known is Evidence.MEASURED
    for plan in (one, two):
        whole = plan.container_bytes + (plan.trunk.bytes or 0) + plan.vocabularies[0].control.head_bytes
        assert whole == pytest.approx(size, rel=0.03)
        assert plan.head == "tok_emb.weight"
        assert plan.others == ()


@pytest.mark.slow
def test_a_synthetic_head_weighs_what_the_real_one_does(corpus: Path) -> None:
    """The public artifact's own table takes 162 kB of its file; its rows lie at the scale floor."""
    path = corpus / "int8_zlib_4mb" / "final_model.int8.ptz"
    plan = asked(path, "1024:2.44", schemes=("product",))
    control = plan.vocabularies[0].control.head_bytes
    assert control == pytest.approx(162_000, rel=0.05)
    assert plan.container_bytes + (plan.trunk.bytes or 0) + control == pytest.approx(path.stat().st_size, rel=0.005)
    # Its known trap: a product code a quarter smaller as a table is larger in the file.
    trap = row(plan, "1024", "product-g128-k256-b16")
    assert trap.saved_bytes < 0


@pytest.mark.slow
def test_public_tokenizers_are_compared_on_one_text(model: Path, corpus: Path) -> None:
    pytest.importorskip("sentencepiece")
    files = [corpus / "tokenizers" / f"fineweb_{size}_bpe.model" for size in (8192, 1024, 4096)]
    text = example.FOLDER / "LICENSE.text"
    plan = asked(model, *files, text=text, schemes=("vq-logits-int",))
    assert [v.figures.size for v in plan.vocabularies] == [1024, 4096, 8192]
    assert [v.figures.tokenizer_bytes for v in plan.vocabularies] == [254_483, 302_419, 370_917]
    measured = [v.figures.bytes_per_token or 0 for v in plan.vocabularies]
    notes = [text for label, text in heading(plan) if label == "note"]
    assert len(notes) == 3
    assert all(note.startswith(f"fineweb_{size}") for note, size in zip(notes, (1024, 4096, 8192), strict=True))
    assert 1.5 < measured[0] < measured[1] < measured[2] < 5


def test_where_size_depends_on_training_both_ends_are_said() -> None:
    plan = asked("baseline", "256:2", schemes=("vq-logits-int",))
    vocabulary = plan.vocabularies[0]
    assert vocabulary.control_low is not None
    assert 0 < vocabulary.control_low < vocabulary.control.head_bytes
    assert f"down to {vocabulary.control_low:,}" in answer(plan, vocabulary)
    assert any("floored" in note for note in plan.notes)


def made(label: str, control: int, *saved: int) -> Vocabulary:
    """A vocabulary with a control and VQ rows that save these bytes."""
    figures = Figures(
        label=label, size=int(label), tokenizer_bytes=None, bytes_per_token=None,
        bytes_per_token_known=Evidence.UNKNOWN, tokens=None, used=None, counts_known=Evidence.MODELLED,
    )  # fmt: skip
    first = HeadRow(
        name="control", scheme=None, options={}, head_bytes=control, decoder_bytes=0, saved_bytes=0, trunk_left=0,
        break_even=None, floor=None,
    )  # fmt: skip
    rows = [
        replace(first, name=f"vq{n}", scheme="vq-logits", saved_bytes=n, head_bytes=control - n, break_even=n * 4e-9)
        for n in saved
    ]
    other = replace(first, name="lqer", scheme="lqer", saved_bytes=10**7, head_bytes=0, break_even=0.04)
    return Vocabulary(figures=figures, others_bytes=0, control_low=None, rows=(first, *rows, other))


def test_thresholds_are_read_off_the_table(model: Path) -> None:
    """0.002 bits a byte at 4 µbpb per kilobyte are 500,000 bytes, of a VQ head; a tenth of 16 MB are 1,600,000."""
    table = [made("1024", 1_000, 100), made("4096", 1_600_000, 3, 500_000), made("8192", 1_600_001, 500_001, 7)]
    found = closing(table, CAP, 4.0)
    assert (found.enough_bytes, found.enough_at, found.enough_row) == (500_000, "8192", "vq500001")
    assert found.large_at == "8192"
    none = closing(table[:2], CAP, 4.0)
    assert (none.enough_at, none.large_at) == (None, None)
    free = closing(table, CAP, 0.0)
    assert (free.enough_bytes, free.enough_at) == (None, None)
    plan = asked(model, "64:2", schemes=("scalar",))
    said = conclusion(replace(plan, closing=found))
    assert said[0].startswith("8192 is the smallest vocabulary at which a VQ head (vq500001) saves more than 500,000")
    assert "no VQ head of the table saves more than 500,000" in conclusion(replace(plan, closing=none))[0]


def test_what_saves_nothing_must_lower_the_loss(model: Path) -> None:
    plan = asked(model, "64:2", schemes=("scalar",))
    assert "none of VQ-Logits saves bytes (vq-5 adds 5)" in answer(plan, made("64", 100, -5, -9))


def test_a_floor_below_what_bytes_are_worth_proves_nothing(model: Path) -> None:
    """At a price high enough, no loss of the control lies under floor less break-even."""
    plan = asked(model, "512:2", price=1e9)
    best = plan.vocabularies[0].best(vq=True)
    assert best is not None
    assert best.floor is not None
    assert best.floor.loser_under is None
    assert "proves nothing" in answer(plan, plan.vocabularies[0])


@pytest.mark.parametrize(
    ("vocabularies", "more", "expected"),
    [
        (["1:2"], {}, "2 to 10,000,000 tokens, found 1"),
        (["512", "512"], {}, "two vocabularies of 512 tokens"),
        (["512:2", "512"], {}, "nothing that tells them apart"),
        (["512:2", "512:2"], {}, "nothing that tells them apart"),
        (["512:0"], {}, "above zero"),
        (["absent.model"], {}, "no such file"),
        ([TOKENIZER], {}, "--tokens FILE.txt"),
        ([Path(__file__)], {}, "expected a SentencePiece .model"),
        (["512:2"], {"text": Path(__file__)}, "no --vocab names a tokenizer"),
        ([TOKENIZER], {"text": Path("absent.txt")}, "No such file"),
        ([TOKENIZER], {"text": TOKENIZER}, "is not UTF-8"),
        (["512:2"], {"schemes": ("repack",)}, "changes no head"),
        (["512:2"], {"schemes": ("low-rank",)}, "is for the trunk"),
        (["512:2"], {"schemes": ("gptq",)}, "needs text run through a model"),
        (["512:2"], {"price": -1.0}, "a price is"),
    ],
)
def test_bad_input_is_refused(model: Path, vocabularies: list[object], more: dict[str, object], expected: str) -> None:
    if any(isinstance(v, Path) for v in vocabularies):
        pytest.importorskip("sentencepiece")
    with pytest.raises(GolfbudgetError, match=expected):
        asked(model, *vocabularies, **more)


def test_a_text_of_one_token_measures_nothing(model: Path, tmp_path: Path) -> None:
    pytest.importorskip("sentencepiece")
    for content in (b"", b"a"):
        (tmp_path / "short.txt").write_bytes(content)
        with pytest.raises(UsageError, match="give a longer text"):
            asked(model, TOKENIZER, text=tmp_path / "short.txt")


def test_a_model_without_a_vocabulary_is_refused(model: Path) -> None:
    model.write_text(MODEL.replace('"vocabulary"', "64").replace("vocabulary = 64", "rows = 64"), encoding="utf-8")
    with pytest.raises(UsageError, match="looked for vocabulary, vocab_size, vocab, found rows, width"):
        asked(model, "64:2")
    model.write_text(MODEL.replace('"vocabulary"', "64"), encoding="utf-8")
    with pytest.raises(UsageError, match="no tensor's shape changes"):
        asked(model, "64:2")
    model.write_text(MODEL.replace("tok_emb", "words"), encoding="utf-8")
    with pytest.raises(UsageError, match=r"looked for an output head or token table.*words\.weight"):
        asked(model, "64:2")


def test_another_name_of_the_variable_is_found(model: Path) -> None:
    named = asked(model, "96:2", schemes=("scalar",))
    model.write_text(MODEL.replace("vocabulary", "vocab_size"), encoding="utf-8")
    assert asked(model, "96:2", schemes=("scalar",)).vocabularies == named.vocabularies


def test_the_command_prints_a_table_and_the_same_json_twice(model: Path, golfbudget: Run, tmp_path: Path) -> None:
    pytest.importorskip("sentencepiece")
    text = tmp_path / "text.txt"
    text.write_text("\n".join(page.read_text(encoding="utf-8") for page in PAGES), encoding="utf-8")
    arguments = ["plan", model, "--vocab", TOKENIZER, "--vocab", "256:1.9", "--tokens", text]
    brief = golfbudget(*arguments, "--schemes", "vq-logits-int").stdout
    assert "where restructuring starts to pay" in brief
    assert brief.splitlines()[-1].startswith("more: ")
    assert brief.count("vq-int-k") < golfbudget(*arguments, "--schemes", "vq-logits-int", "--details").stdout.count(
        "vq-int-k"
    )
    shown = golfbudget(*arguments, "--code", "30kB", "--price", "5", "--details")
    assert shown.returncode == 0, shown.stderr
    assert "tokenizer.model: the text uses" not in shown.stdout
    for words in (
        "30,000 bytes of code counted",
        "5 µbpb per kB (--price)",
        "where restructuring starts to pay",
        "14,266",
        "claimed",
        "shared",
    ):
        assert words in shown.stdout
    first, second = (golfbudget(*arguments, "--format", "json", "-j", jobs).stdout for jobs in (1, 2))
    assert first == second
    document = json.loads(first)
    assert document["schema"] == "golfbudget/vocabulary/1"
    assert [v["vocabulary"] for v in document["vocabularies"]] == [256, 1024]
    assert document["vocabularies"][1]["tokenizer_bytes"] == TOKENIZER.stat().st_size
    assert document["vocabularies"][1]["heads"][2]["floor"]["evidence"] == "certified"


def test_options_that_run_a_model_are_refused(model: Path, golfbudget: Run) -> None:
    found = golfbudget("plan", model, "--vocab", "512:2", "--model", "builtin:baseline")
    assert found.returncode == 2
    assert found.stderr.startswith("golfbudget: error: --model does nothing with --vocab")
