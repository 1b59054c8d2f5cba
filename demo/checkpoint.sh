#!/usr/bin/env bash
# Makes the model that ships: draw its corpus, train it, put it into the package with its presets and figures.
# Usage: demo/checkpoint.sh FOLDER [PART]. Resumable: the same command goes on where it stopped.
# With PART it is a rehearsal: one row and one step in so many, and the model goes to FOLDER/demo instead.
#
# Twelve runs: the first learns to see, mostly from captions, at a high rate. The second asks nothing of early layers on
# hard rows and brings the rate down. Neither learns what contradicts a picture; the third does: all that is true and
# false of an image stands side by side in one batch, one object first, and what is true is also to be said.
# The fourth ranks similarities: without it those of all images are alike, and a threshold is a constant depth. It comes
# after them, for answers that are guessed have no order, and ranking them keeps the third from learning any.
# The fifth asks every decoder layer for every row, with the same weight, and for what the last one says; the sixth lets
# images leave one layer before their level, the seventh two. What ships took a corpus of 30,000 rows for these three,
# here the first of them. The eighth and the ninth do as the seventh with pictures that no run before them saw, the
# ninth asking early layers twice as much for what the last one says. The tenth, twice as long, has 60,000 more, and
# asks all layers of memory that exits have touched for what is said at full depth, twice as much again; so do the
# eleventh and the twelfth, each with 60,000 more and less of entailment.
set -euo pipefail
folder=${1:?folder for corpus and runs}
part=${2:-1}
python=${PYTHON:-python}
mue=${MUE:-mue}
here=$(dirname "$0")
to=()
if [ "$part" != 1 ]; then to=(--to "$folder/demo"); fi

of() { echo $((($1 + part - 1) / part)); }
often=(--set training.precision=bfloat16 --set training.validation_rows="$(of 500)")

"$mue" corpus "$folder/drawn" --rows "$(of 100000)" --val 1000 --test 2000
"$mue" train "$folder/drawn" --output "$folder/first" --recipe drawn --steps "$(of 9000)" \
  --set training.stop_after="$(of 4015)" "${often[@]}" --set training.validate_every="$(of 1000)"
"$mue" train "$folder/drawn" --init "$folder/first/model" --output "$folder/second" --recipe drawn \
  --steps "$(of 3400)" --set recipe.depth_by_level=true --set recipe.curriculum=0.2 --set recipe.warmup_steps=100 \
  --set recipe.learning_rate=0.0004 --set recipe.batch_rows=48 --set recipe.freeze_batch_norm=false \
  --set recipe.entailment_share=0.5 "${often[@]}" --set training.validate_every="$(of 850)"
"$mue" train "$folder/drawn" --init "$folder/second/model" --output "$folder/third" --recipe drawn \
  --steps "$(of 4800)" --set recipe.depth_by_level=true --set recipe.curriculum=0.3 --set recipe.warmup_steps=50 \
  --set recipe.learning_rate=0.0003 --set recipe.batch_rows=32 --set recipe.freeze_batch_norm=false \
  --set recipe.entailment_share=0.6 --set recipe.hypotheses=4 --set recipe.neutral_share=0.1 \
  --set recipe.statement_weight=0.3 "${often[@]}" --set training.validate_every="$(of 1200)"
"$mue" train "$folder/drawn" --init "$folder/third/model" --output "$folder/fourth" --recipe drawn \
  --steps "$(of 600)" --set recipe.depth_by_level=true --set recipe.curriculum=0 --set recipe.warmup_steps=30 \
  --set recipe.learning_rate=0.0001 --set recipe.batch_rows=32 --set recipe.freeze_batch_norm=false \
  --set recipe.entailment_share=0.6 --set recipe.hypotheses=4 --set recipe.neutral_share=0.1 \
  --set recipe.statement_weight=0.3 --set recipe.settling_weight=0.2 "${often[@]}" \
  --set training.validate_every="$(of 200)"
