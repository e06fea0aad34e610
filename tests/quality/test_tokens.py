"""Token files of every form, and bytes per token by the contest's definition."""

from __future__ import annotations

import builtins
import math
import struct
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from golfbudget import example
from golfbudget.errors import UsageError
from golfbudget.quality.text import (
    check_counts,
    count_tokens,
    load_text,
    open_text,
    predicted_counts,
    read_tokens,
    text_of,
)
from golfbudget.quality.tokenizers import TokenBytes, open_tokenizer, token_bytes

TOKENIZER = example.FOLDER / "tokenizer.model"
#: (piece, kind) of a vocabulary with one of everything.
PIECES = (
    ("<unk>", "unknown"),
    ("<s>", "control"),
    ("<0xE2>", "byte"),
    ("▁", "normal"),
    ("▁the", "normal"),
    ("é", "normal"),
    ("▁▁", "normal"),
    ("<x>", "unused"),
    ("s", "normal"),
)


class Pieces:
    """A vocabulary as SentencePiece presents one."""

    def vocab_size(self) -> int:
        return len(PIECES)

    def id_to_piece(self, token: int, /) -> str:
        return PIECES[token][0]

    def is_control(self, token: int, /) -> bool:
        return PIECES[token][1] == "control"

    def is_unknown(self, token: int, /) -> bool:
        return PIECES[token][1] == "unknown"

    def is_unused(self, token: int, /) -> bool:
        return PIECES[token][1] == "unused"

    def is_byte(self, token: int, /) -> bool:
        return PIECES[token][1] == "byte"

    def encode(self, text: str, /) -> list[int]:
        raise NotImplementedError


def shard(tokens: Sequence[int], *, magic: int = 20240520, version: int = 1, count: int | None = None) -> bytes:
    header = struct.pack("<3i", magic, version, len(tokens) if count is None else count)
    return header.ljust(1024, b"\0") + struct.pack(f"<{len(tokens)}H", *tokens)


def written(folder: Path, data: bytes, name: str = "tokens.bin") -> Path:
    path = folder / name
    path.write_bytes(data)
    return path


def saved(folder: Path, ids: object, dtype: str) -> Path:
    path = folder / "ids.npy"
    np.save(path, np.array(ids, dtype=dtype))
    return path


def test_bytes_per_piece_by_the_contests_definition() -> None:
    found = token_bytes(Pieces())
    #                           unk    <s>   byte   ▁      ▁the   é      ▁▁     unused s
    assert found.own.tolist() == [0, 0, 1, 0, 3, 2, 3, 0, 1]
    assert found.space.tolist() == [False, False, False, True, True, False, True, False, False]
    assert found.boundary.tolist() == [True, True, False, False, False, False, False, True, False]


@pytest.mark.parametrize(
    ("ids", "expected"),
    [
        ([8, 4], 4),  # s| the: a space and three letters
        ([1, 4], 3),  # at the start of a document the space is not counted
        ([0, 4], 3),
        ([7, 3], 0),
        ([2, 3], 1),  # after a byte it is
        ([1, 4, 8, 4, 5, 1, 4], 3 + 1 + 4 + 2 + 0 + 3),
        ([4], 0),
    ],
)
def test_bytes_of_a_sequence_follow_the_token_before(ids: list[int], expected: int) -> None:
    assert token_bytes(Pieces()).of_sequence(np.array(ids)) == expected


def test_rows_beyond_the_tokenizer_are_boundaries_and_too_few_rows_are_refused() -> None:
    found = token_bytes(Pieces(), 11)
    assert found.vocabulary == 11
    assert found.own[9:].tolist() == [0, 0]
    assert found.boundary[9:].all()
    with pytest.raises(UsageError, match="9 pieces and the model a vocabulary of 8"):
        token_bytes(Pieces(), 8)


@pytest.mark.slow
@given(st.text(st.characters(codec="utf-8", exclude_characters=" \u2581", exclude_categories=["Cs", "Cc"]), min_size=1))
def test_bytes_of_words_are_the_bytes_of_the_text(words: str) -> None:
    """Through the real library: single spaces between words, whatever the words are made of."""
    pytest.importorskip("sentencepiece")
    processor = open_tokenizer(TOKENIZER)
    text = " ".join(words)
    ids = np.array(processor.encode(text))
    lengths = token_bytes(processor)
    # The first token is not predicted; what it stands for is the part of the text that the rest leaves.
    first = int(lengths.own[ids[0]] + lengths.space[ids[0]])
    assert first + lengths.of_sequence(ids) == len(text.encode())


