# Everything a contributor runs. `make demo` and `make test` need Python 3.11, git and make, nothing else.
#
#   TORCH          which torch to install; the CPU build is the default
#   TORCH_BACKEND  cpu (default), or auto / cu128 / ... for a machine with GPUs
#   CHECKPOINT     where `make checkpoint` puts corpus and training run
#   PART           of `make checkpoint`: a rehearsal with one row and one step in so many, beside the package
#   ABLATIONS      where `make ablations` puts corpus, runs and figures
#   VENV           where the virtual environment goes

PYTHON        ?= python3.11
VENV          ?= .venv
TORCH_VERSION ?= 2.13.0
TORCH_BACKEND ?= cpu
TORCH         ?= torch==$(TORCH_VERSION)
DEMO_OUT      ?= demo-out
ABLATIONS     ?= ablations
CHECKPOINT    ?= checkpoint

BIN := $(VENV)/bin
PACKAGES := mue_model pipeline jobs cluster
CODE := $(PACKAGES) tests benchmarks demo

.DEFAULT_GOAL := help

.PHONY: help
help:  ## show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 14

# The CPU build first from wherever pip is configured to look; else uv, which knows where CPU builds are kept.
$(VENV)/torch.done:
	$(PYTHON) -m venv $(VENV)
	if [ "$(TORCH_BACKEND)" = cpu ] && $(BIN)/python -m pip install -q "$(TORCH)+cpu" 2>/dev/null; then :; else \
	  $(BIN)/python -m pip install -q uv && \
	  $(BIN)/uv pip install -q --python $(BIN)/python --torch-backend=$(TORCH_BACKEND) "$(TORCH)"; fi
	$(BIN)/python -c "import torch; print('torch', torch.__version__)"
	touch $@

$(VENV)/installed.done: $(VENV)/torch.done pyproject.toml
	$(BIN)/python -m pip freeze | grep '^torch==' > $(VENV)/constraints.txt
	$(BIN)/python -m pip install -q -c $(VENV)/constraints.txt -e '.[demo,dev]'
	touch $@

.PHONY: install
install: $(VENV)/installed.done  ## make the virtual environment

.PHONY: demo
demo: install  ## make input, caption it, print where rows and summary are
	PYTHON=$(BIN)/python MUE=$(BIN)/mue bash demo/run.sh $(DEMO_OUT)

.PHONY: test
test: check  ## checks and all default tests
	$(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadgroup --durations 20

.PHONY: check
check: install  ## format, lint, types, import directions, known weaknesses
	$(BIN)/ruff format --check $(CODE)
	$(BIN)/ruff check $(CODE)
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python .ci/audit.py

.PHONY: format
format: install  ## rewrite the code in the project's format
	$(BIN)/ruff format $(CODE)
	$(BIN)/ruff check --fix $(CODE)

.PHONY: mutants
mutants: install  ## apply deliberate mistakes to a copy; fails if the tests miss one
	$(BIN)/python tests/mutants/run.py

.PHONY: faults
faults: install  ## kill drivers, actors, readers and nodes of real jobs, 60 times at random (faults.jsonl); half an hour
	$(BIN)/python -m pytest -m slow tests/integration
	$(BIN)/python benchmarks/faults.py --log faults.jsonl

.PHONY: cluster
cluster: install  ## jobs on clusters of several nodes that lose nodes, head and all; minutes
	$(BIN)/python -m pytest -s -m "slow or not slow" tests/integration/cluster

.PHONY: audit
audit: install  ## known weaknesses of what is installed (OSV); says so where the database is out of reach
	$(BIN)/python .ci/audit.py

.PHONY: bench-scaling
bench-scaling: install  ## jobs with 1, 2 and 4 actors beside what `mue plan` says; ten minutes
	$(BIN)/python benchmarks/scaling.py

.PHONY: bench
bench: install  ## peak memory on a 2 GiB shard; minutes
	$(BIN)/python benchmarks/memory.py

.PHONY: checkpoint
checkpoint: install  ## draw the corpus, train the model that ships and put it into the package; four hours, resumable
	PYTHON=$(BIN)/python MUE=$(BIN)/mue bash demo/checkpoint.sh $(CHECKPOINT) $(PART)

.PHONY: ablations
ablations: install  ## the recipe without each of its parts, shallow models beside it, equal steps; two hours, resumable
	PYTHON=$(BIN)/python MUE=$(BIN)/mue bash benchmarks/ablations.sh $(ABLATIONS)

.PHONY: clean
clean:  ## remove the virtual environment and the demo's output
	rm -rf $(VENV) $(DEMO_OUT) faults.jsonl

.PHONY: bench-engine
bench-engine: install  ## what regrouping is worth in time; more than an hour, or two minutes with QUICK=--quick
	$(BIN)/python benchmarks/engine.py $(QUICK)

.PHONY: bench-ledger
bench-ledger: install  ## receipts and shards by the 100,000: seconds and memory; minutes
	$(BIN)/python benchmarks/ledger.py
