"""What a trial's process says of itself."""

import pytest
import ray

from cifake_ray.ray_private import process_title
from cifake_ray.tuning.trial.naming import print_epoch, show_title, trial_name

from ..conftest import epoch_result


def test_a_trial_is_called_by_its_number_and_a_retraining_by_its_folder() -> None:
    assert trial_name({"folder": "trials/7"}) == "trial 7"
    assert trial_name({"folder": "winners/tuned-trial7-seed1"}) == "tuned-trial7-seed1"


def test_each_epoch_is_a_line_in_the_log(capsys: pytest.CaptureFixture[str]) -> None:
    print_epoch("trial 7", epoch_result(2, 0.9), 10)
    assert capsys.readouterr().out == "trial 7 epoch 2/10: validation accuracy 90.00 %, val_loss 0.1000, 1.2 s\n"


@pytest.mark.usefixtures("ray_session")
def test_an_actors_title_names_its_class_and_the_trial_it_has_now() -> None:
    @ray.remote(num_cpus=0)
    class CnnTrial:
        def train(self, name: str) -> str:
            show_title(name)
            show_title(name)
            return process_title()

    actor = CnnTrial.remote()
    assert ray.get(actor.train.remote("trial 7")) == "ray::CnnTrial trial 7"
    assert ray.get(actor.train.remote("trial 8")) == "ray::CnnTrial trial 8"
    ray.kill(actor)


def test_another_process_keeps_its_title() -> None:
    before = process_title()
    show_title("trial 7")
    assert process_title() == before
