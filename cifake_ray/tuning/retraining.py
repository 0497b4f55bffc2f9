"""The winner and the baseline, trained again with fresh seeds, so that neither is judged by the run that chose it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cifake_ray.errors import WorkError
from cifake_ray.experiment import Metric
from cifake_ray.runs.columns import Status
from cifake_ray.runs.records import SCHEMA, Epoch, Seed, Winner, Winners
from cifake_ray.runs.records.store import read_tested, read_winners, write_record
from cifake_ray.runs.run import Run
from cifake_ray.training.checkpoint import BEST, LAST, load_checkpoint
from cifake_ray.training.fit import FitState
from cifake_ray.tuning.monitor.callback import RunningTrial, StudyCallback
from cifake_ray.tuning.record import StudyRecord, TrialRow


@dataclass(frozen=True)
class Retraining:
    """One training of a role's configuration with one seed; `folder` under the run holds its checkpoints.

    The folder is named after the trial too, so that an interrupted retraining of another trial is not resumed.
    """

    role: str
    trial_id: int
    params: dict[str, Any]
    seed: int

    @property
    def folder(self) -> str:
        return f"winners/{self.role}-trial{self.trial_id}-seed{self.seed}"

    def config(self) -> dict[str, Any]:
        return {"trial_id": None, "params": self.params, "seed": self.seed, "folder": self.folder}


class RetrainingFailures(StudyCallback):
    """Why retrainings failed, by name."""

    def __init__(self) -> None:
        self.reasons: dict[str, str] = {}

    def trial_ended(self, trial: RunningTrial, status: Status, reason: str) -> None:
        if trial.trial_id is None and status == "failed":
            self.reasons[trial.name] = reason


def planned_retrainings(record: StudyRecord) -> list[Retraining]:
    """Seeds s+1 … s+k of the best configuration and of the baseline; only one of them when they are the same.

    Raises WorkError when every trial failed.
    """
    best = record.best()
    if best is None:
        reasons = sorted({row.error for row in record.rows.values() if row.error})
        raise WorkError(f"{record.run.where}: all trials failed: {'; '.join(reasons)[:300] or 'no epoch was finished'}")
    roles: list[tuple[str, TrialRow]] = [("tuned", best)]
    if best.trial_id != 0:
        roles.append(("baseline", record.rows[0]))
    first = record.experiment.training.seed + 1
    seeds = range(first, first + record.experiment.search.winner_seeds)
    return [Retraining(role, row.trial_id, row.params, seed) for seed in seeds for role, row in roles]


def already_retrained(run: Run, plan: list[Retraining]) -> bool:
    """Whether winners.json (or the tested result) holds these retrainings, failed ones among them.

    Retrainings in winners.json wait for the test, so that their checkpoints must be readable too.
    """
    waiting = read_winners(run)
    if not waiting.empty and not _readable(run, waiting):
        return False
    noted = read_tested(run) if waiting.empty else waiting
    found = [(winner.role, winner.trial_id) for winner in noted.winners for _ in [*winner.seeds, *winner.failed]]
    return sorted(found) == sorted((retraining.role, retraining.trial_id) for retraining in plan)


def _readable(run: Run, noted: Winners) -> bool:
    run.checkpoints("winners")
    folders = [seed.folder for winner in noted.winners for seed in winner.seeds]
    return all(load_checkpoint(run.path / folder / BEST) is not None for folder in folders)


def is_complete(record: StudyRecord) -> bool:
    """Whether nothing is left to do: every trial ended, winner and baseline were trained again and tested.

    Raises WorkError when every trial failed.
    """
    run, search = record.run, record.experiment.search
    if record.finished < search.trials or record.with_status("interrupted") or not run.test_file.exists():
        return False
    if run.winners_file.exists():  # retrained, and not tested yet
        return False
    if search.winner_seeds:
        return already_retrained(run, planned_retrainings(record))
    best = record.best()
    return best is not None and [winner.trial_id for winner in read_tested(run).winners] == [best.trial_id]


def lost_winner(run: Run, record: StudyRecord) -> list[dict[str, Any]]:
    """Without retraining (`winner_seeds: 0`): the best trial's config, to train it again, if its checkpoint is lost."""
    if (best := record.best()) is None:
        planned_retrainings(record)
        return []
    folder, seed = f"trials/{best.trial_id}", record.experiment.training.seed + best.trial_id
    if _seed_entry(run.checkpoints(folder).path, seed) is not None:
        return []
    return [{"trial_id": None, "params": best.params, "seed": seed, "folder": folder}]


def note_winners(run: Run, plan: list[Retraining], failures: dict[str, str], epochs: int) -> None:
    """Write winners.json: what each retraining reached, before the test part is touched.

    Raises WorkError when every retraining of the winner failed.
    """
    winners: list[Winner] = []
    run.checkpoints("winners")
    for role in dict.fromkeys(retraining.role for retraining in plan):
        members = [retraining for retraining in plan if retraining.role == role]
        seeds = [entry for member in members if (entry := _seed_entry(run.path / member.folder, member.seed))]
        failed = [failures[Path(member.folder).name] for member in members if Path(member.folder).name in failures]
        first = members[0]
        winners.append(_winner(role, first.trial_id, first.params, epochs, seeds, failed))
    if plan and not winners[0].seeds:
        raise WorkError(f"{run.where}: every retraining of the winner failed: {'; '.join(winners[0].failed)[:300]}")
    write_record(run.winners_file, Winners(schema_version=SCHEMA, winners=winners))


def promote_trial(run: Run, record: StudyRecord) -> None:
    """Without retraining (`winner_seeds: 0`): the best trial's own checkpoint stands for the winner."""
    best = record.best()
    if best is None:
        planned_retrainings(record)
        return
    seed = record.experiment.training.seed + best.trial_id
    entry = _seed_entry(run.checkpoints(f"trials/{best.trial_id}").path, seed)
    if entry is None:
        raise WorkError(f"{run.where}: the best trial ({best.trial_id}) left no checkpoint; train it again")
    winner = _winner("tuned", best.trial_id, best.params, len(entry.curve), [entry], [])
    write_record(run.winners_file, Winners(schema_version=SCHEMA, winners=[winner]))


def _winner(
    role: str, trial_id: int, params: dict[str, Any], epochs: int, seeds: list[Seed], failed: list[str]
) -> Winner:
    return Winner(
        role=role,
        trial_id=trial_id,
        params=params,
        epochs=epochs,
        seeds=seeds,
        seconds=sum(seed.seconds for seed in seeds),
        failed=failed,
        cpu_seconds=sum(seed.cpu_seconds for seed in seeds),
    )


def _seed_entry(folder: Path, seed: int) -> Seed | None:
    """What one training reached, from its checkpoints; None when it has none."""
    stored = load_checkpoint(folder / LAST)
    if stored is None or load_checkpoint(folder / BEST) is None:
        return None
    progress = FitState.from_note(stored[1])
    return Seed(
        seed=seed,
        folder=f"{folder.parent.name}/{folder.name}",
        best_epoch=progress.best_epoch,
        train_accuracy=progress.train_accuracy,
        **{str(metric): value for metric in Metric if (value := getattr(progress.best, metric)) is not None},
        seconds=progress.seconds,
        cpu_seconds=progress.cpu_seconds,
        curve=[
            Epoch(**{key: value for key, value in vars(epoch).items() if value is not None}) for epoch in progress.curve
        ],
    )
