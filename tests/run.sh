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
    cmake --preset "$1" >"build.$1.log" 2>&1 || {
        cat "build.$1.log"
        exit 1
    }
    rm -f "build.$1.log"
    cmake --build --preset "$1" -j "$jobs" -- --quiet
}

run() { # preset, ctest arguments
    local preset=$1
    shift
    echo "== $preset: ctest $*"
    ctest --test-dir "build/$preset" --output-on-failure -j "$jobs" "$@"
}

export TSAN_OPTIONS="suppressions=$PWD/tests/tsan.supp"

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
    SLUICE_QUICK=1 run asan -L 'unit|property|fuzz|e2e'
    build tsan
    SLUICE_QUICK=1 run tsan -L 'unit|property|e2e'
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
    /usr/bin/python3 tests/quality/rare.py --write
    /usr/bin/python3 tests/quality/encoders.py --write
    ;;
fuzz)
    # What is found stays in build/fuzz: crash-NAME, and the grown corpus, from which a few belong into tests/fuzz/corpus.
    targets=$(for source in tests/fuzz/fuzz_*.c; do basename "$source" .c; done)
    [ -f build/fuzz/build.ninja ] || cmake --preset fuzz >/dev/null
    # shellcheck disable=SC2086 # a list of words
    cmake --build --preset fuzz -j "$jobs" --target $targets -- --quiet
    for name in $targets; do
        mkdir -p "build/fuzz/corpus-$name"
        echo "== $name"
        leaks=1
        [ "$name" != fuzz_config ] || leaks=0 # libfyaml loses the text of a long quoted scalar
        ASAN_OPTIONS=detect_leaks=$leaks "build/fuzz/tests/$name" -max_total_time="${2:-60}" -timeout=10 -rss_limit_mb=2048 -max_len=65536 \
            -artifact_prefix="build/fuzz/" "build/fuzz/corpus-$name" "tests/fuzz/corpus/${name#fuzz_}" \
            >"build/fuzz/$name.log" 2>&1 || { tail -n 40 "build/fuzz/$name.log"; exit 1; }
        tail -n 1 "build/fuzz/$name.log"
    done
    ;;
*)
    build dev
    run dev -R "$what"
    ;;
esac
