#!/usr/bin/env bash
# run.sh - runs every benchmark beside its peers and writes tests/bench/RESULTS.md (about 20 minutes).
#
#   tests/bench/run.sh [BUILD]       BUILD: build/release, already built; `tests/run.sh bench` does both
#
# SLUICE_DATA: folder of the evaluation data (default ../shared/data beside the repository).
set -euo pipefail
cd "$(dirname "$0")/../.."

build=${1:-build/release}
venv=build/bench-venv
peers=(datasketch==2.0.0 rensa==0.5.0 hnswlib==0.8.0 faiss-cpu==1.15.1 usearch "numpy>=2")

if ! "$venv/bin/python" -c 'import datasketch, rensa, numpy, hnswlib, faiss, usearch' 2>/dev/null; then
    python3 -m venv "$venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check "${peers[@]}"
fi
# The peer of influence needs torch (5 GB): in a folder of its own, and left out where it cannot be had.
if ! build/influence-venv/bin/python -c 'import kronfluence' 2>/dev/null; then
    python3 -m venv build/influence-venv
    build/influence-venv/bin/pip install --quiet --disable-pip-version-check torch==2.15.0 kronfluence==1.0.1 ||
        rm -rf build/influence-venv
fi
if [ ! -x "$build/sluice" ] || [ ! -x "$build/tests/bench_path" ]; then
    echo "run.sh: $build is not built; tests/run.sh bench does that" >&2
    exit 1
fi
PYTHONDONTWRITEBYTECODE=1 exec "$venv/bin/python" tests/bench/measure.py "$build"
