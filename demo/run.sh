#!/usr/bin/env bash
# The main job on a small drawn input: draw, caption, look. Usage: demo/run.sh OUTPUT (PYTHON and MUE may be set)
set -euo pipefail
out=${1:-demo-out}
python=${PYTHON:-python}
mue=${MUE:-mue}
here=$(dirname "$0")

say() { printf '\n$ %s\n' "$*"; "$@"; }

say "$python" "$here/draw_shards.py" "$out/shards"
say "$mue" run "$out/shards/{00000..00003}.tar" --output "$out/job"
say "$mue" failures "$out/job"
say "$mue" inspect 000000-00000/0/0 --output "$out/job"
printf '\nrows:    %s/job/data/*.parquet, listed in %s/job/manifest.json\nsummary: %s status %s/job\n' \
  "$out" "$out" "$mue" "$out"
