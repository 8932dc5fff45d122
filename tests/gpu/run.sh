#!/usr/bin/env bash
# All tests that need a GPU, in a few minutes, from a copy of this tree: bash tests/gpu/run.sh [options of pytest]
#
# It takes the machine's own Python (PYTHON=...) and torch, needs no network, and installs nothing into them: packages
# that are missing come from .cache/gpu/wheels, which `make gpu-kit` fills elsewhere, into .cache/gpu/site.
set -euo pipefail
cd "$(dirname "$0")/../.."
source tests/gpu/kit.sh
exec "$python" -m pytest tests/gpu --confcutdir=tests/gpu -rs "$@"
