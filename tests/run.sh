#!/usr/bin/env bash
# The test command: sets up what it needs, then runs the tests. Arguments go to pytest (./tests/run.sh -k audio).
set -euo pipefail
cd "$(dirname "$0")/.."
. ./path.sh
ruff check .
ruff format --check .
# Two processes share two cores: one thread each, or they fight for them.
OMP_NUM_THREADS=1 exec python -m pytest -n 2 "$@"
