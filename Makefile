# Everything a newcomer needs: `make demo` and `make test`. Both set themselves up.
PYTHON ?= python3
CORES ?= 2
VENV := .venv
BIN := $(VENV)/bin
RUN := PATH="$(CURDIR)/$(BIN):$$PATH"
# Modules are compiled when they are first imported, and not all of them by pip, which takes as long as unpacking them.
export PYTHONDONTWRITEBYTECODE :=
INSTALL := --quiet --disable-pip-version-check --no-compile

BENCH ?=
DEVICE ?= cuda
# For Python 3.12, beside a torch, numpy, scipy and scikit-learn that are there.
KIT ?= soundfile cffi pycparser jsonschema attrs referencing rpds-py jsonschema-specifications typing-extensions pystoi \
	pytest iniconfig pluggy packaging pygments safetensors pyyaml threadpoolctl torchaudio==2.11.0
RESULTS ?= results/mini
# Pre-training hears all recordings that no task tests on; the demo takes fewer of those who have many.
WHOLE := --config 'data={splits: {max_per_speaker: 0}}'
FILE ?=
NOISE ?= speech-shaped
SNR ?= 20 10 0

.PHONY: look ship demo plan efficiency bench bench-slurm bench-gpu gpu-kit test test-gpu test-peers test-s3prl test-slurm lint format docs pretrain pretrain-phones clean help

help:  ## List the commands
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

look: $(VENV)/.ready  ## The method on one recording (FILE=), clean and under noise (NOISE=, SNR=): results/look.png
	@$(RUN) daisy exits tiny $(if $(FILE),"$(FILE)") --noise "$(NOISE)" --snr $(SNR) --png results/look.png

demo: $(VENV)/.ready  ## The whole reproduction on the embedded speech: results/mini/report.html
	@$(RUN) snakemake --cores $(CORES) --quiet rules
	@echo "Open $(CURDIR)/results/mini/report.html"

plan: $(VENV)/.ready  ## What `make demo` would run, why, and for how long
	@$(RUN) daisy plan --cores $(CORES)

efficiency: $(VENV)/.ready  ## Time, memory and cores that the jobs of a run (RESULTS=results/mini) asked for and used
	@$(RUN) daisy efficiency $(RESULTS)

test: $(VENV)/.ready-dev  ## Linters, types, unit tests and a nano run of the pipeline
	@$(MAKE) --no-print-directory lint
	@$(RUN) python -m pytest --numprocesses $(CORES) --no-loadscope-reorder

test-peers: $(VENV)-peers/.ready  ## Hidden states against fairseq, torchaudio and transformers, in an environment of its own
	@$(VENV)-peers/bin/python -m pytest tests/peers

test-s3prl: $(VENV)-s3prl/.ready  ## A training by s3prl's own runner on DAISY's states, in an environment of its own
	@$(VENV)-s3prl/bin/python -m pytest tests/s3prl

test-slurm: $(VENV)/.ready-dev  ## The nano run on a throw-away Slurm cluster of this machine, and through failures
	@$(RUN) python -m pytest tests/slurm -rs

test-gpu: $(VENV)/.ready-dev  ## What only a GPU shows: numbers, stages, resuming (DEVICE=cpu tests the tests); skips without one
	@$(RUN) PYTHON=python bash tests/gpu/run.sh --device $(DEVICE)

gpu-kit:  ## Wheels for a GPU machine without a network, which runs `bash tests/gpu/run.sh` or `bash benchmarks/gpu.sh`
	mkdir -p .cache/gpu/wheels
	$(PYTHON) -m pip download --quiet --dest .cache/gpu/wheels --only-binary :all: --no-deps --implementation cp \
		--python-version 3.12 --platform manylinux_2_28_x86_64 --platform manylinux2014_x86_64 --platform manylinux_2_17_x86_64 \
		$(KIT)
	@du -sh .cache/gpu/wheels

bench: $(VENV)-peers/.ready  ## How fast it is on this machine, beside other implementations: BENCHMARKS.md
	@$(VENV)-peers/bin/python -m benchmarks --threads $(CORES) $(BENCH)

bench-gpu:  ## All that is to be measured on a GPU, in at most SECONDS=900, into OUT (default: results/gpu)
	@bash benchmarks/gpu.sh $(SECONDS)

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

.PHONY: page browser
page: $(VENV)/.ready  ## A run's model (RESULTS=results/mini) in the browser: its page/, beside its report
	@$(BIN)/pip install $(INSTALL) --editable '.[onnx]'
	@rm -rf $(RESULTS)/page
	@$(RUN) daisy page $(RESULTS)/page --bundle $(RESULTS)/model/daisy.safetensors

# Not `npm ci`: it refuses the lock file for an optional package of vite, for Windows, that the registry lacks.
browser:  ## Build the page of `daisy page` from browser/ (needs Node 20 and npm; users need neither)
	cd browser && npm install && npm run build

pretrain: $(VENV)/.ready  ## The first two iterations of the embedded HuBERT (about two hours on 2 cores)
	@$(RUN) snakemake pretrain --cores $(CORES) $(WHOLE)

pretrain-phones: $(VENV)/.ready  ## Train the embedded HuBERT again, then on with the phones of synthetic speech: what ships (four and a half hours; goes on if ended)
	@$(RUN) snakemake pretrain_phones --cores $(CORES) $(WHOLE)

ship: $(VENV)/.ready  ## Put the exits of a finished run (RESULTS=results/mini) beside the weights that ship
	@$(RUN) python -m daisy.library.ship $(RESULTS)

clean:  ## Remove the results of `make demo`, but nothing that it shares with other runs
	rm -rf results/mini

$(VENV)/bin/pip:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "error: Python 3.11 or newer is needed; run make with PYTHON=/path/to/python3.11")'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.ready: pyproject.toml | $(VENV)/bin/pip
	$(BIN)/pip install $(INSTALL) --editable .
	@touch $@

$(VENV)/.ready-dev: pyproject.toml | $(VENV)/.ready
	$(BIN)/pip install $(INSTALL) --editable '.[dev]'
	@touch $@

$(VENV)-peers/.ready: pyproject.toml envs/peers.txt
	test -x $(VENV)-peers/bin/pip || $(PYTHON) -m venv $(VENV)-peers
	$(VENV)-peers/bin/pip install $(INSTALL) --requirement envs/peers.txt --editable .
	@touch $@

$(VENV)-s3prl/.ready: pyproject.toml envs/s3prl.txt
	test -x $(VENV)-s3prl/bin/pip || $(PYTHON) -m venv $(VENV)-s3prl
	$(VENV)-s3prl/bin/pip install $(INSTALL) --requirement envs/s3prl.txt --editable .
	@touch $@
