#!/bin/sh
# ./dev bench [quick | scale | costs] [OPTION...]
#   (nothing)   filTags beside TensorFlow, OpenVINO, ONNX Runtime, PyTorch and the published scripts' way:
#               bench/bench.py; its options follow, such as --networks ResNet50 --rounds 3 --pictures 16
#   quick       the demo's time a picture and where it goes: bench/quick.sh
#   costs       times every way to compute every convolution, and makes the table by which src/engine/conv_way.c
#               chooses, conv_costs.c, for this processor: bench/costs.py. Half an hour, on a machine that rests
#   scale       1,000 classes, 1.28 million files, --store: bench/scale.py
#
# The others live in a virtual environment in FILTAGS_BENCH_CACHE, by default filtags-bench in the user's cache folder,
# with the weights and pictures that are made for it. FILTAGS_BENCH_TORCH=1 also installs PyTorch, several gigabytes.
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
python=$cache/peers/bin/python
mkdir -p "$cache"
if [ ! -f "$cache/peers/ready" ]; then
    echo "making $cache/peers (TensorFlow, OpenVINO, ONNX Runtime)"
    python3 -m venv "$cache/peers"
    "$python" -m pip install -q --disable-pip-version-check -r bench/requirements.txt
    : >"$cache/peers/ready"
fi
if [ -n "${FILTAGS_BENCH_TORCH:-}" ] && ! "$python" -c 'import torch' 2>/dev/null; then
    "$python" -m pip install -q --disable-pip-version-check torch
fi
case "${1:-}" in
scale) shift && exec "$python" -B bench/scale.py --cache "$cache" "$@" ;;
esac
exec "$python" -B bench/bench.py --cache "$cache" "$@"
