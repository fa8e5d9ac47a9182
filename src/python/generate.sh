#!/bin/sh
# generate.sh - makes sluice/v1/*_pb2.py from the .proto files; needs protoc. Optional argument: another target folder.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
exec protoc --proto_path="$here/../../proto" --python_out="${1:-$here}" \
    sluice/v1/sample.proto sluice/v1/annotation.proto sluice/v1/session.proto
