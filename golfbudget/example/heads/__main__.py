"""Train the study's models: `python -m golfbudget.example.heads --out DIR`; what is trained already stays."""

from __future__ import annotations

from golfbudget.example.heads.options import parser
from golfbudget.example.heads.runs import chosen, train_all


def main() -> None:
    """Command-line entry."""
    options = parser("golfbudget.example.heads", __doc__).parse_args()
    wanted = chosen(options.only, options.seeds, smoke=options.smoke)

    def told(what: str, _steps: int) -> None:
        print(what, flush=True)

    for done in train_all(options.out, wanted, options.minutes, told):
        print(f"{done.run.name}: {done.facts['training_seconds']} seconds", flush=True)


if __name__ == "__main__":
    main()