@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint16", "int32", ">i4", "int64", "uint64"])
def test_an_array_of_any_integer_type_is_read(tmp_path: Path, dtype: str) -> None:
    path = saved(tmp_path, [5, 0, 127, 3], dtype)
    assert read_tokens(path).tolist() == [5, 0, 127, 3]
    assert read_tokens(path, limit=2).tolist() == [5, 0]
    assert count_tokens(read_tokens(path), 128, "ids")[[0, 3, 5, 6, 127]].tolist() == [1, 1, 1, 0, 1]


def test_a_shard_is_read_whatever_its_name(tmp_path: Path) -> None:
    tokens = [0, 1, 65535, 256, 7]
    for name in ("fineweb_val_000000.bin", "val"):
        path = written(tmp_path, shard(tokens), name)
        found = read_tokens(path)
        assert found.tolist() == tokens
        assert found.dtype == np.uint16
        assert read_tokens(path, limit=3).tolist() == tokens[:3]
        assert read_tokens(path, limit=9).tolist() == tokens


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (shard([1, 2, 3])[:-1], "truncated: 3 tokens make 1,030 bytes, the file has 1,029"),
        (shard([1, 2, 3]) + b"\0\0", "longer than its header says: 3 tokens make 1,030 bytes, the file has 1,032"),
        (shard([1])[:1000], "header of 1,024 bytes, the file has 1,000"),
        (shard([1], magic=20240801), "expected a shard of magic 20240520 and version 1, found 20240801 and 1"),
        (shard([1], version=7), "found 20240520 and 7"),
        (shard([], count=-1), "-1 tokens make 1,022 bytes"),
        (b"", "the file has 0"),
    ],
)
def test_shards_that_are_not_whole_are_refused(tmp_path: Path, data: bytes, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        read_tokens(written(tmp_path, data))


def test_arrays_that_are_no_tokens_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"integer token ids \[n\], found float64 \[2\]"):
        read_tokens(saved(tmp_path, [1.0, 2.0], "float64"))
    with pytest.raises(UsageError, match=r"found int64 \[1, 2\]"):
        read_tokens(saved(tmp_path, [[1, 2]], "int64"))
    whole = saved(tmp_path, range(100), "int64").read_bytes()
    for cut in (7, 60, len(whole) - 4):
        with pytest.raises(UsageError, match="cannot be read"):
            read_tokens(written(tmp_path, whole[:cut], "cut.npy"))
    for header in ("{" * 9, "({", "{'descr': '<i8', 'fortran_order': False, 'shape': (1" + "0" * 30 + ",)}"):
        data = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode()
        with pytest.raises(UsageError, match="cannot be read"):
            read_tokens(written(tmp_path, data, "header.npy"))
    np.save(tmp_path / "objects.npy", np.array([{}, None], dtype=object), allow_pickle=True)
    with pytest.raises(UsageError, match="cannot be read"):
        read_tokens(tmp_path / "objects.npy")
    with pytest.raises(UsageError, match="begins with"):
        read_tokens(written(tmp_path, b"some text", "text.npy"))
    with pytest.raises(UsageError, match="No such file"):
        read_tokens(tmp_path / "absent.npy")


def test_a_tokenizer_whose_pieces_are_no_text_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("sentencepiece")
    whole = TOKENIZER.read_bytes()
    piece = whole.index("\u2581the".encode())
    with pytest.raises(UsageError, match=r"expected a SentencePiece \.model, which this file is not"):
        open_tokenizer(written(tmp_path, whole[:piece] + b"\xff" + whole[piece + 1 :], "broken.model"))


def test_text_is_cut_by_its_tokenizer(tmp_path: Path) -> None:
    pytest.importorskip("sentencepiece")
    text = "One fish, two fish.\nRed fish – blue fish.\n"
    path = written(tmp_path, text.encode(), "text.txt")
    ids = read_tokens(path, tokenizer=TOKENIZER)
    assert ids.tolist() == open_tokenizer(TOKENIZER).encode(text)
    with pytest.raises(UsageError, match=r"give the SentencePiece \.model"):
        read_tokens(path)
    with pytest.raises(UsageError, match="byte 3 is not UTF-8"):
        read_tokens(written(tmp_path, b"abc\xff", "latin.txt"), tokenizer=TOKENIZER)


