#!/usr/bin/env bash
# demo.sh - the one run command: installs, builds, and filters a real stream of texts, killed once on the way.
set -euo pipefail
cd "$(dirname "$0")/.."

say() { printf '\n\033[1m%s\033[0m\n' "$*"; }

bash deploy/install.sh build
[ -f build/release/build.ninja ] || cmake --preset release >/dev/null
cmake --build --preset release --target sluice -- --quiet
bash src/python/generate.sh
export PYTHONPATH=$PWD/src/python PYTHONDONTWRITEBYTECODE=1
python=/usr/bin/python3 sluice=build/release/sluice work=build/demo texts=tests/data/text
rm -rf "$work"
mkdir -p "$work"
trap 'kill -9 $(jobs -p) 2>/dev/null || true' EXIT

cat >"$work/sluice.yaml" <<EOF
state: $work/state
listen: {ingest: "tcp://127.0.0.1:5590", egress: "tcp://127.0.0.1:5591", http: "127.0.0.1:5592"}
encoder: builtin
influence: {expert: {warmup: 512, refresh_lag: 1}}
EOF

start_filter() {
    "$sluice" run -c "$work/sluice.yaml" >>"$work/filter.log" 2>&1 &
    filter=$!
    until [ "$(grep -c RUN-READY "$work/filter.log")" -ge "$1" ]; do
        kill -0 $filter 2>/dev/null || { cat "$work/filter.log"; exit 1; }
        sleep 0.05
    done
}

say "1. A filter, two producers and a trainer, each a process"
echo "  library: SPDX licences and Debian package descriptions; archive: Tang poems in two editions and manual pages"
echo "  watch it meanwhile: http://127.0.0.1:5592/"
start_filter 1
"$python" deploy/demo.py produce library 300 "$texts/spdx-licences.jsonl.zst" "$texts/debian-descriptions.jsonl.zst" &
library=$!
"$python" deploy/demo.py produce archive 400 "$texts/tang-two-editions-zh.jsonl.zst" "$texts/manpages-zh.jsonl.zst" &
archive=$!
"$python" deploy/demo.py train "$work/trained" "$work/done" &
trainer=$!
sleep 5

say "2. kill -9 in the middle of the stream"
kill -9 $filter
wait $filter 2>/dev/null || true
echo "  the filter is gone; producers keep what is not acknowledged and try again"
sleep 1
start_filter 2
echo "  $(grep RUN-READY "$work/filter.log" | tail -n 1 | grep -o 'offset=[^ ]* restored_in_s=[^ ]*'): it goes on where it was, index included"
wait $library $archive
touch "$work/done"
wait $trainer

say "3. What became of the stream"
"$sluice" state ls --state "$work/state"
"$python" deploy/demo.py summary "$work/trained" "$("$sluice" state ls --state "$work/state" --json)"
"$sluice" state verify --state "$work/state"

say "4. Three of the dropped, beside the kept sample that represents each"
"$sluice" recv --from tcp://127.0.0.1:5591 --all --verdicts "$work/verdicts.jsonl" >/dev/null
for pattern in '"source": "doc"' '"source": "yuding"' 'man-zh_CN-\([^"]*\)".*"of": "man-zh_TW-\1"'; do
    id=$(grep '"method": "text"' "$work/verdicts.jsonl" | grep "$pattern" | sed -n '5s/^{"id": "\([^"]*\)".*/\1/p')
    [ -z "$id" ] || "$sluice" explain "$id" --state "$work/state"
done
kill -TERM $filter
wait $filter

say "5. How the texts pull a representation (of the weak built-in encoder: the producers send no views)"
"$python" deploy/demo.py influence "$work/verdicts.jsonl"

say "Where to look next"
cat <<EOF
  this stream in a browser          $sluice run -c $work/sluice.yaml    then http://127.0.0.1:5592/
  what each source is worth         $sluice report --state $work/state -o $work/report.html
  the verdict of every sample       $work/verdicts.jsonl
  the filter's log                  $work/filter.log
  why a sample was dropped          $sluice explain ID --state $work/state
  your own files, no daemon         $sluice filter -o kept.jsonl --verdicts verdicts.jsonl FILE.jsonl
  your own producer                 README.md, src/python/README.md
  what the scores are               deploy/docs/scores.md
  what the configuration buys       $sluice check
  what this machine does            $sluice bench
  how to run it                     deploy/docs/operations.md
EOF
