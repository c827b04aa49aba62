# Sourced by run.sh and tests/run.sh: finds an environment that has the package, or makes .venv with everything in it.
#
# An active virtual or conda environment that already has this checkout installed is used as it is. Otherwise .venv is
# made once, with the development extras under constraints.txt; a stamp makes every later call instant. PYTHON names
# the interpreter to make it with (default: python3).

distilmos_root=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
export PYTHONUTF8=1 PYTHONIOENCODING=UTF-8

_distilmos_active() {  # is there an active environment with this checkout's package in it?
    [ -n "${VIRTUAL_ENV:-}${CONDA_PREFIX:-}" ] || return 1
    (cd / && python -c "
import os, sys, distilmos_plugin
sys.exit(not os.path.samefile(os.path.dirname(os.path.dirname(distilmos_plugin.__file__)), sys.argv[1]))" \
        "$distilmos_root") 2>/dev/null
}

_distilmos_install() {  # make .venv; says which package failed, and why
    local venv=$distilmos_root/.venv log=$distilmos_root/.venv/install.log python=${PYTHON:-python3}
    if ! "$python" -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null; then
        echo "path.sh: '$python' is not Python 3.10 to 3.13; name one that is: PYTHON=python3.11 ./run.sh" >&2
        return 1
    fi
    echo "path.sh: making $venv with $("$python" --version) (a few minutes and about 8 GB, once)" >&2
    if ! "$python" -m venv "$venv"; then
        echo "path.sh: '$python -m venv' failed; on Debian and Ubuntu: apt install python3-venv" >&2
        return 1
    fi
    # pip 26 refuses ci_sdr, a dependency of espnet, for a direct link in an extra of it that nobody asks for.
    if ! { "$venv/bin/python" -m pip install --disable-pip-version-check 'pip<26' &&
           "$venv/bin/python" -m pip install --disable-pip-version-check --progress-bar off \
               -c "$distilmos_root/constraints.txt" -e "$distilmos_root[dev]"; } >"$log" 2>&1; then
        echo "path.sh: the installation failed; the end of $log:" >&2
        grep -E '^(ERROR|error|  error)|No matching|Could not|fatal' "$log" | tail -n 8 >&2 || true
        tail -n 15 "$log" >&2
        echo "path.sh: a package that has to be compiled (pesq, pyworld, ci_sdr) needs a C compiler: apt install build-essential python3-dev" >&2
        return 1
    fi
}

if _distilmos_active; then
    echo "path.sh: using the active environment ${VIRTUAL_ENV:-$CONDA_PREFIX}" >&2
else
    _distilmos_stamp=$(cat "$distilmos_root/setup.cfg" "$distilmos_root/constraints.txt" | cksum)
    if [ "$(cat "$distilmos_root/.venv/.installed" 2>/dev/null)" != "$_distilmos_stamp" ]; then
        _distilmos_install || return 1
        echo "$_distilmos_stamp" >"$distilmos_root/.venv/.installed"
    fi
    # shellcheck disable=SC1091
    . "$distilmos_root/.venv/bin/activate"
fi
