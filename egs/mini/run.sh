#!/usr/bin/env bash
# The recipe on the mini corpus; options as in ../../run.sh. RESULTS.md, over many experiments, is `distilmos results ... -o`.
set -euo pipefail
exec "$(dirname "$0")/../../run.sh" --corpus mini "$@"
