"""Training is the same arithmetic as before: losses at a fixed seed, to the last digit on the machine that wrote them.

`python -m tests.training.test_losses` writes the file again; a change of arithmetic does so, with an entry in docs.
"""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from cifake_ray.experiment import Experiment
from cifake_ray.features import ensure_features
from cifake_ray.runs.names import create_run
from cifake_ray.tuning.study_inputs import gather_inputs
from cifake_ray.tuning.trial.context import TrialContext
from cifake_ray.tuning.trial.loop import run_trial

FILE = Path(__file__).parent / "losses.json"
IMAGES = 400
TRAINING = {"epochs": 2, "lr": 1e-4, "batch_size": 32, "augment": ["flip"], "precision": "fp32", "seed": 7}
RESNET = {"kind": "resnet18", "weights": "random", "image_size": 32}
MODELS: dict[str, dict[str, Any]] = {
    "cnn": {"model": {"kind": "cnn"}},
    "cnn-deep": {"model": {"kind": "cnn-deep"}},
    "frozen resnet18": {
        "model": RESNET | {"stages": ["stem", "layer1", "layer2"]},
        "training": TRAINING | {"augment": []},
    },
    "fine-tuned resnet18": {"model": RESNET | {"stages": ["layer2"], "trainable": "all"}},
}


def machine() -> str:
    """What the last digit depends on: torch's version and the vector units that it uses."""
    has = torch.cpu.get_capabilities()
    units = [unit for unit in sorted(has) if unit.startswith(("amx", "avx")) and has[unit]]
    return ", ".join([f"torch {torch.__version__.split('+')[0]}", torch.backends.cpu.get_cpu_capability(), *units])


def losses(model: str, folder: Path) -> list[float]:
    """Training and validation loss of each epoch of one trial on the sample, in fp32 on one thread."""
    tree = {"name": "losses", "training": TRAINING, "data": {"source": "sample", "limit": IMAGES}}
    experiment = Experiment.model_validate(tree | MODELS[model])
    run = create_run(folder, "losses", experiment)
    inputs = gather_inputs(experiment)
    features = {found.spec.key: found for found in ensure_features(inputs.images.train, inputs.specs)}
    context = TrialContext(experiment, run, inputs.images.path, inputs.split, features)
    rows: list[dict[str, Any]] = []
    config = {"params": {}, "seed": TRAINING["seed"], "folder": "checkpoints/0", "trial_id": 0}
    threads = torch.get_num_threads()
    try:
        run_trial(context, config, rows.append)
    finally:
        torch.set_num_threads(threads)
    return [row[loss] for row in rows for loss in ("train_loss", "val_loss")]


@pytest.mark.parametrize("model", MODELS)
def test_losses_are_those_of_before(model: str, tmp_path: Path) -> None:
    before: dict[str, dict[str, list[float]]] = json.loads(FILE.read_text())
    now = losses(model, tmp_path)
    if machine() in before:
        assert now == before[machine()][model]
    for file in before.values():
        assert now == pytest.approx(file[model], rel=1e-4)


if __name__ == "__main__":
    import tempfile

    with tempfile.TemporaryDirectory() as scratch:
        new = {model: losses(model, Path(scratch) / str(at)) for at, model in enumerate(MODELS)}
    kept = json.loads(FILE.read_text()) if FILE.exists() else {}
    FILE.write_text(json.dumps(kept | {machine(): new}, indent=1) + "\n")
