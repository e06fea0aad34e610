"""What head schemes promise beyond the kit: maps, published sizes, exact cases, and oracles that are not ours."""

from __future__ import annotations

import math
import zlib
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from support.kit import collisions

from golfbudget import schemes
from golfbudget.artifact import open_artifact
from golfbudget.errors import UsageError
from golfbudget.ledger import Account
from golfbudget.recipe.artifacts import artifact_bytes, read_export
from golfbudget.recipe.config import load_recipe
from golfbudget.recipe.decoded import read_back
from golfbudget.recipe.export import decode, quantise
from golfbudget.schemes import Context, Encoded, Options, Table
from golfbudget.schemes.calibration import divide, most_frequent, parts_of, read_parts
from golfbudget.schemes.grouped_codes import balanced
from golfbudget.schemes.packing import bits_for
from golfbudget.schemes.seeded import hashed_entries
from golfbudget.schemes.values import column_groups, matrix_bytes, matrix_tables, read_map, read_matrix
from golfbudget.schemes.vq_logits import fit_centres, nearest

ROWS, COLUMNS = 96, 24


def matrix(rows: int = ROWS, columns: int = COLUMNS, seed: int = 0) -> torch.Tensor:
    return torch.randn(rows, columns, generator=torch.Generator().manual_seed(seed))


def counts(rows: int = ROWS, seed: int = 0) -> torch.Tensor:
    """Zipf's counts in shuffled order."""
    order = torch.randperm(rows, generator=torch.Generator().manual_seed(seed))
    return (1e5 / (order + 1)).long()


def encode(name: str, options: Options, of: torch.Tensor, context: Context | None = None) -> Encoded:
    return schemes.get(name).encode(of, options, context or Context(counts=counts(len(of))))


def error(name: str, options: Options, of: torch.Tensor) -> float:
    """Squared error as a share of the matrix's energy."""
    decoded = schemes.get(name).decode(encode(name, options, of))
    return float((decoded - of).double().square().sum() / of.double().square().sum())


# Published sizes: domain formulas written out by hand, in bytes, for V = 96 and d = 24


