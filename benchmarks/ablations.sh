#!/usr/bin/env bash
# What each part of the recipe is worth: six runs of equally many steps from the weights that ship, on the same batches.
# Usage: benchmarks/ablations.sh FOLDER [STEPS]. Resumable: the same command goes on where it stopped.
#
# From the shipped weights, not from new ones: new layers say nothing right after so few steps as a quarter of an hour
# allows, so that no exit could be told from any other. What this shows is which parts exits need in order to last:
# all runs start with layers that know how to be last, and those that are not asked for it any more forget.
# A decomposed start is against the joint run, ours is for all others, for the start was trained like it.
set -euo pipefail
folder=${1:?folder for corpus, runs and figures}
steps=${2:-100}
python=${PYTHON:-python}
mue=${MUE:-mue}
here=$(dirname "$0")

"$mue" corpus "$folder/drawn" --rows 30000 --val 1000 --test 2000
"$python" "$here/shallow.py" demo "$folder/cut" --layers 3

# The sixth run of demo/checkpoint.sh at a higher rate, with smaller batches.
train() {
  local name=$1
  shift
  "$mue" train "$folder/drawn" --output "$folder/$name" --recipe drawn --steps "$steps" --threads 1 --limit 8000 \
    --set recipe.curriculum=0 --set recipe.warmup_steps=20 --set recipe.learning_rate=0.0003 \
    --set recipe.batch_rows=16 --set recipe.freeze_batch_norm=false --set recipe.entailment_share=0.6 \
    --set recipe.hypotheses=3 --set recipe.neutral_share=0.1 --set recipe.statement_weight=0.3 \
    --set training.validation_rows=100 --set training.validate_every=1000 --set training.checkpoint_every=20 "$@"
}
ours=(--set recipe.depth_by_level=true --set recipe.settling_weight=0.6 --set recipe.layer_weights=equal
  --set recipe.scored_from_level=false --set recipe.self_distillation=1.0 --set recipe.below_level=1)
plain=(--set recipe.random_depth=false)

train ours --init demo "${ours[@]}"
train no-layer-loss --init demo "${ours[@]}" --set recipe.layer_weights=last
train published --init demo "${plain[@]}" --set recipe.layer_weights=equal
train shallow-0 --init "$folder/cut" "${plain[@]}" --set recipe.layer_weights=last --seed 0
train joint --init demo --streams joint "${ours[@]}"
train shallow-1 --init "$folder/cut" "${plain[@]}" --set recipe.layer_weights=last --seed 1

models=()
for name in ours no-layer-loss published joint shallow-0 shallow-1; do models+=("$folder/$name/model"); done
"$python" "$here/ablation_figures.py" "$folder/drawn/val" demo "$folder/cut" "${models[@]}"