def test_a_text_in_windows_has_the_bytes_of_its_predicted_tokens(tmp_path: Path) -> None:
    pytest.importorskip("sentencepiece")
    ids = load_text(example.EVALUATION).windows[:8, :-1].flatten().numpy().astype(np.uint16)
    lengths = token_bytes(open_tokenizer(TOKENIZER))
    for path in (written(tmp_path, shard(ids.tolist())), saved(tmp_path, ids, "uint16")):
        text = open_text(path, vocabulary=1024, tokenizer=TOKENIZER, window=100)
        count = (len(ids) - 1) // 100
        assert text.windows.shape == (count, 101)
        for row, (window, size) in enumerate(zip(text.windows, text.bytes_per_window, strict=True)):
            assert window.tolist() == ids[100 * row : 100 * row + 101].tolist()
            assert int(size) == lengths.of_sequence(window.numpy())
        counted = predicted_counts(text, 1024)
        assert counted.tolist() == np.bincount(ids[1 : 100 * count + 1], minlength=1024).tolist()
        assert int(text.counts.sum()) == 100 * count + 1
    short = open_text(path, vocabulary=1024, tokenizer=TOKENIZER, window=100, limit=350)
    assert short.tokens == 300


def test_the_example_as_safetensors_is_read_as_before() -> None:
    text, same = open_text(example.EVALUATION, vocabulary=1024), load_text(example.EVALUATION)
    assert (text.tokens, text.bytes) == (same.tokens, same.bytes)


@pytest.mark.parametrize("bad", [-1, 9, 2**40])
def test_tokens_outside_the_vocabulary_are_refused(bad: int) -> None:
    ids = np.array([1, 2, bad, bad, 3])
    with pytest.raises(UsageError, match=rf"mine: token {bad} at position 2 is outside.*expected 0 to 8"):
        count_tokens(ids, 9, "mine")
    with pytest.raises(UsageError, match=rf"token {bad} at position 2"):
        text_of(ids, token_bytes(Pieces()), window=1, where="mine")


def test_text_that_cannot_be_measured_is_refused(tmp_path: Path) -> None:
    lengths = token_bytes(Pieces())
    with pytest.raises(UsageError, match="4 tokens are too few for two windows of 2"):
        text_of(np.array([1, 2, 3, 4]), lengths, window=2, where="mine")
    with pytest.raises(UsageError, match="found 0"):
        text_of(np.array([1, 2, 3, 4]), lengths, window=0, where="mine")
    with pytest.raises(UsageError, match="no text at all"):
        text_of(np.array([1, 1, 1, 1, 1]), lengths, window=2, where="mine")
    with pytest.raises(UsageError, match=r"give the SentencePiece \.model"):
        open_text(written(tmp_path, shard([1, 2])), vocabulary=9)


def test_counts_must_fit_the_head() -> None:
    check_counts(np.array([0, 3, 2]), 3, "counts")
    with pytest.raises(UsageError, match=r"integer token counts \[4\].*found int64 \[3\]"):
        check_counts(np.array([0, 3, 2]), 4, "counts")
    with pytest.raises(UsageError, match="found float64"):
        check_counts(np.array([0.5]), 1, "counts")
    with pytest.raises(UsageError, match="token 1 has a count below zero"):
        check_counts(np.array([0, -3]), 2, "counts")


def test_a_tokenizer_that_is_none_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("sentencepiece")
    for data in (b"", b"not a model at all", TOKENIZER.read_bytes()[:1000]):
        with pytest.raises(UsageError, match=r"expected a SentencePiece \.model"):
            open_tokenizer(written(tmp_path, data, "t.model"))
    with pytest.raises(UsageError, match="No such file"):
        open_tokenizer(tmp_path / "absent.model")


def test_without_the_library_the_user_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *rest: object, **named: object) -> object:
        if name.startswith("sentencepiece"):
            raise ImportError(name)
        return real(name, *rest, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(UsageError, match="pip install sentencepiece"):
        open_tokenizer(TOKENIZER)


def test_bits_per_byte_from_bytes_per_token() -> None:
    """Uniform guessing over a vocabulary costs log2 V bits a token, whatever the text."""
    lengths = TokenBytes(own=np.full(8, 2), space=np.zeros(8, np.bool_), boundary=np.zeros(8, np.bool_))
    text = text_of(np.arange(9) % 8, lengths, window=4, where="mine")
    assert text.tokens * math.log2(8) / text.bytes == 1.5
