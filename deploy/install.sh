#!/usr/bin/env bash
# install.sh - installs the Debian packages that are missing: `install.sh build` or `install.sh tests` (both).
set -euo pipefail

build=(
    gcc cmake ninja-build pkg-config
    libzmq3-dev libprotobuf-c-dev protobuf-c-compiler protobuf-compiler liblmdb-dev libxxhash-dev
    libutf8proc-dev libturbojpeg0-dev libspng-dev libwebp-dev libarchive-dev
    libopenblas-pthread-dev liblapacke-dev libfyaml-dev liblua5.4-dev libjansson-dev libmicrohttpd-dev libzstd-dev zlib1g-dev opencc libjs-chart.js
    python3 python3-zmq python3-protobuf zstd
)
tests=(
    git libcmocka-dev clang-14 libclang-rt-14-dev clang-format-14 python3-pytest python3-numpy python3-pil python3-venv python3-yaml
    chromium chromium-driver python3-selenium
)

wanted=("${build[@]}")
case "${1:-build}" in
build) ;;
tests) wanted+=("${tests[@]}") ;;
*)
    echo "usage: $0 [build|tests]" >&2
    exit 64
    ;;
esac

missing=()
for package in "${wanted[@]}"; do
    if ! dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q "install ok installed"; then
        missing+=("$package")
    fi
done
[ ${#missing[@]} -eq 0 ] && exit 0

as_root=()
if [ "$(id -u)" -ne 0 ]; then
    as_root=(sudo)
fi
echo "installing: ${missing[*]}"
"${as_root[@]}" apt-get update -qq
DEBIAN_FRONTEND=noninteractive "${as_root[@]}" apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