settle() {
  local run=$1 from=$2 data=$3 seed=$4 below=$5 share=$6 distilled=$7 steps=$8
  shift 8
  "$mue" train "$folder/$data" --init "$folder/$from/model" --output "$folder/$run" --recipe drawn \
    --limit "$(of $((25 * steps)))" --seed "$seed" --steps "$(of "$steps")" \
    --set recipe.layer_weights=equal --set recipe.depth_by_level=true \
    --set recipe.below_level="$below" --set recipe.scored_from_level=false \
    --set recipe.self_distillation="$distilled" --set recipe.settling_weight=0.6 --set recipe.curriculum=0 \
    --set recipe.warmup_steps=30 --set recipe.learning_rate=0.00015 --set recipe.batch_rows=32 \
    --set recipe.freeze_batch_norm=false --set recipe.entailment_share="$share" --set recipe.hypotheses=3 \
    --set recipe.neutral_share=0.1 --set recipe.statement_weight=0.3 --set training.validation_rows="$(of 200)" \
    --set training.validate_every="$(of 400)" "$@"
}
more() {
  "$mue" corpus "$folder/more-$1" --seed "$1" --rows "$(of "$2")" --val "$(of 500)" --test 10
}
settle fifth fourth drawn 0 0 0.6 1.0 1200
settle sixth fifth drawn 0 1 0.6 1.0 1200
settle seventh sixth drawn 1 2 0.7 1.0 1200 --set training.precision=bfloat16
more 31 30000
settle eighth seventh more-31 2 2 0.7 1.0 1200 --set training.precision=bfloat16
more 32 30000
settle ninth eighth more-32 3 2 0.5 2.0 1200 --set training.precision=bfloat16
more 33 60000
settle tenth ninth more-33 4 2 0.5 4.0 2400 --set training.precision=bfloat16 --set recipe.teacher=full_depth \
  --set recipe.learning_rate=0.0002
more 34 60000
settle eleventh tenth more-34 5 2 0.35 4.0 2400 --set training.precision=bfloat16 --set recipe.teacher=full_depth \
  --set recipe.learning_rate=0.0002
more 35 60000
settle twelfth eleventh more-35 6 2 0.3 4.0 2400 --set training.precision=bfloat16 --set recipe.teacher=full_depth \
  --set recipe.learning_rate=0.0002
# Pictures of their own choose the exits and certify them, those of captions twice: the first ones propose a dozen
# points, the second ones choose among them. The test split tells what they are worth. A rehearsal's model may have
# nothing right, and so nothing to tune.
calibrate() {
  local name=$1 task=$2 seed=$3 images=$4 chosen=(--fast-quality 0.975 "${@:5}")
  if [ -f "$folder/tuned/$name/tune.json" ]; then return; fi
  if [ "$part" != 1 ]; then
    images=60
    chosen+=(--rows 60 --screen-rows 30 --points 2 --certify 0.9)
  fi
  "$mue" corpus "$folder/calibration-$name" --seed "$seed" --rows 10 --val "$images" --test 10
  "$mue" tune "$folder/twelfth/model" "$folder/calibration-$name/val" --output "$folder/tuned/$name" --tasks "$task" \
    --by time --group-size 64 --write --default balanced --images "$images" "${chosen[@]}" || [ "$part" != 1 ]
}
calibrate proposed caption 46 5000 --rows 5000 --screen-rows 2500 --points 28 --certify 0.03 --confidence 0.95 \
  --decoder-signal confidence
calibrate caption caption 47 8000 --rows 8000 --points 12 --certify 0.03 --confidence 0.9 \
  --points-of "$folder/tuned/proposed/tune.json"
calibrate entailment entailment 45 4000 --rows 8000 --screen-rows 2000 --points 20 --certify 0.05 --confidence 0.95
runs=(first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth)
"$python" "$here/ship.py" "${runs[@]/#/$folder/}" "$folder/drawn" "${to[@]}" -- --depths 2/1/3 3/1/2 3/2/4
