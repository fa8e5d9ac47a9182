#!/usr/bin/env bash
# run.sh - the one test command: installs what is missing, builds, runs the tests.
#
#   tests/run.sh            everything: dev, asan and tsan builds; end to end, faults, quality
#   tests/run.sh quick      the daily run: dev build, unit and property tests, fuzz corpora, short end to end
#   tests/run.sh bench      measures, beside its peers (PyPI), and writes tests/bench/RESULTS.md
#   tests/run.sh quality    the table of tests/quality, anew from the data
#   tests/run.sh fuzz [S]   libFuzzer on every target, S seconds each (60)
#   tests/run.sh NAME       the tests whose name contains NAME, in the dev build
set -euo pipefail
cd "$(dirname "$0")/.."

what=${1:-all}
jobs=$(nproc)

build() { # preset
    [ -f "build/$1/build.ninja" ] || cmake --preset "$1" >"build.$1.log" 2>&1 || { cat "build.$1.log"; exit 1; }
    rm -f "build.$1.log"
    cmake --build --preset "$1" -j "$jobs" -- --quiet
}

run() { # preset, ctest arguments
    local preset=$1
    shift
    echo "== $preset: ctest $*"
    ctest --test-dir "build/$preset" --output-on-failure -j "$jobs" "$@"
}

bash deploy/install.sh tests
bash src/python/generate.sh

case "$what" in
quick)
    build dev
    SLUICE_QUICK=1 run dev -L 'unit|property|fuzz|e2e'
    ;;
all)
    build dev
    run dev -L 'unit|property|fuzz|e2e|fault'
    build asan
    run asan -L 'unit|property|fuzz|e2e'
    build tsan
    run tsan -L 'unit|property|e2e'
    build release
    run release -L quality
    ;;
bench)
    build release
    bash tests/bench/run.sh
    ;;
quality)
    build release
    /usr/bin/python3 tests/quality/measure.py --write
    /usr/bin/python3 tests/quality/images.py --write
    ;;
fuzz)
    build fuzz
    for target in build/fuzz/tests/fuzz_*; do
        [ -x "$target" ] && [ -f "$target" ] || continue
        name=$(basename "$target")
        echo "== $name"
        "$target" -max_total_time="${2:-60}" -timeout=10 -rss_limit_mb=2048 -artifact_prefix="build/fuzz/" \
            "build/fuzz/corpus-$name" "tests/fuzz/corpus/${name#fuzz_}" 2>&1 | tail -n 3
    done
    ;;
*)
    build dev
    run dev -R "$what"
    ;;
esac
