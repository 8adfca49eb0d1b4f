#!/bin/sh
# Where the CPU time of a run goes: network operators, decoding, statistics, the rest. Needs perf (Debian: linux-perf).
#
#     sh bench/profile.sh PROGRAM PIPELINE-OPTION...       e.g. build/filtags --model net.keras --images-dir pictures
set -eu
program=$1
shift
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

if ! perf record -q -o "$folder/perf.data" true 2>/dev/null; then
    echo "perf is not available or not allowed here: no CPU profile"
    exit 0
fi
perf record -q -o "$folder/perf.data" -- "$program" pipeline --quiet --save-dir "$folder" "$@"

# Libraries as a whole; of libfiltags each function. (oneDNN makes its convolutions at run time, as [JIT] code without
# names: function by function, their shares would round to nothing.)
{
    perf report -i "$folder/perf.data" --sort dso --stdio 2>/dev/null | grep -v libfiltags
    perf report -i "$folder/perf.data" --sort dso,symbol --stdio 2>/dev/null | grep libfiltags
} | awk '
    /^#/ || NF < 2 { next }
    {
        symbol = $4
        operators = "^(binary|scale_shift|max_pool|avg_pool|global|pool|kernel_|execute_|dense|softmax|pad|crop|" \
            "move_|conv_|upsample|concat)"
        decoders = "^(image_|decode|stbi_|take_row|jpeg_|png_|tiff_|sample_|resize)"
        if ($0 ~ /JIT|libdnnl|libgomp/) kind = "network"
        else if ($0 ~ /libjpeg|libpng|libtiff|libz\./) kind = "decoding"
        else if ($0 ~ /\[kernel/) kind = "system"
        else if ($0 !~ /libfiltags/) kind = "rest"
        else if (symbol ~ operators) kind = "network"
        else if (symbol ~ decoders) kind = "decoding"
        else if (symbol ~ /^tap/) kind = "statistics"
        else kind = "rest"
        total[kind] += $1
    }
    END {
        n = split("network decoding statistics system rest", kinds, " ")
        for (i = 1; i <= n; i++) printf "%-12s %5.1f %%\n", kinds[i], total[kinds[i]]
    }'
