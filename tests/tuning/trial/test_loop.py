"""What a trial trains on: pictures of any size as squares that were made before."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from cifake_ray.data import load_images, split_train
from cifake_ray.data.decoding import decode
from cifake_ray.experiment import Experiment
from cifake_ray.runs.names import create_run
from cifake_ray.tuning.squares import hold_squares
from cifake_ray.tuning.trial.context import TrialContext
from cifake_ray.tuning.trial.loop import run_trial

from ...native import write_native

CNN: dict[str, Any] = {"kind": "cnn", "channels": 4}
TUNED: dict[str, Any] = {"kind": "resnet18", "weights": "random", "stages": ["stem"], "trainable": "all"}


def trial(
    tmp_path: Path, model: dict[str, Any], training: dict[str, Any], source: Path | None = None, **space: Any
) -> tuple[TrialContext, dict[str, Any]]:
    """The context of a study on pictures of many sizes, and the configuration of its baseline."""
    source = source or tmp_path / "native"
    tree = {
        "name": "native",
        "model": (CNN if "kind" not in model else {}) | {"head_width": 8, "image_size": 32} | model,
        "training": {"epochs": 2, "batch_size": 8, "precision": "fp32"} | training,
        "data": {"source": str(source) if source.exists() else write_native(source)},
        "search_space": space,
    }
    experiment = Experiment.model_validate(tree)
    run, images = create_run(tmp_path / "runs", "native", experiment), load_images(experiment.data.source)
    squares = hold_squares(experiment, images.train, lambda: None)
    context = TrialContext(experiment, run, images.path, split_train(images.train, 0.25, 0), {}, squares=squares)
    return context, {"params": {}, "seed": 1, "folder": "checkpoints/0", "trial_id": 0}


@contextmanager
def counted_decodings(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """The sizes in bytes of the encoded pictures that this process decodes meanwhile."""
    decoded: list[int] = []
    original = decode.decode_image

    def decode_image(data: bytes, transform: Any) -> Any:
        decoded.append(len(data))
        return original(data, transform)

    with monkeypatch.context() as patch:
        patch.setattr(decode, "decode_image", decode_image)
        patch.setattr("subprocess.Popen", None)  # nor by a process of its own
        yield decoded


@pytest.mark.parametrize(
    ("model", "training"),
    [
        ({"fit": "crop"}, {"augment": ["window", "flip"]}),
        ({"fit": "crop"}, {}),
        ({"fit": "repeat", "image_size": 64}, {"augment": ["window"]}),
        ({"fit": "tiles", "views": ["identity", "flip"]}, {"augment": ["flip", "cutout"]}),
        ({"fit": "resize", "image_size": 48}, {"augment": ["crop"]}),
        (TUNED | {"fit": "tiles"}, {}),
        (TUNED | {"fit": "crop"}, {"augment": ["window"]}),
    ],
)
def test_a_trial_trains_on_squares_and_decodes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model: dict[str, Any], training: dict[str, Any]
) -> None:
    context, config = trial(tmp_path, model, training)
    rows: list[dict[str, Any]] = []
    with counted_decodings(monkeypatch) as decoded:
        run_trial(context, config, rows.append)
    assert [row.get("failed") for row in rows] == [None, None]
    assert decoded == []


def test_native_pixels_around_the_square_change_nothing_where_no_window_is_drawn(tmp_path: Path) -> None:
    """A study that searches `window` holds larger squares for all of its trials."""
    losses = []
    for number, space in enumerate(({}, {"augment": {"type": "categorical", "choices": ["", "window"]}})):
        folder = tmp_path / "native"
        context, config = trial(tmp_path / str(number), {"fit": "crop"}, {"augment": []}, source=folder, **space)
        rows: list[dict[str, Any]] = []
        run_trial(context, config, rows.append)
        losses.append([row["val_loss"] for row in rows])
    assert losses[0] == losses[1]
