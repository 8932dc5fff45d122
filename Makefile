# Everything a newcomer needs: `make demo` and `make test`. Both set themselves up.
PYTHON ?= python3
CORES ?= 2
VENV := .venv
BIN := $(VENV)/bin
RUN := PATH="$(CURDIR)/$(BIN):$$PATH"

BENCH ?=
RESULTS ?= results/mini

.PHONY: demo plan efficiency bench bench-slurm test test-peers test-slurm lint format docs pretrain pretrain-phones clean help

help:  ## List the commands
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

demo: $(VENV)/.ready  ## The whole reproduction on the embedded speech: results/mini/report.html
	@$(RUN) snakemake --cores $(CORES) --quiet rules
	@echo "Open $(CURDIR)/results/mini/report.html"

plan: $(VENV)/.ready  ## What `make demo` would run, why, and for how long
	@$(RUN) daisy plan --cores $(CORES)

efficiency: $(VENV)/.ready  ## Time, memory and cores that the jobs of a run (RESULTS=results/mini) asked for and used
	@$(RUN) daisy efficiency $(RESULTS)

test: $(VENV)/.ready-dev  ## Linters, types, unit tests and a nano run of the pipeline
	@$(MAKE) --no-print-directory lint
	@$(RUN) python -m pytest

test-peers: $(VENV)-peers/.ready  ## Hidden states against fairseq, torchaudio and transformers, in an environment of its own
	@$(VENV)-peers/bin/python -m pytest tests/peers

test-slurm: $(VENV)/.ready-dev  ## The nano run on a throw-away Slurm cluster of this machine, and through failures
	@$(RUN) python -m pytest tests/slurm -rs

bench: $(VENV)-peers/.ready  ## How fast it is on this machine, beside other implementations: BENCHMARKS.md
	@$(VENV)-peers/bin/python -m benchmarks --threads $(CORES) $(BENCH)

bench-slurm: $(VENV)/.ready-dev  ## The nano run with and without Slurm, timed
	@$(RUN) python -m pytest tests/slurm/cost.py -rs

lint: $(VENV)/.ready-dev  ## Linters alone
	@$(RUN) ruff check .
	@$(RUN) ruff format --check .
	@$(RUN) snakefmt --check Snakefile rules
	@$(RUN) snakemake --lint
	@$(RUN) mypy daisy benchmarks
	@$(RUN) lint-imports

format: $(VENV)/.ready-dev  ## Format the code
	@$(RUN) ruff format .
	@$(RUN) snakefmt Snakefile rules

docs: $(VENV)/.ready-dev  ## Write the pages that follow from code and config
	@$(RUN) python docs/generate.py

pretrain: $(VENV)/.ready  ## Train the embedded HuBERT again (about two hours on 2 cores)
	@$(RUN) snakemake pretrain --cores $(CORES)

pretrain-phones: $(VENV)/.ready  ## Train a HuBERT on the phones of synthetic speech instead (hours on 2 cores; goes on if ended)
	@$(RUN) snakemake pretrain_phones --cores $(CORES)

clean:  ## Remove the results of `make demo`, but nothing that it shares with other runs
	rm -rf results/mini

$(VENV)/bin/pip:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "error: Python 3.11 or newer is needed; run make with PYTHON=/path/to/python3.11")'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.ready: pyproject.toml | $(VENV)/bin/pip
	$(BIN)/pip install --quiet --disable-pip-version-check --editable .
	@touch $@

$(VENV)/.ready-dev: pyproject.toml | $(VENV)/.ready
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@

$(VENV)-peers/.ready: pyproject.toml envs/peers.txt
	test -x $(VENV)-peers/bin/pip || $(PYTHON) -m venv $(VENV)-peers
	$(VENV)-peers/bin/pip install --quiet --disable-pip-version-check --requirement envs/peers.txt --editable .
	@touch $@
