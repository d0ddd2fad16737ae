#!/bin/sh
# Puts libtorch where the feature `train` finds it, and prints the lines to export. Run it as
#   eval "$(tools/libtorch.sh)"
# Three pip wheels without their dependencies are enough on a machine without a GPU: torch itself
# and the two CUDA libraries its own libraries name. Only the libraries and headers are kept.
set -eu

torch=2.11.0
cudart=13.0.96
cupti=13.0.85
home="$HOME/.cache/chexbox/libtorch"

# Written last: an interrupted or older installation is made again.
stamp="$torch $cudart $cupti"
if [ "$(cat "$home/version" 2> /dev/null)" != "$stamp" ]; then
    unpacked=$(mktemp -d)
    trap 'rm -rf "$unpacked"' EXIT
    "${CHEXBOX_PYTHON:-python3}" -m pip install --quiet --no-deps --no-compile --target "$unpacked" \
        "torch==$torch" "nvidia-cuda-runtime==$cudart" "nvidia-cuda-cupti==$cupti" >&2
    mkdir -p "$home/torch"
    rm -rf "$home/torch/lib" "$home/torch/include" "$home/nvidia"
    mv "$unpacked/torch/lib" "$unpacked/torch/include" "$home/torch/"
    mv "$unpacked/nvidia" "$home/nvidia"
    echo "$stamp" > "$home/version"
fi

echo "export LIBTORCH=\"$home/torch\""
echo "export LD_LIBRARY_PATH=\"$home/torch/lib:$home/nvidia/cu13/lib\${LD_LIBRARY_PATH:+:\$LD_LIBRARY_PATH}\""
