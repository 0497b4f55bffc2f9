"""Everything that follows a study, in the order in which it is called. A new tracker is one line here."""

from cifake_ray.runs.records import FeatureCost
from cifake_ray.tuning.monitor.callback import Callbacks, StudyCallback
from cifake_ray.tuning.monitor.display import display_of, study_work
from cifake_ray.tuning.monitor.failures import ProcessFailures
from cifake_ray.tuning.monitor.gauges import StudyGauges
from cifake_ray.tuning.monitor.stopping import LastLine, StopConditions, StopSignal, StorageCheck
from cifake_ray.tuning.monitor.waiting import StartPatience
from cifake_ray.tuning.ray_cluster.capacity import Capacity
from cifake_ray.tuning.ray_cluster.shared_storage import SharedStorage
from cifake_ray.tuning.record import StudyRecord
from cifake_ray.tuning.study_inputs import StudyInputs


def study_callbacks(
    record: StudyRecord, inputs: StudyInputs, spent: FeatureCost | None, capacity: Capacity, signal: StopSignal,
    nodes: SharedStorage | None,
) -> Callbacks:  # fmt: skip
    """What follows the record's study. `spent`: on extracting features; `nodes`: to check, on a cluster."""
    train, test = len(inputs.split.train), len(inputs.images.test)
    cost = test * spent.seconds / spent.extracted if spent and spent.extracted else 0.0
    work = study_work(record, test / train, cost)
    storage: list[StudyCallback] = [] if nodes is None else [StorageCheck(record, nodes)]
    return Callbacks(
        [
            display_of(record, work),
            StudyGauges(record, train),
            LastLine(record),
            ProcessFailures(record),
            StartPatience(record, capacity),
            *storage,
            StopConditions(record, signal),  # last: it leaves Tune's loop
        ]
    )
