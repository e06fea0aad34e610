"""Losses by `--model hf` against transformers' own, the text's bytes against the text, and what is refused."""

from __future__ import annotations

import json
import math
import shutil
import sys
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from support.command_line import run_here
from support.hub_models import MODELS, POSITIONS, VOCABULARY, folder_of, gguf_of, llama_names, tokenizer_of
from torch.nn import functional as F  # noqa: N812  (its usual name)

from golfbudget.errors import ModelError, UsageError
from golfbudget.hashing import bytes_hash
from golfbudget.plan.plan_json import plan_json
from golfbudget.plan.prepare import Prepared, prepare
from golfbudget.plan.request import PlanRequest
from golfbudget.plan.rewrite import write_candidate
from golfbudget.plan.run import make_plan, plan_of
from golfbudget.quality.hub_evaluate import HubEvaluator
from golfbudget.quality.hub_text import _SHORTEST, token_lengths
from golfbudget.quality.text import Text
from golfbudget.recipe.decoded import read_back

transformers = pytest.importorskip("transformers", reason="needs golfbudget[hf]: transformers")

TEXT = "Où sont les octets ? In the head, or in the trunk; 💡 every one is owned once.\n" * 60


def written(folder: Path) -> Path:
    """A text and the tokenizer for it, in a model's folder."""
    tokenizer_of(folder / "tokenizer.json")
    path = folder / "text.txt"
    path.write_text(TEXT, encoding="utf-8")
    return path


def opened(path: Path, **more: object) -> Prepared:
    folder = path if path.is_dir() else path.parent
    choices: dict[str, Any] = {"path": path, "cap": 16_000_000, "model": "hf", "tokens": written(folder), **more}
    return prepare(PlanRequest(**choices))


def evaluator(prepared: Prepared) -> HubEvaluator:
    assert isinstance(prepared.evaluator, HubEvaluator)
    return prepared.evaluator


def bits_per_byte(prepared: Prepared, model: Any) -> float:  # noqa: ANN401
    """By transformers' own forward pass and loss, in the windows that we cut."""
    text, nats = evaluator(prepared).text, 0.0
    with torch.no_grad():
        for number, window in enumerate(text.windows):
            inputs = {"input_ids": window[None, :-1]}
            if model.config.is_encoder_decoder:
                before = text.windows[number - 1 : number, :-1] if number else torch.tensor([[1]])
                inputs = {"input_ids": before, "decoder_input_ids": window[None, :-1]}
                nats += float(model(**inputs, labels=window[None, 1:]).loss) * text.window
            else:
                # The library shifts labels by one itself, so the last of them stands for nothing.
                nats += float(F.cross_entropy(model(**inputs).logits[0], window[1:], reduction="sum"))
    return nats / math.log(2) / text.bytes


def theirs(folder: Path, kind: str) -> Any:  # noqa: ANN401
    auto = transformers.AutoModelForSeq2SeqLM if kind == "t5" else transformers.AutoModelForCausalLM
    return auto.from_pretrained(folder, dtype=torch.float32).eval()


@pytest.mark.parametrize("kind", MODELS)
def test_bits_per_byte_are_transformers_own(tmp_path: Path, kind: str) -> None:
    folder = folder_of(kind, tmp_path / kind)
    prepared = opened(folder)
    found = evaluator(prepared)
    losses = found.losses(prepared.source.reference)
    assert found.bits_per_byte(losses) == pytest.approx(bits_per_byte(prepared, theirs(folder, kind)), abs=1e-4)
    assert found.model.split
    assert found.text.window == (POSITIONS if kind != "t5" else _SHORTEST)


