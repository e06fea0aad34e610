"""Train the embedded example from scratch and write its float checkpoint, tokenizer and evaluation data.

Run it as `python -m golfbudget.example.train --out DIR --steps 2400`.  The text is the Python standard library's
own sources as installed with the running interpreter; whole files, chosen by a hash of their path, are held
out.  This script does not write the int8 artifact: `golfbudget.example.build` does, through the recipe.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import math
import platform
import sysconfig
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch.nn import functional as F  # noqa: N812  (its usual name)

from golfbudget.quality.baseline_model import INITIAL_Q_GAIN, BaselineModel, Shape, logits

SHAPE = Shape(vocab=1024, width=160, blocks=5, heads=4, kv_heads=2, hidden=320)
WINDOW = 256
BATCH = 32
EVAL_WINDOWS = 400
WARMUP_STEPS = 20
#: Folders that hold tables, generated text or data rather than prose-like source.
LEFT_OUT = frozenset({"test", "tests", "site-packages", "encodings", "pydoc_data", "__pycache__", "idle_test"})
#: One file in this many is held out.
HELD_OUT_ONE_IN = 16

Tokens = NDArray[np.uint16]


def library_files() -> list[Path]:
    """Every source file of the standard library used here, in a stable order."""
    root = Path(sysconfig.get_paths()["stdlib"])
    return sorted(path for path in root.rglob("*.py") if not LEFT_OUT.intersection(path.relative_to(root).parts))


def is_held_out(path: Path) -> bool:
    """Decide by the path's hash, so that the split depends on neither order nor content."""
    name = path.relative_to(sysconfig.get_paths()["stdlib"]).as_posix()
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "big") % HELD_OUT_ONE_IN == 0


def read(paths: list[Path]) -> str:
    """The files' text, one after another; a file that is not UTF-8 is passed over."""
    parts = []
    for path in paths:
        try:
            parts.append(path.read_text(encoding="utf-8"))
        except UnicodeDecodeError:
            continue
    return "".join(parts)


def train_tokenizer(text: str, out: Path, vocabulary: int = SHAPE.vocab) -> None:
    """A SentencePiece BPE model with byte fallback whose pieces are exactly their own bytes."""
    import sentencepiece

    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(text.split("\n")),
        model_writer=model,
        model_type="bpe",
        vocab_size=vocabulary,
        byte_fallback=True,
        character_coverage=0.9999,
        normalization_rule_name="identity",
        add_dummy_prefix=False,
        remove_extra_whitespaces=False,
        allow_whitespace_only_pieces=True,
        split_digits=True,
        bos_id=-1,
        eos_id=-1,
        num_threads=1,
        minloglevel=2,
    )
    out.write_bytes(model.getvalue())


def encode(text: str, tokenizer: Path) -> tuple[Tokens, NDArray[np.uint8]]:
    """Token ids [n] of the text, and the UTF-8 bytes that each id stands for, [vocabulary]."""
    import sentencepiece

    processor = sentencepiece.SentencePieceProcessor(model_file=str(tokenizer))
    lengths = np.zeros(processor.get_piece_size(), dtype=np.uint8)
    for i in range(len(lengths)):
        if processor.is_byte(i):
            lengths[i] = 1
        elif not processor.is_control(i) and not processor.is_unknown(i):
            lengths[i] = len(processor.id_to_piece(i).replace("\u2581", " ").encode())
    ids: list[int] = []
    for line in text.splitlines(keepends=True):
        ids.extend(processor.encode(line))
    tokens = np.array(ids, dtype=np.uint16)
    if int(lengths[tokens].astype(np.int64).sum()) != len(text.encode()):
        raise SystemExit("the tokenizer does not give back the bytes of its text")
    return tokens, lengths


def batches(tokens: Tokens, generator: torch.Generator) -> torch.Tensor:
    """A batch [BATCH, WINDOW + 1] of windows of tokens [n], with one extra token each."""
    data = torch.from_numpy(tokens.astype(np.int64))
    starts = torch.randint(0, len(data) - WINDOW - 1, (BATCH,), generator=generator)
    return torch.stack([data[s : s + WINDOW + 1] for s in starts.tolist()])


def loss_of(model: BaselineModel, windows: torch.Tensor) -> torch.Tensor:
    """Mean nats per token, a scalar, over windows [n, WINDOW + 1]."""
    with torch.autocast("cpu", dtype=torch.bfloat16):
        hidden = model.hidden_states(windows[:, :-1])
        scores = logits(hidden, model.head)
    return F.cross_entropy(scores.float().flatten(0, 1), windows[:, 1:].flatten())


