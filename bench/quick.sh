#!/bin/sh
# Measure the program on the demo: the pipeline's time a picture, and where the CPU time goes.
# ./dev bench quick runs it.
set -eu
cd "$(dirname "$0")/.."
program=build/filtags
folder=build/bench
n_runs=${FILTAGS_BENCH_RUNS:-5}

rm -rf $folder
mkdir -p $folder
$program demo --quiet --save-dir $folder/demo
n_pictures=$(find $folder/demo/images -name '*.png' | wc -l)

pipeline() {
    $program pipeline --quiet --model $folder/demo/fashion.keras --class-index $folder/demo/classes.txt \
        --images-dir $folder/demo/images --save-dir $folder "$@"
}

for threads in 1 $(nproc); do
    run=0
    while [ $run -lt "$n_runs" ]; do
        before=$(date +%s%N)
        pipeline --threads "$threads"
        after=$(date +%s%N)
        echo $(((after - before) / 1000))
        run=$((run + 1))
    done | sort -n | awk -v n="$n_pictures" -v threads="$threads" '
        { usec[NR] = $1 }
        END {
            median = NR % 2 ? usec[(NR + 1) / 2] : (usec[NR / 2] + usec[NR / 2 + 1]) / 2
            printf "pipeline, %d pictures, --threads %s: %.3f ms a picture (median of %d runs; %.3f to %.3f)\n",
                n, threads, median / 1000 / n, NR, usec[1] / 1000 / n, usec[NR] / 1000 / n
        }'
    [ "$(nproc)" != 1 ] || break
done

echo "CPU time of the pipeline on the demo:"
sh bench/profile.sh $program --model $folder/demo/fashion.keras --class-index $folder/demo/classes.txt \
    --images-dir $folder/demo/images
