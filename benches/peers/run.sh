#!/usr/bin/env bash
# chexbox against ONNX Runtime, OpenVINO and a Python pipeline, measured in one run, interleaved.
#
#   bash benches/peers/run.sh BINARY FILMS [prepare|network|capped|whole|folder|report|all] [option of peers.py ...]
#
# BINARY is `cargo appliance`'s; FILMS a folder with real frontal chest films (PNG or JPEG). The peers come from PyPI into a
# folder of their own, CHEXBOX_PEERS or target/peers; results are added to its results.jsonl, so that a long run can be made
# in parts (`prepare` once, then `network --sizes 224 --rounds 1`), and `report` prints the tables of all of them. Removing the folder starts anew.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
binary=$(realpath "${1:?BINARY}")
films=$(realpath "${2:?FILMS}")
what=${3:-all}
cache=${CHEXBOX_PEERS:-${CARGO_TARGET_DIR:-$here/../../target}/peers}
mkdir -p "$cache"
python=$cache/venv/bin/python3
if ! cmp -s "$here/requirements.txt" "$cache/installed.txt"; then
    [ -x "$python" ] || python3 -m venv "$cache/venv"
    "$python" -m pip install --quiet -r "$here/requirements.txt"
    cp "$here/requirements.txt" "$cache/installed.txt"
fi
export PYTHONDONTWRITEBYTECODE=1
exec "$python" "$here/peers.py" "$what" --binary "$binary" --films "$films" --folder "$cache" "${@:4}"