def test_the_librarys_loss_with_labels_is_that_of_windows_without_their_last_token(tmp_path: Path) -> None:
    """Windows of one less than the positions leave room for the label that is shifted away."""
    folder = folder_of("llama", tmp_path / "llama")
    prepared = opened(folder)
    found, model = evaluator(prepared), theirs(folder, "llama")
    window = found.text.windows[:4]
    with torch.no_grad():
        loss = float(model(input_ids=window, labels=window).loss)
    assert found.token_losses(prepared.source.reference)[:4].mean() == pytest.approx(loss, abs=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("kind", MODELS)
def test_a_plan_measures_what_the_written_files_lose_in_transformers(tmp_path: Path, kind: str) -> None:
    """Files are read back, put into transformers' own model, and run there."""
    folder = folder_of(kind, tmp_path / kind)
    prepared = opened(folder, schemes=("scalar",))
    plan = plan_of(prepared)
    assert plan.evaluation is not None
    assert plan.evaluation.baseline_perplexity == pytest.approx(
        2 ** (plan.evaluation.baseline_bits_per_byte * plan.evaluation.text_bytes / plan.evaluation.tokens), rel=1e-4
    )
    at = tmp_path / "plan.json"
    at.write_text(json.dumps(plan_json(plan)))
    model = theirs(folder, kind)
    for name in ("trunk-int4", "head-int4"):
        trial = plan.trial(name)
        assert trial is not None
        assert trial.quality.delta is not None
        assert trial.quality.agreement is not None
        assert 0 <= trial.quality.agreement <= 1
        model.load_state_dict(dict(read_back(write_candidate(at, name), name).state), strict=False)
        lost = bits_per_byte(prepared, model) - plan.evaluation.baseline_bits_per_byte
        assert trial.quality.delta == pytest.approx(lost, abs=1e-4)


def test_only_the_head_changed_and_no_second_pass_is_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = folder_of("llama", tmp_path / "llama")
    prepared = opened(folder)
    found, source = evaluator(prepared), prepared.source
    runs: list[int] = []
    own = found.model.hidden

    def counted(ids: torch.Tensor, before: torch.Tensor | None) -> torch.Tensor:
        runs.append(len(ids))
        return own(ids, before)

    monkeypatch.setattr(found.model, "hidden", counted)
    before = found.losses(source.reference, keep=True)
    passes = len(runs)
    states = [{**source.reference, source.head: source.reference[source.head] * scale} for scale in (0.5, 2.0)]
    losses = [found.losses(state) for state in states]
    found.divergences(source.reference, states[0], windows=2)
    assert len(runs) == passes
    assert not np.array_equal(losses[0], losses[1])
    changed = next(name for name in source.trunk if name != source.head)
    after = found.losses({**source.reference, changed: source.reference[changed] * 2})
    assert len(runs) == 2 * passes - 1 or len(runs) == 2 * passes
    assert not np.array_equal(before, after)


def test_states_that_take_turns_keep_their_own_weights(tmp_path: Path) -> None:
    """One skeleton serves both sides of a divergence."""
    prepared = opened(folder_of("gpt2", tmp_path / "gpt2"))
    found, source = evaluator(prepared), prepared.source
    other = {name: tensor * 1.5 for name, tensor in source.reference.items()}
    apart, agreed = found.departures(source.reference, other, windows=3)
    assert apart.min() >= 0
    assert apart.mean() > 0.01
    assert 0 < agreed.mean() < 1
    same, all_agree = found.departures(other, other, windows=3)
    assert same.max() < 1e-9
    assert all_agree.min() == 1
    # An architecture whose logits are more than a product is run whole, and loses the same.
    losses = found.losses(other)
    found.model.split = False
    assert found.losses(other) == pytest.approx(losses, abs=1e-4)
    assert found.departures(source.reference, other, windows=3)[0] == pytest.approx(apart, abs=1e-5)


def test_measured_and_compared_in_one_pass_is_as_in_two(tmp_path: Path) -> None:
    prepared = opened(folder_of("gpt2", tmp_path / "gpt2"))
    found, source = evaluator(prepared), prepared.source
    other = {name: tensor * 1.5 for name, tensor in source.reference.items()}
    nats, apart, agreed = found.measured(source.reference, other, bias=None, windows=3)
    assert np.array_equal(nats, found.token_losses(other))
    expected = found.departures(source.reference, other, windows=3)
    assert np.array_equal(apart, expected[0])
    assert np.array_equal(agreed, expected[1])


@pytest.mark.slow
def test_other_processes_measure_the_same_and_keep_it(tmp_path: Path) -> None:
    folder = folder_of("llama", tmp_path / "llama")
    one, two = (
        plan_of(opened(folder, schemes=("factorised",), jobs=jobs, cache=cache))
        for jobs, cache in ((1, None), (2, tmp_path / "cache"))
    )
    assert plan_json(one) == plan_json(two)
    # Another configuration is another model, whatever the tensors.
    prepared = opened(folder, schemes=("factorised",))
    key = evaluator(prepared).key
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "rms_norm_eps": 0.1}))
    assert evaluator(opened(folder)).key != key


def test_a_gguf_file_runs_as_the_model_that_it_was_made_of(tmp_path: Path) -> None:
    """Its names, and rows of queries and keys in another order, are those of the folder's tensors."""
    folder = folder_of("llama", tmp_path / "llama")
    made = opened(folder)
    state = made.source.reference
    path = tmp_path / "made" / "m.gguf"
    path.parent.mkdir()
    gguf_of(path, "F32", tied=False, width=32, feed=64, values=llama_names(state))
    prepared = opened(path)
    ours, expected = evaluator(prepared), evaluator(made)
    assert isinstance(ours.model.config.config, transformers.LlamaConfig)
    found = ours.losses(prepared.source.reference)
    assert found == pytest.approx(expected.losses(state), rel=1e-4)
    # The same by the folder's configuration.
    elsewhere = opened(path, model=f"hf:{folder}")
    assert evaluator(elsewhere).losses(elsewhere.source.reference) == pytest.approx(found, rel=1e-4)


