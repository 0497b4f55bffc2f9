"""The Tune trainable of a study: a trial in its own process (Ray Train's local mode), or with workers."""

from typing import Any

import ray
from ray import train, tune
from ray.train.torch import TorchTrainer
from ray.tune.trainable.function_trainable import wrap_function

from cifake_ray.tuning.trial.context import Loop, TrialContext
from cifake_ray.tuning.trial.loop import run_trial
from cifake_ray.tuning.trial.naming import actor_label
from cifake_ray.tuning.trial.workers import EndsWorkers, run_distributed


def build_trainable(context: TrialContext, bundle: dict[str, float], loop: Loop = run_trial) -> type[tune.Trainable]:
    """The Tune trainable of a study: `TorchTrainer` in the trial's own process, or with workers of its own.

    The class is named after the model, as its actors have this name in the dashboard. `bundle`: CPUs and GPUs of a
    trial's own process; `loop`: what a trial does (benchmarks give one that trains nothing).
    """
    reference = ray.put(context)
    run = run_distributed if context.experiment.resources.workers_per_trial else _run_local
    kind, study = context.experiment.model.kind, context.run.name

    def trial(config: dict[str, Any]) -> None:
        run(ray.get(reference), config, loop)

    class ModelTrial(EndsWorkers, wrap_function(trial, name=kind)):  # type: ignore[misc]
        def __repr__(self) -> str:
            return actor_label(study, self.config)

        @classmethod
        def default_resource_request(cls, config: dict[str, Any]) -> tune.PlacementGroupFactory:  # noqa: ARG003
            return tune.PlacementGroupFactory([bundle])

    ModelTrial.__name__ = ModelTrial.__qualname__ = f"{kind.replace('-', ' ').title().replace(' ', '')}Trial"
    return ModelTrial


def _run_local(context: TrialContext, config: dict[str, Any], loop: Loop) -> None:
    """Ray Train's local mode. Its own `report` keeps only the last value, hence `tune.report`."""
    trainer = TorchTrainer(
        lambda: loop(context, config, tune.report),
        scaling_config=train.ScalingConfig(num_workers=0),
    )
    trainer.fit()