def initialise(model: BaselineModel) -> None:
    """Small embedding, orthogonal-scale matrices, and output projections that start at zero."""
    for name, parameter in model.named_parameters():
        if name == "tok_emb.weight":
            torch.nn.init.normal_(parameter, std=0.02)
        elif name.endswith("proj.weight"):
            torch.nn.init.zeros_(parameter)
        elif parameter.ndim == 2 and name.endswith(".weight"):
            torch.nn.init.normal_(parameter, std=1 / math.sqrt(parameter.shape[1]))
        elif name.endswith("q_gain"):
            torch.nn.init.constant_(parameter, INITIAL_Q_GAIN)


def train(tokens: Tokens, *, steps: int, seed: int) -> BaselineModel:
    """Muon on the trunk's matrices, Adam on everything else, and a learning rate that decays to zero; tokens [n]."""
    torch.manual_seed(seed)
    model = BaselineModel(SHAPE)
    initialise(model)
    matrices = [p for n, p in model.named_parameters() if n.startswith("blocks.") and n.endswith(".weight")]
    chosen = {id(p) for p in matrices}
    rest = [p for p in model.parameters() if id(p) not in chosen]
    optimizers: list[torch.optim.Optimizer] = [
        torch.optim.Muon(matrices, lr=0.02, weight_decay=0.0, momentum=0.95),
        torch.optim.Adam(rest, lr=6e-3, betas=(0.9, 0.95)),
    ]
    base = [group["lr"] for optimizer in optimizers for group in optimizer.param_groups]
    generator = torch.Generator().manual_seed(seed)
    for step in range(steps):
        factor = min(1.0, (step + 1) / WARMUP_STEPS, (steps - step) / (0.6 * steps))
        groups = [group for optimizer in optimizers for group in optimizer.param_groups]
        for group, lr in zip(groups, base, strict=True):
            group["lr"] = lr * factor
        loss = loss_of(model, batches(tokens, generator))
        loss.backward()
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad()
        if step % 50 == 0:
            print(f"step {step} of {steps}  loss {loss.item():.4f} nats/token", flush=True)
    return model.eval()


def main() -> None:
    """Command-line entry of the training script."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=2400)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)

    files = library_files()
    training_text = read([path for path in files if not is_held_out(path)])
    held_out_text = read([path for path in files if is_held_out(path)])
    tokenizer = options.out / "tokenizer.model"
    train_tokenizer(training_text, tokenizer)
    tokens, token_bytes = encode(training_text, tokenizer)
    held_out, _ = encode(held_out_text, tokenizer)
    held_out = held_out[: EVAL_WINDOWS * WINDOW + 1]
    print(f"{len(tokens)} training tokens, {len(held_out)} held out")

    model = train(tokens, steps=options.steps, seed=options.seed)
    with torch.no_grad():
        data = torch.from_numpy(held_out.astype(np.int64))
        windows = torch.stack([data[i : i + WINDOW + 1] for i in range(0, len(data) - WINDOW, WINDOW)])
        nats = sum(loss_of(model, part).item() * len(part) for part in windows.split(20)) * WINDOW
        bpb = nats / math.log(2) / int(token_bytes[held_out[1:]].astype(np.int64).sum())
    print(f"{options.steps} steps, {bpb:.4f} bits per byte held out")

    save_file({name: t.contiguous() for name, t in model.state_dict().items()}, options.out / "checkpoint.safetensors")
    save_file(
        {
            "tokens": torch.from_numpy(held_out),
            "token_bytes": torch.from_numpy(token_bytes),
            "counts": torch.from_numpy(np.bincount(held_out, minlength=SHAPE.vocab).astype(np.uint32)),
        },
        options.out / "evaluation.safetensors",
        metadata={"window": str(WINDOW)},
    )
    provenance = {
        "text": "Python standard library sources (PSF License Version 2)",
        "python": platform.python_version(),
        "torch": torch.__version__,
        "seed": options.seed,
        "steps": options.steps,
        "training_bytes": len(training_text.encode()),
        "training_tokens": len(tokens),
        "evaluation_tokens": len(held_out),
        "held_out": f"whole files, one in {HELD_OUT_ONE_IN} by SHA-256 of the path",
        "bits_per_byte_float": round(bpb, 4),
    }
    (options.out / "provenance.json").write_text(json.dumps(provenance, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
