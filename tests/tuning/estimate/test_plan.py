"""What a study is said to cost."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cifake_ray.cli.show import duration, plan_lines
from cifake_ray.experiment import Experiment
from cifake_ray.features import ensure_features
from cifake_ray.tuning.estimate.plan import calibrated_batches, drawn_batches, epoch_model, plan_study, widest_features
from cifake_ray.tuning.estimate.timing import Pace, time_decoding
from cifake_ray.tuning.study_inputs import gather_inputs
from tests.e2e.conftest import Command, cifake_ray, small

from ..conftest import experiment_of

__all__ = ["cifake_ray", "small"]  # fixtures


def test_an_epoch_is_steps_validation_and_a_clean_pass_over_at_most_10000_images() -> None:
    pace = Pace(batch_size=100, step=0.5, image=0.001)
    assert pace.epoch(train=1000, validation=200) == pytest.approx(10 * 0.5 + (200 + 1000) * 0.001)
    assert pace.epoch(train=50_000, validation=0) == pytest.approx(500 * 0.5 + 10_000 * 0.001)
    assert pace.epoch(train=50, validation=0) == pytest.approx(0.5 + 0.05)  # one smaller step


def test_a_batch_size_between_two_timed_ones_is_interpolated() -> None:
    paces = [Pace(32, 0.010 + 32 * 0.001, 0.0), Pace(256, 0.010 + 256 * 0.001, 0.0)]
    assert epoch_model(paces, 6400, 0, 1)(64) == pytest.approx(100 * (0.010 + 64 * 0.001))
    assert epoch_model(paces[:1], 6400, 0, 1)(64) == pytest.approx(200 * paces[0].step)


def test_workers_share_each_batch_but_not_what_a_step_costs_at_any_size() -> None:
    paces = [Pace(32, 0.010 + 32 * 0.001, 0.002), Pace(256, 0.010 + 256 * 0.001, 0.002)]
    assert epoch_model(paces, 6400, 1000, 4)(64) == pytest.approx(100 * (0.010 + 16 * 0.001) + 7400 * 0.002 / 4)


def test_the_baselines_batch_and_the_ends_of_the_searched_range_are_timed() -> None:
    categories = {"type": "categorical", "choices": [128, 32, 64]}
    assert calibrated_batches(experiment_of({"batch_size": categories}, training={"batch_size": 64})) == [64, 32, 128]
    whole = {"type": "int", "low": 16, "high": 512, "log": True}
    assert calibrated_batches(experiment_of({"batch_size": whole}, training={"batch_size": 16})) == [16, 512]
    assert calibrated_batches(experiment_of({}, training={"batch_size": 48})) == [48]
    assert set(drawn_batches(experiment_of({"batch_size": categories}, training={"batch_size": 64}))) == {32, 64, 128}
    assert drawn_batches(experiment_of({}, training={"batch_size": 48})) == [48]


def test_memory_is_that_of_the_trial_with_the_most_features() -> None:
    tree = {
        "name": "frozen",
        "model": {"kind": "resnet50", "weights": "random", "stages": ["layer1"], "pool": ["mean"]},
        "search_space": {
            "stages": {"type": "categorical", "choices": [["layer1"], ["stem", "layer1"]]},
            "pool": {"type": "categorical", "choices": [["mean"], ["mean", "std"]]},
        },
    }
    assert widest_features(Experiment.model_validate(tree)) == 2 * (64 + 256)
    assert widest_features(Experiment.model_validate(tree | {"search_space": {}})) == 256


def test_a_plan_of_a_small_study_adds_up_and_says_whether_the_budget_holds_it() -> None:
    experiment = experiment_of(
        model={"head_width": 8, "channels": 4},
        search={"time_budget_s": 1e-3, "winner_seeds": 0},
        data={"limit": 200},
        space={"batch_size": {"type": "categorical", "choices": [32, 64]}},
    )
    plan = plan_study(experiment)
    assert [timing.batch_size for timing in plan.timings] == [32, 64]
    assert all(timing.seconds_per_epoch > 0 for timing in plan.timings)
    assert (plan.train_images, plan.validation_images) == (160, 40)
    assert plan.extraction_s == plan.retraining_s == 0
    assert plan.tuning_s <= plan.tuning_full_s
    assert plan.total_full_s - plan.total_s == pytest.approx(plan.tuning_full_s - plan.tuning_s)
    assert 2**27 < plan.trial_bytes < 2**33
    assert plan.fits is False
    assert plan.trials_in_budget == 0
    assert "time budget         0.001 s: ends the study after about 0 trials" in "\n".join(plan_lines(plan))


def test_a_plan_of_a_frozen_model_times_its_extraction_until_the_features_are_there(
    cifake_ray: Command, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = "model: {kind: resnet50, weights: random, image_size: 32, stages: [stem], pool: [mean]}"
    file = tmp_path / "frozen.yaml"
    file.write_text(f"name: frozen\n{model}\ndata: {{source: sample, limit: 200}}\nsearch: {{trials: 2}}\n")
    assert cifake_ray("plan", file, "--json") == 0
    plan = json.loads(capsys.readouterr().out)
    assert plan["extraction_s"] > 0
    assert plan["cache_bytes"] == 250 * (32 * 32 * 3 + 2 * 2 * 64)


def test_a_plan_counts_decoding_of_pictures_of_any_size_once_for_all_passes(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for number in range(120):
        file = tmp_path / "pictures" / ("FAKE", "REAL")[number % 2] / f"{number}.jpg"
        file.parent.mkdir(parents=True, exist_ok=True)
        small = Image.fromarray(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8))
        small.resize((100 + number, 90)).save(file)
    frozen = {"kind": "resnet18", "weights": "random", "image_size": 32, "stages": ["stem"], "fit": "crop"}
    experiment = experiment_of(
        {"image_size": {"type": "categorical", "choices": [32, "48+32"]}},
        model=frozen,
        data={"source": str(tmp_path / "pictures"), "test_fraction": 0.3},
    )
    plan, inputs = plan_study(experiment), gather_inputs(experiment)
    train = inputs.images.train
    assert plan.extraction_s > 0
    assert time_decoding(inputs.specs, train) > 0
    encoded = sum(file.stat().st_size for file in (tmp_path / "pictures").rglob("*.jpg"))
    assert plan.cache_bytes == encoded + 120 * 3 * 2 * 2 * 64  # three passes: 32 px, and both of the square of 48 px
    ensure_features(train, inputs.specs)
    assert plan_study(experiment).extraction_s == 0


def test_plan_refuses_what_tune_would_refuse(
    cifake_ray: Command, small: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cifake_ray("plan", small, "--set", "resources.cpus_per_trial=4096") == 2
    assert "one trial requests 4096 CPUs" in capsys.readouterr().err
    assert cifake_ray("plan", "nowhere.yaml") == 2
    assert "cannot be read" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4213, "0.42 s"), (37.2, "37 s"), (700, "12 min"), (12_240, "3.4 h"), (0, "0 s")]
)
def test_durations_are_in_the_unit_a_person_would_choose(seconds: float, text: str) -> None:
    assert duration(seconds) == text
