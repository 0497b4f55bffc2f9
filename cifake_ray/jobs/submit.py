"""Submit a study: check it, probe the cluster, send the package, start `cifake-ray tune` there as a job."""

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from cifake_ray import __version__
from cifake_ray.errors import InputError, WorkError
from cifake_ray.experiment import SAMPLES, Experiment, check_study
from cifake_ray.jobs.client import Cluster
from cifake_ray.jobs.package import EXPERIMENT_FILE, Package
from cifake_ray.jobs.probe_nodes import Answer, Node, ask_by_job
from cifake_ray.jobs.versions import check_versions
from cifake_ray.jobs.watch import study_jobs
from cifake_ray.runs.commit import COMMIT_VARIABLE, git_commit

STOP_SECONDS = 30  # a job has after SIGTERM, by RAY_JOB_STOP_WAIT_TIME_S; Ray's own 3 s are short for a busy machine
_WEIGHT_FILES = (".safetensors", ".pth", ".pt", ".ckpt", ".bin")


@dataclass(frozen=True)
class Submission:
    """What to run on the cluster: a new study of this experiment, or (None) the run of this name again."""

    study: str
    storage: str  # without a slash at its end, or it is another for a running job
    experiment: Experiment | None = None
    trials: int | None = None
    data: str | None = None  # where the images of a run that is resumed are now
    trust: bool = False  # of a run that is resumed: its Python file may be executed
    parents: tuple[str, ...] = ()  # runs that a new study begins from: names in `storage`, or places there

    @property
    def run(self) -> str:
        """The run directory."""
        return f"{self.storage}/{self.study}"

    @property
    def entrypoint(self) -> str:
        """The shell command of the job. The data are named again, or the head's CIFAKE_RAY_DATA would win."""
        if self.experiment is None:
            more = [] if self.trials is None else ["--trials", str(self.trials)]
            more += [] if self.data is None else ["--data", self.data]
            more += ["--trust"] if self.trust else []
            what = ["--resume", self.study, *more]
        else:
            what = [EXPERIMENT_FILE, "--name", self.study, "--data", self.experiment.data.source]
            what += [word for parent in self.parents for word in ("--warm-start", parent)]
        return f"exec {shlex.join(['python', '-m', 'cifake_ray', 'tune', *what, '--storage', self.storage])}"


def check_submission(submission: Submission) -> None:
    """Raise InputError when the study could not begin on any cluster; sends no request."""
    _check_place("--storage", submission.storage, "a folder that all nodes share, as /shared/runs, or s3://BUCKET/runs")
    if submission.experiment is not None:
        check_study(submission.experiment, submission.study)
    places = {"--data": _data(submission), "weights": _weights(submission), "--warm-start": _parents(submission)}
    for kind, files in places.items():
        for file in files:
            _check_place(kind, file, "the absolute path that it has on the nodes")


def _check_place(what: str, place: str, cure: str) -> None:
    if not place.startswith("/") and not re.match(r"[a-z][a-z0-9+]*://", place):
        raise InputError(f"{what} {place}: a relative path, and a job runs elsewhere", f"name {cure}")


def _files(submission: Submission) -> list[str]:
    """Everything that the study names by a path: images, files of weights, runs that the study begins from."""
    return [*_data(submission), *_weights(submission), *_parents(submission)]


def _data(submission: Submission) -> list[str]:
    source = submission.data if submission.experiment is None else submission.experiment.data.source
    return [] if source in (None, *SAMPLES) else [str(source)]


def _parents(submission: Submission) -> list[str]:
    """Folders and addresses of runs; a name alone is looked up in the storage by the job."""
    return [parent for parent in submission.parents if "/" in parent]


def _weights(submission: Submission) -> list[str]:
    return [] if submission.experiment is None else _weight_files(submission.experiment)


def _weight_files(experiment: Experiment) -> list[str]:
    return sorted(name for name in experiment.weight_names() if name.endswith(_WEIGHT_FILES))


def ask_cluster(cluster: Cluster, submission: Submission) -> Answer:
    """Request the versions of every node and the paths on the head, and check both.

    Raises InputError when the study cannot run there, or a job runs it already.
    """
    for job in study_jobs(cluster):
        if not job.ended and (job.study, job.storage) == (submission.study, submission.storage):
            raise InputError(
                f"{submission.run}: job {job.id} is still running it", f"follow it with `cifake-ray logs {job.id} -f`"
            )
    paths = [path for path in (_noted(submission), *_files(submission)) if path[0] == "/"]
    packages = submission.experiment.model.packages if submission.experiment else ()
    answer = ask_by_job(cluster, paths, packages=packages)
    check_versions(answer.nodes)
    check_paths(submission, answer.exists)
    check_weights(submission, answer.nodes)
    return answer


def check_paths(submission: Submission, exists: Mapping[str, bool]) -> None:
    """Raise InputError when the head, where the driver runs, lacks the run or the data, or has such a run already.

    Paths that `exists` lacks, as those in object storage, are left to the driver.
    """
    if submission.experiment is None and exists.get(_noted(submission)) is False:
        raise InputError(f"{submission.run}: no such run on the cluster's head", "check --resume and --storage")
    if submission.experiment is not None and exists.get(_noted(submission)):
        again = shlex.join(["cifake-ray", "submit", "--resume", submission.study, "--storage", submission.storage])
        raise InputError(
            f"{submission.run}: a run of this name exists", f"resume it with `{again}`, or choose another --name"
        )
    for file in _files(submission):
        if exists.get(file) is False:
            raise InputError(
                f"{file}: the cluster's head has no such path", "put it there, or name one that nodes share"
            )


def check_weights(submission: Submission, nodes: Sequence[Node]) -> None:
    """Raise InputError naming a node that lacks weights which its trials would read, to fine-tune them."""
    if submission.experiment is None or submission.experiment.model.takes_features:
        return
    for file in _weight_files(submission.experiment):
        for node in nodes:
            if node.facts.get("exists", {}).get(file) is False:
                raise InputError(f"weights {file}: node {node.name} has no such file", "put it on every node")


def _noted(submission: Submission) -> str:
    """The file that every run has."""
    return f"{submission.run}/experiment.yaml"


def send(cluster: Cluster, submission: Submission, package: Package) -> str:
    """Upload the package and start the job; return its id. Raises WorkError when the cluster does not confirm it."""
    experiment, job = submission.experiment, f"{submission.study}-{uuid4().hex[:6]}"
    request: dict[str, Any] = {
        "entrypoint": submission.entrypoint,
        "submission_id": job,
        "runtime_env": {
            "working_dir": str(package.folder),
            "env_vars": {"RAY_JOB_STOP_WAIT_TIME_S": str(STOP_SECONDS), COMMIT_VARIABLE: git_commit() or ""},
        },
        "metadata": {
            "job_name": f"{'tune' if experiment else 'resume'} {submission.study}",
            "experiment": experiment.name if experiment else "",
            "study": submission.study,
            "storage": submission.storage,
            "cifake_ray": __version__,
        },
    }
    try:
        cluster.submit_job(**request)
    except InputError as error:  # it answered a moment ago, and may have begun the job
        raise WorkError(f"{error}; before you submit again, see with `cifake-ray status` whether {job} runs") from error
    return job
