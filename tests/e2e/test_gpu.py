"""What needs a GPU: training, extraction and quarter slices on it. Without one these say what was not run."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from cifake_ray.data.pixels import ArrayPixels
from cifake_ray.experiment import Training
from cifake_ray.features.shards import Extraction, Pass, local_shards, run_one
from cifake_ray.models.families.cnn import Cnn, normalise_images
from cifake_ray.models.families.torchvision import TorchvisionSpec
from cifake_ray.models.weights import random_weights
from cifake_ray.training.batches import ImageInputs, TrainingSet
from cifake_ray.training.fit import Fit, fit
from tests.e2e.conftest import SMALL, start

WAIT = 280  # seconds


def needs_gpu(what: str) -> Any:
    return pytest.mark.skipif(not torch.cuda.is_available(), reason=f"no GPU here, so not run: {what}")


def curve(device: str, folder: Path | None, epochs: int = 3) -> list[float]:
    """Training losses of a small CNN on random images whose class is their brightness."""
    generator = torch.Generator().manual_seed(0)
    labels = (torch.arange(96) % 2).float()
    images = (torch.randint(0, 120, (96, 32, 32, 3), generator=generator) + 60 * labels[:, None, None, None]).byte()
    rows = (torch.arange(64).to(device), torch.arange(64, 96).to(device))
    data = TrainingSet(ImageInputs(images.to(device)), labels.to(device), *rows, normalise_images)
    torch.manual_seed(0)
    settings = Training.model_validate({"epochs": epochs, "batch_size": 16, "augment": ["flip"], "precision": "fp32"})
    losses: list[float] = []
    fit(Fit(Cnn(channels=4, head_width=8), data, settings, folder=folder), lambda row: losses.append(row["train_loss"]))
    return losses


@needs_gpu("the fit loop")
def test_training_on_a_gpu_gives_the_losses_of_the_cpu_and_resumes(tmp_path: Path) -> None:
    whole = curve("cuda", tmp_path / "whole")
    assert whole == pytest.approx(curve("cpu", None), rel=1e-3)
    assert curve("cuda", tmp_path / "whole") == whole  # read back from its checkpoint


@needs_gpu("feature extraction")
def test_features_of_a_gpu_equal_those_of_the_cpu() -> None:
    images = np.random.default_rng(0).integers(0, 256, (64, 32, 32, 3), dtype=np.uint8)
    spec = TorchvisionSpec(random_weights("resnet50"), 32, "layer1", view="flip")
    columns = ("stem.std", "layer1.mean")
    extraction = Extraction((Pass(spec, spec.build(columns), columns),))
    (there,) = local_shards(ArrayPixels(images), [(0, 64)], extraction)
    here = run_one(images, 0, extraction, "cpu")
    for name, values in here.passes[0].items():
        np.testing.assert_allclose(there.passes[0][name].astype(float), values.astype(float), rtol=0.05, atol=0.02)


@pytest.mark.cluster
@needs_gpu("four trials at once on quarters of a GPU")
def test_four_trials_share_a_gpu(tmp_path: Path) -> None:
    (tmp_path / "small.yaml").write_text(SMALL)
    process = start("tune", tmp_path / "small.yaml", "--storage", tmp_path, "--set", "resources.gpus_per_trial=0.25")
    error = process.communicate(timeout=WAIT)[1]
    assert process.returncode == 0, error
    assert set(pd.read_csv(tmp_path / "small" / "trials.csv")["status"]) <= {"completed", "stopped"}
