#!/usr/bin/env bash
# One row an experiment: tuned (or resumed), scored on degraded images, explained; the tuned cnn once more without birds
# and ships, to be tested on birds and ships; then the report to be committed.
# Environment: RESULTS (experiments), SET (more options of `tune`), CIFAKE_RAY_DATA (images).
set -euo pipefail
cd "$(dirname "$0")/.."
read -ra names <<< "${RESULTS:-cnn cnn-robust cnn-deep resnet50}"
read -ra options <<< "${SET:-}"
runs=results/runs
program=.venv/bin/cifake-ray
for name in "${names[@]}"; do
    if [ -d "$runs/$name" ]; then
        "$program" tune --resume "$name" --storage "$runs"
    else
        "$program" tune "$name" --storage "$runs" "${options[@]}"
    fi
    "$program" evaluate "$runs/$name" --robustness
    "$program" evaluate "$runs/$name" --explain
    if [ "$name" = cnn ]; then
        names+=(cnn-unseen)
        [ -d "$runs/cnn-unseen" ] || "$program" train "$runs/cnn" --name cnn-unseen --storage "$runs" \
            --set 'data.leave_out=[bird, ship]'
        "$program" evaluate "$runs/cnn-unseen" --robustness
    fi
done
"$program" report "${names[@]/#/$runs/}" --no-images --with-runs --out results
