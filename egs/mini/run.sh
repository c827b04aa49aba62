#!/usr/bin/env bash
# The recipe on the mini corpus; options as in ../../run.sh.
set -euo pipefail
exec "$(dirname "$0")/../../run.sh" --corpus mini --record egs/mini/RESULTS.md "$@"