@pytest.mark.parametrize(
    ("name", "options", "expected"),
    [
        ("class-steps", {"bits": 6}, 96 * 24 + 2 * 96),
        ("class-steps", {"bits": 6, "columns": "stepped"}, 96 * 24 + 2 * 96 + 2 * 24),
        ("tiers", {"tiers": "16x8,6x32,4"}, (8 * 16 + 32 * 6 + 56 * 4) * 24 // 8 + 2 * (32 + 56) + 96 * 2 // 8),
        ("lqer", {"bits": 4, "rank": 4}, 96 * 24 * 4 // 8 + 2 * 96 + 4 * (96 + 24) + 4 * 4),
        ("factorised", {"rank": 4, "bits": 6}, 4 * (96 + 24) * 6 // 8 + 4 * 4),
        ("factorised", {"rank": 4, "bits": 16}, 4 * (96 + 24) * 2),
        ("bands", {"bands": "8x32,2", "bits": 8}, 8 * (32 + 24) + 2 * (64 + 24) + 4 * (8 + 2) + 96 // 8),
        ("vq-logits-int", {"codes": 16, "bits": 4}, 16 * 24 * 4 // 8 + 2 * 16 + 96 * 4 // 8),
        ("vq-logits-bias", {"codes": 16}, 16 * 24 * 2 + 96 * 4 // 8 + 2 * 96),
        ("vq-logits-bias", {"codes": 16, "bias_bits": 8}, 16 * 24 * 2 + 96 * 4 // 8 + 96 + 2),
        (
            "vq-logits-explicit",
            {"codes": 16, "bits": 8, "explicit": 8},
            16 * 24 + 2 * 16 + 96 * 4 // 8 + 8 * (24 + 2) + 8 * 7 // 8,
        ),
        (
            "vq-logits-residual",
            {"codes": 16, "rank": 3},
            16 * 24 * 2 + 96 * 4 // 8 + 3 * (96 + 24) + 4 * 3,
        ),
        ("product", {"groups": 6, "codes": 16}, 16 * 24 * 2 + 96 * 6 * 4 // 8),
        ("residual", {"stages": 3, "codes": 16}, 3 * 16 * 24 * 2 + 96 * 3 * 4 // 8),
        ("grouped", {"groups": 12}, (12 + 8) * 24 * 2 + 96 * 4 // 8 + 96 * 3 // 8),
        ("hashed", {"entries": 100, "pieces": 8}, 100 * 3 * 2 + 8),
        ("binary-codes", {"bits": 8}, 7 * 24 + 2 * 7),
    ],
)
def test_raw_sizes_are_the_published_ones(name: str, options: Options, expected: int) -> None:
    assert schemes.get(name).raw_bytes((ROWS, COLUMNS), options) == expected
    assert encode(name, options, matrix()).raw_bytes == expected


# Values and maps


@pytest.mark.slow
@given(
    st.integers(1, 9), st.integers(1, 9), st.integers(2, 8), st.sampled_from(["packed", "bytes"]), st.integers(0, 999)
)
@settings(max_examples=60)
def test_integers_are_the_same_however_they_are_stored(
    rows: int, columns: int, bits: int, store: str, seed: int
) -> None:
    of = matrix(rows, columns, seed)
    tables = matrix_tables("x", of, bits, store)
    encoded = Encoded(scheme="", shape=(rows, columns), tables=tables)
    scalar = encode("scalar", {"bits": bits}, of, Context())
    assert torch.equal(read_matrix(encoded, "x", columns), schemes.get("scalar").decode(scalar))
    assert encoded.raw_bytes == matrix_bytes(rows, columns, bits, store)


@given(st.lists(st.tuples(st.integers(1, 16), st.integers(1, 40)), max_size=4), st.integers(1, 16), st.integers(1, 99))
def test_parts_cover_every_row_once_most_frequent_first(parts: list[tuple[int, int]], last: int, rows: int) -> None:
    text = ",".join([*(f"{value}x{size}" for value, size in parts), str(last)])
    divided = divide(read_parts(text, "tiers", "tiers"), rows)
    assert sum(size for _, size in divided) == rows
    order = torch.randperm(rows, generator=torch.Generator().manual_seed(rows))
    part = parts_of(order, divided)
    assert part.bincount().tolist() == [size for _, size in divided]
    assert bool((part[order].diff() >= 0).all())


@pytest.mark.parametrize("text", ["", "8,4", "8x3", "x3,4", "8x-1,4", "8x3,,4", "8 x3,4", "-8"])
def test_parts_that_say_nothing_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match=r"option tiers is .* expected"):
        encode("tiers", {"tiers": text}, matrix())


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("tiers", {"tiers": "9"}, "bits of 2 to 8, or 16"),
        ("bands", {"bands": "0x3,2"}, "ranks from 1"),
        ("factorised", {"rank": 2, "bits": 12}, r"bits is 12, expected 2 to 8 \(integers\) or 16"),
        ("product", {"groups": 0, "codes": 3}, "groups is 0, expected a whole number from 1"),
        ("grouped", {"groups": 3, "store": "bits"}, "expected packed or bytes"),
    ],
)
def test_options_out_of_range_are_refused(name: str, options: Options, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        encode(name, options, matrix())


@pytest.mark.parametrize(("name", "options"), [("vq-logits-bias", {"codes": 4}), ("class-steps", {"bits": 8})])
def test_schemes_about_counts_refuse_to_guess_them(name: str, options: Options) -> None:
    with pytest.raises(UsageError, match="needs token counts"):
        encode(name, options, matrix(), Context())
    with pytest.raises(UsageError, match="for 3 tokens, the matrix has 96 rows"):
        encode(name, options, matrix(), Context(counts=torch.ones(3)))


# Frequency


def test_tiers_and_bands_follow_the_counts() -> None:
    of, often = matrix(), counts()
    order = sorted(range(ROWS), key=lambda token: (-int(often[token]), token))
    tiers = encode("tiers", {"tiers": "16x8,2"}, of)
    decoded = schemes.get("tiers").decode(tiers)
    assert torch.equal(decoded[order[:8]], of[order[:8]].half().float())
    assert not bool((decoded[order[8:]] == of[order[8:]]).all(dim=1).any())
    bands = encode("bands", {"bands": "24x30,1", "bits": 16}, of)
    decoded = schemes.get("bands").decode(bands)
    assert float((decoded - of)[order[:30]].norm() / of[order[:30]].norm()) < 2e-3
    assert int(torch.linalg.matrix_rank(decoded[order[30:]], rtol=1e-5)) == 1


def test_row_steps_grow_with_the_inverse_root_of_counts_up_to_the_coarsest() -> None:
    of, often = matrix(3, 500), torch.tensor([9999, 624, 0])
    plain = encode("class-steps", {"bits": 8, "strength": 0.0}, of, Context(counts=often)).tensor("scales").float()
    grown = encode("class-steps", {"bits": 8, "strength": 1.0, "coarsest": 16.0}, of, Context(counts=often))
    ratio = grown.tensor("scales").float() / plain
    assert ratio.tolist() == pytest.approx([1.0, 4.0, 16.0], rel=2e-3)
    assert torch.equal(plain, encode("scalar", {"bits": 8}, of).tensor("scales").float())


def test_column_steps_are_finer_where_the_inputs_are_larger() -> None:
    moment = torch.diag(torch.tensor([4.0, 1.0, 0.25]))
    context = Context(counts=torch.ones(50), covariance=moment)
    encoded = encode("class-steps", {"bits": 8, "columns": "stepped"}, matrix(50, 3), context)
    assert encoded.tensor("column_scales").tolist() == [0.5, 1.0, 2.0]


# VQ family


def test_an_fp16_codebook_is_the_plain_scheme() -> None:
    plain = encode("vq-logits", {"codes": 9}, matrix())
    same = encode("vq-logits-int", {"codes": 9, "bits": 16}, matrix())
    assert [table.tensor.tolist() for table in plain.tables] == [table.tensor.tolist() for table in same.tables]


@given(st.integers(0, 99), st.integers(1, 30), st.integers(1, 100))
@settings(max_examples=25)
def test_explicit_rows_are_exactly_the_most_frequent(seed: int, codes: int, explicit: int) -> None:
    of, often = matrix(40, 4, seed), torch.randint(0, 9, (40,), generator=torch.Generator().manual_seed(seed))
    encoded = encode("vq-logits-explicit", {"codes": codes, "explicit": explicit}, of, Context(counts=often))
    kept = min(39, explicit)
    expected = sorted(sorted(range(40), key=lambda token: (-int(often[token]), token))[:kept])
    assert read_map(encoded.tensor("explicit_map"), kept, 40).tolist() == expected
    decoded = schemes.get("vq-logits-explicit").decode(encoded)
    assert torch.equal(decoded[expected], of[expected].half().float())
    others = [token for token in range(40) if token not in expected]
    assert len(torch.unique(decoded[others], dim=0)) <= codes


def test_without_counts_explicit_rows_are_those_of_largest_norm() -> None:
    of = matrix()
    of[[3, 50]] *= 10
    assert sorted(most_frequent(of, Context())[:2].tolist()) == [3, 50]


def test_the_bias_gives_each_token_its_unigram_share_and_leaves_the_codes_theirs() -> None:
    of, often = matrix(), counts()
    scheme = schemes.get("vq-logits-bias")
    encoded = encode("vq-logits-bias", {"codes": 7}, of)
    bias = scheme.bias(encoded)
    assert bias is not None
    rows = scheme.decode(encoded)
    _, code = torch.unique(rows, dim=0, return_inverse=True)
    hidden = matrix(5, COLUMNS, seed=1)
    plain, biased = (hidden @ rows.T).double().softmax(1), (hidden @ rows.T + bias).double().softmax(1)
    smoothed = often.double() + 1
    for i in range(int(code.max()) + 1):
        own = code == i
        within = biased[:, own] / biased[:, own].sum(1, keepdim=True)
        # The bias is fp16, up to 8 in size.
        assert torch.allclose(within, (smoothed[own] / smoothed[own].sum()).expand(5, -1), rtol=8e-3)
        assert torch.allclose(biased[:, own].sum(1), plain[:, own].sum(1), rtol=8e-3)
    # The loss falls by E[ln n_code] - H(token | code), whatever the text's hidden states.
    sizes, sums = code.bincount().double(), torch.zeros(7).double().index_add(0, code, smoothed)
    share = smoothed / smoothed.sum()
    gain = float((share * (sizes[code].log() - (sums[code] / smoothed).log())).sum())
    measured = float((share * (biased[0].log() - plain[0].log())).sum())
    assert measured == pytest.approx(gain, abs=2e-3)
    assert gain > 0


def test_the_decoder_of_a_submission_gives_the_bias_too() -> None:
    encoded = encode("vq-logits-bias", {"codes": 7, "bias_bits": 8}, matrix())
    scheme = schemes.get("vq-logits-bias")
    tables = {table.name: table.tensor.numpy() for table in encoded.tables}
    namespace: dict[str, object] = {"n": np, "t": tables, "R": ROWS, "C": COLUMNS}
    exec(scheme.decoder_source, namespace)  # noqa: S102  (the decoder a submission carries is run as it stands)
    bias = scheme.bias(encoded)
    assert bias is not None
    assert np.array_equal(np.asarray(namespace["bias"]), bias.numpy())
    plain = schemes.get("vq-logits")
    assert collisions(scheme, encoded) < collisions(plain, encode("vq-logits", {"codes": 7}, matrix())) == ROWS - 7


# Low rank


@pytest.mark.parametrize("shape", [(96, 24), (24, 96), (24, 24)])
def test_factors_of_full_rank_lose_only_rounding_and_of_rank_r_what_singular_values_say(
    shape: tuple[int, int],
) -> None:
    of = matrix(*shape)
    singular = torch.linalg.svdvals(of.double()).square()
    for rank in (1, 5, 24):
        best = float(singular[rank:].sum() / singular.sum())
        assert best - 1e-9 <= error("factorised", {"rank": rank, "bits": 16}, of) < best + 1e-6
        assert error("factorised", {"rank": rank}, of) < best + 2e-4
    assert error("lqer", {"bits": 3, "rank": 24, "factor_bits": 16}, of) < 1e-6
    assert error("vq-logits-residual", {"codes": 4, "rank": 24, "factor_bits": 16}, of) < 1e-6


@given(st.integers(0, 999), st.integers(1, 12))
@settings(max_examples=15)
def test_a_correction_never_hurts_and_more_rank_never_does(seed: int, rank: int) -> None:
    of = matrix(40, 12, seed)
    errors = [error("lqer", {"bits": 3, "rank": r, "factor_bits": 16}, of) for r in (rank, 12)]
    assert errors[1] <= errors[0] + 1e-6 <= error("scalar", {"bits": 3}, of) + 2e-6
    plain = error("vq-logits", {"codes": 5}, of)
    assert error("vq-logits-residual", {"codes": 5, "rank": rank}, of) <= plain


# k-means, product and residual codes


def test_assignment_is_the_nearest_by_brute_force() -> None:
    of, book = matrix(60, 5), matrix(9, 5, seed=1)
    expected = [min(range(9), key=lambda c: (float((row - book[c]).double().square().sum()), c)) for row in of]
    assert nearest(of, book).tolist() == expected


def test_k_means_finds_well_separated_centres_and_is_the_mean_of_its_rows() -> None:
    base = 20 * matrix(8, 6, seed=3)
    of = base.repeat(30, 1) + 0.01 * matrix(240, 6)
    centres = fit_centres(of, 8, seed=0)
    code = nearest(of, centres)
    for i in range(8):
        assert torch.allclose(centres[i], of[code == i].mean(0), atol=1e-4)
    assert sorted(code.bincount().tolist()) == [30] * 8


def test_product_codes_decode_as_faiss_decodes_them() -> None:
    of = matrix()
    encoded = encode("product", {"groups": 6, "codes": 16}, of)
    # faiss's types are those of the C++ functions, which its Python methods replace.
    quantiser: Any = faiss.ProductQuantizer(COLUMNS, 6, 4)
    book = encoded.tensor("codebook").float().numpy().reshape(16, 6, 4).transpose(1, 0, 2)
    faiss.copy_array_to_vector(np.ascontiguousarray(book).ravel(), quantiser.centroids)
    codes = np.stack([read_map(packed, ROWS, 16).numpy() for packed in encoded.tensor("map")], axis=1)
    # Two codes of four bits a byte, the first one low.
    theirs = quantiser.decode((codes[:, 0::2] | codes[:, 1::2] << 4).astype(np.uint8))
    assert np.array_equal(theirs, schemes.get("product").decode(encoded).numpy())
    assert np.array_equal(quantiser.decode(quantiser.compute_codes(of.numpy())), theirs)


def test_residual_codes_decode_as_faiss_decodes_them() -> None:
    of = matrix()
    encoded = encode("residual", {"stages": 2, "codes": 16}, of)
    quantiser: Any = faiss.ResidualQuantizer(COLUMNS, 2, 4)
    quantiser.is_trained = True
    faiss.copy_array_to_vector(encoded.tensor("codebook").float().numpy().ravel(), quantiser.codebooks)
    codes = [read_map(packed, ROWS, 16).numpy() for packed in encoded.tensor("map")]
    theirs = quantiser.decode((codes[0] | codes[1] << 4).astype(np.uint8)[:, None])
    assert np.allclose(theirs, schemes.get("residual").decode(encoded).numpy(), rtol=0, atol=1e-6)


@given(st.integers(0, 999), st.integers(1, 30), st.integers(1, 6), st.integers(1, 9))
@settings(max_examples=25)
def test_as_many_codes_as_rows_give_fp16_rows_back(seed: int, distinct: int, columns: int, groups: int) -> None:
    of = matrix(distinct, columns, seed).repeat(2, 1)
    for name, options in (
        ("product", {"groups": groups}),
        ("residual", {"stages": 1}),
        ("vq-logits-int", {"bits": 16}),
    ):
        decoded = schemes.get(name).decode(encode(name, {**options, "codes": distinct}, of))
        assert torch.equal(decoded, of.half().float()), name


@pytest.mark.parametrize(
    ("name", "options", "option", "values"),
    [
        ("product", {"groups": 4}, "codes", (1, 4, 16, 64)),
        ("product", {"codes": 8}, "groups", (1, 3, 8, 24)),
        ("residual", {"codes": 8}, "stages", (1, 2, 4, 8)),
        ("residual", {"stages": 2}, "codes", (1, 4, 16, 64)),
        ("hashed", {"pieces": 8}, "entries", (1, 64, 4096)),
        ("factorised", {}, "rank", (1, 4, 16, 24)),
    ],
)
def test_more_of_anything_means_less_error(name: str, options: Options, option: str, values: tuple[int, ...]) -> None:
    errors = [error(name, {**options, option: value}, matrix()) for value in values]
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < 0.75 * errors[0]


@given(st.integers(1, 40), st.integers(1, 40))
def test_column_groups_are_contiguous_and_even(columns: int, groups: int) -> None:
    groups = min(columns, groups)
    sizes = column_groups(columns, groups).bincount(minlength=groups).tolist()
    assert sum(sizes) == columns
    assert max(sizes) - min(sizes) <= 1
    assert bool((column_groups(columns, groups).diff() >= 0).all())


# Grouped, hashed and binary


@given(st.integers(0, 999), st.integers(1, 50), st.integers(1, 12))
@settings(max_examples=30)
def test_balanced_groups_have_room_for_all_and_no_more(seed: int, rows: int, groups: int) -> None:
    most = math.ceil(rows / groups)
    found = balanced(torch.rand(rows, groups, generator=torch.Generator().manual_seed(seed)), most)
    assert int(found.min()) >= 0
    assert int(found.bincount().max()) <= most


@given(st.integers(0, 999), st.integers(1, 40), st.integers(1, 12))
@settings(max_examples=20)
def test_no_two_tokens_have_the_same_group_and_member(seed: int, rows: int, groups: int) -> None:
    encoded = encode("grouped", {"groups": groups}, matrix(rows, 3, seed))
    groups = min(rows, groups)
    group = read_map(encoded.tensor("group_map"), rows, groups).tolist()
    member = read_map(encoded.tensor("member_map"), rows, -(-rows // groups)).tolist()
    assert len(set(zip(group, member, strict=True))) == rows


def test_a_matrix_made_of_groups_and_members_is_found() -> None:
    heads, members = 20 * matrix(6, 8, seed=1), matrix(10, 8, seed=2)
    of = (heads[:, None] + members).view(60, 8)[torch.randperm(60, generator=torch.Generator().manual_seed(0))]
    assert error("grouped", {"groups": 6}, of) < 1e-6


@pytest.mark.parametrize("pieces", [0, -1, 25, 2**31 - 1])
def test_a_hashed_table_of_impossible_pieces_is_refused(pieces: int) -> None:
    encoded = encode("hashed", {"entries": 50, "pieces": 6}, matrix(), Context(seed=7))
    lying = Table(name="seed", account=Account.MAPPING, tensor=torch.tensor([7, pieces]), bits=32, shape=(2,))
    with pytest.raises(UsageError, match=f"a row of 24 columns is said to be in {pieces} pieces"):
        schemes.get("hashed").decode(encoded.with_tables(lying))


def test_hashed_entries_are_the_means_of_the_pieces_that_use_them() -> None:
    of = matrix()
    encoded = encode("hashed", {"entries": 50, "pieces": 6}, of, Context(seed=7))
    where, pieces = hashed_entries(ROWS * 6, 7, 50), of.view(-1, 4)
    for entry in range(50):
        assert torch.equal(encoded.tensor("table")[entry], pieces[where == entry].double().mean(0).half())
    assert int(hashed_entries(10**5, 1, 100).bincount(minlength=100).min()) > 0
    assert int(hashed_entries(10**5, 1, 100).bincount().max()) < 1150


def test_binary_codes_are_the_ids_and_the_projection_is_least_squares() -> None:
    of = matrix(37, 5)
    signs = np.array([[1.0 if token >> bit & 1 else -1.0 for bit in range(bits_for(37))] for token in range(37)])
    solved = np.linalg.lstsq(signs, of.double().numpy(), rcond=None)[0]
    encoded = encode("binary-codes", {}, of)
    assert np.allclose(encoded.tensor("projection").float().numpy(), solved, atol=1e-3)
    assert collisions(schemes.get("binary-codes"), encoded) == 0


# Files


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("product", {"groups": 6, "codes": 16, "bits": 5}),
        ("bands", {"bands": "8x32,2"}),
        ("tiers", {"tiers": "16x8,6x32,4"}),
        ("vq-logits-bias", {"codes": 9}),
        ("hashed", {"entries": 30}),
    ],
)
def test_tables_come_back_from_a_file_with_neither_options_nor_counts(name: str, options: Options) -> None:
    of, recipe = matrix(), load_recipe("int8-zlib")
    encoded = encode(name, options, of)
    export = quantise({"tok_emb.weight": of}, recipe).with_encoded("tok_emb.weight", encoded, "float32")
    back = read_back(artifact_bytes(export, recipe), "packed").state
    assert torch.equal(back["tok_emb.weight"], schemes.get(name).decode(encoded))


@pytest.mark.slow
def test_a_product_code_smaller_raw_is_larger_in_the_file(corpus: Path) -> None:
    """Few levels of an int8 head are in use, which its codec sees; codes of a codebook look like noise."""
    (path,) = (corpus / "int8_zlib_4mb").glob("*.ptz")
    export = read_export(open_artifact(path))
    values = export.quantized["tok_emb.weight"]
    head = decode(export)["tok_emb.weight"].float()
    encoded = encode("product", {"groups": 128, "codes": 256}, head, Context())
    raw = b"".join(table.tensor.numpy().tobytes() for table in encoded.tables)
    assert (values.numel(), encoded.raw_bytes) == (524_288, 393_216)
    plain, coded = len(zlib.compress(values.numpy().tobytes(), 9)), len(zlib.compress(raw, 9))
    assert plain == pytest.approx(161_800, rel=0.02)
    assert coded > 1.1 * plain
    # The codes themselves do not compress: all that the codec saves is in the codebook.
    packed = encoded.tensor("map").numpy().tobytes()
    assert len(zlib.compress(packed, 9)) > 0.97 * len(packed)


# Numbers that fp16 cannot hold


HEADS: dict[str, Options] = {
    "class-steps": {"bits": 8, "columns": "stepped"},
    "tiers": {"tiers": "16x3,4"},
    "lqer": {"bits": 3, "rank": 2},
    "factorised": {"rank": 3, "bits": 16},
    "bands": {"bands": "4x5,2"},
    "vq-logits": {"codes": 5},
    "vq-logits-int": {"codes": 5},
    "vq-logits-bias": {"codes": 5},
    "vq-logits-explicit": {"codes": 5, "explicit": 3},
    "vq-logits-residual": {"codes": 5, "rank": 2},
    "product": {"groups": 3, "codes": 4},
    "residual": {"stages": 2, "codes": 4},
    "grouped": {"groups": 4},
    "hashed": {"entries": 20},
    "binary-codes": {},
}


@pytest.mark.parametrize("name", HEADS)
@pytest.mark.parametrize("size", [1e-40, 1e-30, 1e30, 1e38])
def test_numbers_beyond_fp16_are_clamped_to_it_and_stay_numbers(name: str, size: float) -> None:
    of = matrix(20, 8).clamp(-3, 3) * size
    decoded = schemes.get(name).decode(encode(name, HEADS[name], of))
    assert bool(torch.isfinite(decoded).all())
    if size < 1:
        assert float(decoded.abs().max()) < 1e-4
