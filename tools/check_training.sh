#!/usr/bin/env bash
# Proves that training works from end to end on a CPU: drawn films, a run that is interrupted and goes
# on, an export; onnxruntime agrees with libtorch, and the program reads a film with the new bundle.
# usage: check_training.sh BINARY   (built with the feature train; CHEXBOX_PYTHON has onnxruntime)
set -euo pipefail
binary=$1
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"$binary" train --smoke "$folder"
"${CHEXBOX_PYTHON:-python3}" tools/check_onnx.py "$folder/check" "$folder/bundle/model.onnx"
record=$("$binary" read --json --model "$folder/bundle" 2> /dev/null)
case $record in
    *'"status":"read"'*'"id":"bright_spot"'*) echo "training: the exported bundle reads the drawn film" ;;
    *) echo "training check failed: $record" >&2; exit 1 ;;
esac
