# Each target does everything on a fresh machine with Python 3.11 or later: make the environment, install, run.

PYTHON ?= python3
#: Test processes side by side, each on one thread.
JOBS ?= 2
#: A process that dies, as one whose test hangs, ends the run.
PROCESSES := --numprocesses $(JOBS) --max-worker-restart 0
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/installed

#: Byte code is written where a module is first used: compiling all of torch takes longer than installing it.
PIP := -m pip install --quiet --no-compile --constraint constraints.txt
unexport PYTHONDONTWRITEBYTECODE

#: Tests of what the plain install does, which take seconds: they run under the newest Python at hand, too.
QUICK := $(addprefix tests/,reading/test_ledger.py reading/test_unpickle.py reading/test_custom_layout.py \
	report/test_inspect.py project/test_configs.py \
	$(addprefix submission/test_,logs.py program.py submission.py findings.py weights_in_code.py check.py compare_totals.py))

.PHONY: demo test slow newest architectures records smollm study lint bench clean

demo: $(STAMP)
	$(BIN)/golfbudget demo --save build/example

test: $(STAMP)
	$(BIN)/python -m pytest $(PROCESSES) --dist loadfile --durations 25

slow: $(STAMP)
	$(BIN)/python -m pytest -m slow $(PROCESSES) --dist worksteal --durations 25

newest:
	@newest="$$(.ci/newest $(PYTHON))"; \
	if [ -z "$$newest" ]; then echo "no Python newer than $(PYTHON) is at hand"; exit; fi; \
	"$$newest" --version && "$$newest" -m venv --clear build/newest && \
	build/newest/bin/python $(PIP) \
		--editable . filelock hypothesis pytest && \
	PATH="$$PWD/build/newest/bin:$$PATH" build/newest/bin/python -m pytest --quiet $(QUICK)

architectures: $(STAMP)
	$(BIN)/python $(PIP) --editable '.[architectures]'
	$(BIN)/python -m pytest -m architectures tests/roles/test_architectures.py

records: $(STAMP)
	$(BIN)/python -m pytest -m record

smollm: $(STAMP)
	$(BIN)/python $(PIP) --editable '.[smollm]'
	$(BIN)/python tests/smollm.py

study: $(STAMP)
	$(BIN)/python -m golfbudget.study --out build/study --results docs/studies/results --page docs/studies/trained-heads.md

lint: $(STAMP)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

bench: $(STAMP)
	$(BIN)/python tests/bench.py --page docs/speed.md

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python $(PIP) --editable '.[dev]'
	touch $@

clean:
	rm -rf build dist $(VENV)