@pytest.mark.parametrize("kind", ["Q8_0"])
def test_a_gguf_file_is_planned_with_measured_losses(tmp_path: Path, kind: str) -> None:
    path = gguf_of(tmp_path / "m.gguf", kind)
    written(tmp_path)
    plan = make_plan(
        PlanRequest(
            path=path, cap=16_000_000, model="hf", tokens=tmp_path / "text.txt", schemes=("ggml",), token_limit=2000
        )
    )
    assert plan.evaluation is not None
    assert plan.evaluation.tokens <= 2000
    trial = plan.trial("trunk-ggml-q4_0")
    assert trial is not None
    assert trial.quality.delta is not None
    assert gguf.GGUFReader(path).tensors


# The text's bytes.


@given(st.text(min_size=1, max_size=40), st.data())
def test_every_byte_is_counted_once_whatever_the_tokens_span(text: str, data: st.DataObject) -> None:
    places = st.integers(0, len(text))
    spans = sorted(tuple(sorted(data.draw(st.tuples(places, places)))) for _ in range(data.draw(st.integers(1, 8))))
    offsets = [(int(start), int(stop)) for start, stop in spans]
    lengths = token_lengths(text, offsets)
    assert lengths.min() >= 0
    assert lengths.sum() == len(text[: max(stop for _, stop in offsets)].encode())


def test_windows_are_as_long_as_the_model_and_the_text_allow(tmp_path: Path) -> None:
    text = evaluator(opened(folder_of("llama", tmp_path / "llama"))).text
    # A byte-level tokenizer without merges: each byte is a token, a character's first token has all of its bytes.
    ids = len(TEXT.encode())
    assert text.window == POSITIONS
    assert len(text.windows) == (ids - 1) // POSITIONS
    assert abs(text.bytes - text.tokens) <= 4
    assert int(text.counts.sum()) == ids


# What is refused: in one line that names the file, what was found and what to do.


def refused(*arguments: object) -> str:
    result = run_here("plan", *arguments, "--no-cache", "--quiet")
    assert result.returncode == 2, result.stderr
    lines = result.stderr.strip().splitlines()
    assert len(lines) == 1, result.stderr
    return lines[0]


def rewritten(folder: Path, **changes: object) -> None:
    path = folder / "config.json"
    told = json.loads(path.read_text())
    path.write_text(json.dumps({key: value for key, value in (told | changes).items() if value is not None}))


def test_what_cannot_be_run_is_refused_in_one_line(tmp_path: Path) -> None:
    folder = folder_of("llama", tmp_path / "llama")
    text = written(folder)
    arguments = (folder, "--model", "hf", "--tokens", text)
    original = (folder / "config.json").read_text()

    rewritten(folder, model_type="unheard-of")
    line = refused(*arguments)
    assert "config.json: model_type 'unheard-of' is no architecture of transformers" in line

    rewritten(folder, auto_map={"AutoConfig": "config.Own", "AutoModelForCausalLM": "model.Own"})
    (folder / "config.py").write_text("raise SystemExit('run')\n")
    line = refused(*arguments)
    assert "is defined by code in the folder (config.Own, model.Own)" in line
    assert "--trust-remote-code" in line

    (folder / "config.json").write_text(original)
    rewritten(folder, architectures=["UnheardOfForCausalLM"])
    assert "architecture 'UnheardOfForCausalLM' is no architecture of transformers" in refused(*arguments)

    (folder / "config.json").write_text(original)
    rewritten(folder, num_hidden_layers=3)
    line = refused(*arguments)
    assert "LlamaForCausalLM does not take these tensors: model.layers.2." in line
    assert "hf:FOLDER" in line

    rewritten(folder, num_hidden_layers=2, intermediate_size=48)
    assert "[64, 32], expected [48, 32]" in refused(*arguments)

    for wrong in ({"num_attention_heads": 0}, {"hidden_size": 33}, {"num_key_value_heads": "2"}):
        (folder / "config.json").write_text(original)
        rewritten(folder, **wrong)
        assert "config.json: transformers does not take it: " in refused(*arguments)

    (folder / "config.json").unlink()
    assert "config.json: there is no such file" in refused(*arguments)


