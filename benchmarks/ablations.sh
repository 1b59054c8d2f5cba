#!/usr/bin/env bash
# What each part of the recipe is worth: six runs of equally many steps from new layers, on the same batches.
# Usage: benchmarks/ablations.sh FOLDER [STEPS [SETTING=VALUE...]]. Resumable: the same command goes on where it stopped.
#
# The layers are new, the stem and the tables of words are those of the model that ships: what has been trained for exits
# does not forget it in a quarter of an hour, whatever it is asked for, and what has never seen learns to see first.
# The shallow runs have three layers a stack, new ones too, and are asked for the last one's answers alone.
set -euo pipefail
folder=${1:?folder for corpus, runs and figures}
steps=${2:-1000}
settings=()
for setting in "${@:3}"; do settings+=(--set "$setting"); done
python=${PYTHON:-python}
mue=${MUE:-mue}
here=$(dirname "$0")

"$mue" corpus "$folder/drawn" --rows 30000 --val 1000 --test 2000
for layers in 6 3; do
  if [ ! -d "$folder/new-$layers" ]; then
    "$python" "$here/shallow.py" demo "$folder/new-$layers" --layers "$layers" --new-layers
  fi
done

train() {
  local name=$1 layers=$2
  shift 2
  "$mue" train "$folder/drawn" --output "$folder/$name" --init "$folder/new-$layers" --recipe drawn --steps "$steps" \
    --threads 1 --set recipe.curriculum=0.3 --set recipe.warmup_steps=100 --set recipe.learning_rate=0.0005 \
    --set recipe.batch_rows=32 --set recipe.freeze_batch_norm=false --set recipe.entailment_share=0.4 \
    --set recipe.hypotheses=3 --set recipe.neutral_share=0.1 --set recipe.statement_weight=0.3 \
    --set training.validation_rows=100 --set training.validate_every=250 --set training.checkpoint_every=50 \
    "${settings[@]}" "$@"
}
ours=(--set recipe.depth_by_level=true --set recipe.settling_weight=0.6 --set recipe.layer_weights=equal
  --set recipe.scored_from_level=false --set recipe.self_distillation=2.0 --set recipe.below_level=2)
plain=(--set recipe.random_depth=false)

train ours 6 "${ours[@]}"
train no-layer-loss 6 "${ours[@]}" --set recipe.layer_weights=last --set recipe.self_distillation=0
train published 6 "${plain[@]}" --set recipe.layer_weights=equal
train joint 6 --streams joint "${ours[@]}"
train shallow-0 3 "${plain[@]}" --set recipe.layer_weights=last --seed 0
train shallow-1 3 "${plain[@]}" --set recipe.layer_weights=last --seed 1

models=()
for name in ours no-layer-loss published joint shallow-0 shallow-1; do models+=("$folder/$name/model"); done
"$python" "$here/ablation_figures.py" "$folder/drawn/val" "${models[@]}"
