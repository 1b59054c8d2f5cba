#!/usr/bin/env bash
# The main job on a drawn test shard: draw, caption, look. Usage: demo/run.sh OUTPUT (PYTHON and MUE may be set)
set -euo pipefail
out=${1:-demo-out}
python=${PYTHON:-python}
mue=${MUE:-mue}
here=$(dirname "$0")

say() { printf '\n$ %s\n' "$*"; "$@"; }

# Another seed than the one that the model was trained on; test rows, so pictures and pairs of things are new to it.
say "$mue" corpus "$out/drawn" --rows 0 --val 0 --test 250 --seed 7
say "$python" "$here/spoil.py" "$out/drawn/test/00000.tar" "$out/shards/00000.tar"
say "$mue" run "$out/shards/00000.tar" --output "$out/job"
say "$mue" failures "$out/job"
say "$mue" eval "$out/job" --by json:level
say "$python" "$here/look.py" "$out/job" "$out/shards/00000.tar" "$out/look.png"
printf '\nrows:    %s/job/data/*.parquet, listed in %s/job/manifest.json\nsummary: %s status %s/job\n' \
  "$out" "$out" "$mue" "$out"