def test_what_cannot_be_read_as_text_is_refused_in_one_line(tmp_path: Path) -> None:
    folder = folder_of("llama", tmp_path / "llama")
    text = written(folder)
    arguments = (folder, "--model", "hf", "--tokens", text)

    tokenizer_of(folder / "tokenizer.json", more=40)
    line = refused(*arguments)
    assert f"tokenizer.json: the tokenizer has {VOCABULARY + 40} tokens and the model's head {VOCABULARY} rows" in line

    (folder / "tokenizer.json").write_text("{}")
    assert "tokenizer.json: expected a tokenizer.json of the tokenizers library" in refused(*arguments)

    (folder / "tokenizer.json").unlink()
    assert "give the model's: --tokenizer tokenizer.json" in refused(*arguments)

    tokenizer_of(folder / "tokenizer.json")
    text.write_bytes(b"\xff\xfe")
    assert "expected UTF-8 text" in refused(*arguments)
    text.write_text("too short")
    assert "9 tokens are too few for two windows of 64" in refused(*arguments)


@pytest.mark.parametrize("missing", ["transformers", "tokenizers"])
def test_a_missing_library_is_one_line_with_what_to_type(
    tmp_path: Path, missing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = folder_of("gpt2", tmp_path / "gpt2")
    text = written(folder)
    monkeypatch.setitem(sys.modules, missing, None)
    line = refused(folder, "--model", "hf", "--tokens", text)
    assert f"this needs {missing}, which is not installed; type: pip install 'golfbudget[hf]'" in line


def test_windows_longer_than_the_model_are_refused(tmp_path: Path) -> None:
    folder = folder_of("gpt2", tmp_path / "gpt2")
    tokens = torch.arange(1000) % VOCABULARY
    save_file({"tokens": tokens, "token_bytes": torch.ones(VOCABULARY, dtype=torch.int64)}, tmp_path / "t.safetensors")
    with pytest.raises(UsageError, match="windows of 256 tokens and the model 64 positions"):
        prepare(PlanRequest(path=folder, cap=1, model="hf", tokens=tmp_path / "t.safetensors"))


def test_tensors_that_hold_no_numbers_end_in_a_sentence(tmp_path: Path) -> None:
    folder = folder_of("gpt2", tmp_path / "gpt2")
    state = load_file(folder / "model.safetensors")
    state["transformer.ln_f.bias"][3] = torch.nan
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    prepared = opened(folder)
    with pytest.raises(ModelError, match="not finite"):
        evaluator(prepared).losses(prepared.source.reference)


def test_a_folder_without_its_configuration_is_run_by_another(tmp_path: Path) -> None:
    folder = folder_of("gpt2", tmp_path / "gpt2")
    alone = tmp_path / "alone"
    alone.mkdir()
    shutil.copy(folder / "model.safetensors", alone)
    prepared = opened(alone, model=f"hf:{folder}", tokenizer=written(folder).parent / "tokenizer.json")
    own = opened(folder)
    assert np.array_equal(
        evaluator(prepared).losses(prepared.source.reference), evaluator(own).losses(own.source.reference)
    )


@pytest.mark.slow
def test_counts_of_a_text_too_short_for_the_vocabulary_fit_nothing(tmp_path: Path) -> None:
    """Fitted to its own counts a codebook is fine just where that text has tokens, which no other text rewards."""
    folder = folder_of("llama", tmp_path / "llama")
    short, long = (opened(folder, schemes=("vq-logits-bias", "vq-logits"), token_limit=n) for n in (320, None))
    assert short.encoders.counts is None
    assert long.encoders.counts is not None
    plan = plan_of(short)
    assert any("its counts would say which tokens it has" in note for note in plan.notes)
    assert not [trial for trial in plan.trials if trial.candidate.scheme == "vq-logits-bias"]
    at = tmp_path / "plan.json"
    at.write_text(json.dumps(plan_json(plan)))
    trial = next(trial for trial in plan.trials if trial.candidate.scheme == "vq-logits")
    assert len(write_candidate(at, trial.name)) == trial.artifact_bytes


@pytest.mark.slow
def test_only_the_text_that_chooses_is_counted_and_files_are_written_again_so(tmp_path: Path) -> None:
    """Counts of all of the text would fit what is measured on it to it."""
    prepared = opened(folder_of("llama", tmp_path / "llama"), schemes=("vq-logits-bias",))
    text, counts = prepared.evaluator.text if prepared.evaluator else None, prepared.encoders.counts
    assert text is not None
    assert counts is not None
    assert (
        counts.tolist() == np.bincount(ids_of(text)[: prepared.inputs.counted_tokens], minlength=len(counts)).tolist()
    )
    assert 8 * counts.sum() < text.tokens
    plan = plan_of(prepared)
    assert any("token counts are those of the first" in note for note in plan.notes)
    at = tmp_path / "plan.json"
    at.write_text(json.dumps(plan_json(plan)))
    trial = next(iter(plan.trials.head))
    assert bytes_hash(write_candidate(at, trial.name)) == trial.sha256


def ids_of(text: Text) -> list[int]:
    """The tokens of a text, whose windows overlap by one."""
    return [int(text.windows[0, 0]), *text.windows[:, 1:].flatten().tolist()]
