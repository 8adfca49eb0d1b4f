#!/bin/sh
# ./dev bench [quick | scale | costs] [OPTION...]
#   (nothing)   filTags beside TensorFlow, OpenVINO, ONNX Runtime, PyTorch and the published scripts' way:
#               bench/bench.py; its options follow, such as --networks ResNet50 --rounds 3 --pictures 16
#   quick       the demo's time a picture and where it goes: bench/quick.sh
#   costs       times every way to compute every convolution, and makes the table by which src/engine/conv_way.c
#               chooses, conv_costs.c, for this processor: bench/costs.py. A few minutes, on a machine that rests
#   scale       1,000 classes, 1.28 million files, --store: bench/scale.py
#
# The others live in a virtual environment in FILTAGS_BENCH_CACHE, by default filtags-bench in the user's cache folder,
# with the weights and pictures that are made for it. FILTAGS_BENCH_TORCH=0 leaves out PyTorch, which is the largest.
set -eu
cd "$(dirname "$0")/.."
case "${1:-}" in
quick) shift && exec sh bench/quick.sh "$@" ;;
costs)
    shift
    ninja -C build bench/conv_time
    exec python3 -B bench/costs.py "$@"
    ;;
esac
cache=${FILTAGS_BENCH_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/filtags-bench}
peers=$cache/peers
python=$peers/bin/python
torch=torch==2.15.0
torch_gbytes=8 # 5 in the end: PyPI's wheel can't be loaded without the CUDA libraries that it depends on

pip_install() { "$python" -m pip install -q --disable-pip-version-check "$@"; }

# What isn't there for this Python or processor must not cost the rest; bench.py says what it misses.
install_peers() {
    pip_install -r bench/requirements.txt && return 0
    echo "bench: not all of bench/requirements.txt can be had here: one after the other" >&2
    while read -r requirement; do
        pip_install "$requirement" || echo "bench: $requirement can't be installed: measured without it" >&2
    done <bench/requirements.txt
    "$python" -c 'import keras, numpy, onnx, PIL, tensorflow' # what makes weights and pictures
}

install_torch() {
    if "$python" -c 'import torch' 2>/dev/null; then return 0; fi
    if [ "${FILTAGS_BENCH_TORCH:-1}" = 0 ]; then
        echo "bench: without PyTorch, as FILTAGS_BENCH_TORCH=0 says" >&2
        return 0
    fi
    if [ -f "$peers/no-torch" ]; then
        echo "bench: without PyTorch, which could not be installed (to try it again: rm $peers/no-torch)" >&2
        return 0
    fi
    free_kbytes=$(df -Pk "$peers" | awk 'NR == 2 { print $4 }')
    if [ "$free_kbytes" -lt $((torch_gbytes * 1000000)) ]; then
        echo "bench: without PyTorch, which needs $torch_gbytes GB in $cache to be installed" >&2
        return 0
    fi
    echo "installing PyTorch (5 GB; FILTAGS_BENCH_TORCH=0 leaves it out)"
    if pip_install "$torch" && "$python" -c 'import torch'; then return 0; fi
    : >"$peers/no-torch"
    echo "bench: PyTorch can't be installed here: measured without it" >&2
}

mkdir -p "$cache"
if [ ! -f "$peers/ready" ]; then
    echo "making $peers (TensorFlow, OpenVINO, ONNX Runtime)"
    python3 -m venv "$peers"
    install_peers
    : >"$peers/ready"
fi
case "${1:-}" in
scale) shift && exec "$python" -B bench/scale.py --cache "$cache" "$@" ;;
esac
install_torch
exec "$python" -B bench/bench.py --cache "$cache" "$@"
