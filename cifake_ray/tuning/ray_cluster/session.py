"""The Ray that a study runs on: one of its own, a cluster at an address, or that of the job it runs in."""

import importlib
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any

import ray

from cifake_ray.address import driver_address, no_cluster, token_file, wants_token
from cifake_ray.errors import InputError, WorkError
from cifake_ray.experiment import Experiment
from cifake_ray.machine import available_memory, end_children, ray_temporary, shared_memory, short_temporary
from cifake_ray.ray_private import (
    local_start,
    own_sigterm,
    process_class,
    start_options,
    trials_without_variables,
    use_token,
)
from cifake_ray.runs.resume import in_job
from cifake_ray.tuning.ray_cluster.capacity import local_node

PRELOADED = "cifake_ray.tuning.trial.trainable"  # by worker processes, while this one gathers what they need

# Tune's own files are not used (the journal is the record), and its snapshots would only cost time.
_SETTINGS = {
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",
    "TUNE_GLOBAL_CHECKPOINT_S": "1000000",
    "TUNE_MAX_PENDING_TRIALS_PG": "1000",  # start all processes at once, not one by one; our searcher says how many
    "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",
    "TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "0",
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_TRAIN_V2_ENABLED": "1",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}
_STARTS = 3  # tries to start a local Ray: on two cores busy with a study its processes missed their 30 s

# A raylet ends itself when its agents are not up after 30 s, or when the GCS hears nothing of it for about a minute: on
# a busy machine both happen to a Ray that is only slow. A Ray that is dead is noticed by `watching_ray`.
PATIENT = {"agent_register_timeout_ms": 180_000, "health_check_failure_threshold": 60}

# Of the object store in files: Ray's own choice on macOS, and the least that Ray takes.
_STORE_SHARE, _STORE_BYTES, _STORE_LEAST = 0.3, 2 * 2**30, 80 * 2**20

_own = False  # whether the connected Ray is one that `ray_session` started


@contextmanager
def ray_session(address: str | None, experiment: Experiment) -> Iterator[bool]:
    """The Ray at `address`, of the job we run in, one that is connected already, or else a Ray of our own.

    Yields whether it is our own, of this call or of one around it. Raises InputError when no cluster answers.
    """
    global _own  # noqa: PLW0603 (there is one connected Ray in a process)
    os.environ.update(_SETTINGS)
    if ray.is_initialized():
        yield _own
        return
    elsewhere = address is not None or in_job()
    quiet = {"log_to_driver": False, "logging_level": "error"}
    try:
        if elsewhere:
            if address not in (None, "auto") and wants_token(address):
                use_token()
            with own_sigterm():
                ray.init(address="auto" if address is None else driver_address(address), **quiet)
        else:
            _start_local(experiment, quiet)
    except (ConnectionError, ray.exceptions.AuthenticationError) as error:
        refusal = no_cluster(address)
        cure = f"{refusal.cure} (its token may be another: see ~/.ray/auth_token, RAY_AUTH_TOKEN_PATH)"
        raise InputError(refusal.what, cure) from error
    _own = not elsewhere
    try:
        yield _own
    finally:
        _own = False
        ray.shutdown()


class _InSessionOfItsOwn(process_class()):  # type: ignore[misc]
    """One of Ray's processes, out of reach of a signal to this process's group, with SIGTERM blocked.

    This process ends Ray's processes; when this process dies, the kernel ends them (Ray requests that). SIGTERM is
    blocked because systemd and Slurm send it to every process: the raylet would end, and 40 ms later Ray would end this
    process, unsaved.
    """

    def __init__(self, *arguments: Any, preexec_fn: Callable[[], None] | None = None, **options: Any) -> None:
        super().__init__(*arguments, preexec_fn=partial(_block_sigterm, preexec_fn), start_new_session=True, **options)

    def terminate(self) -> None:
        """Kill the process with its children: Ray would wait 1 s for each to end at SIGTERM (5.3 s, this way 1.1 s)."""
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)


def _block_sigterm(prepare: Callable[[], None] | None) -> None:
    """Do what Ray does in the new process before its program, then block SIGTERM, which exec keeps blocked."""
    if prepare is not None:
        prepare()
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})


def _start_local(experiment: Experiment, quiet: dict[str, Any]) -> None:
    """A cluster of this process alone; one logical CPU more for the processes that wait for workers."""
    cpus = int(local_node(gpus=False)["CPU"]) + (experiment.resources.workers_per_trial > 0)
    import_meanwhile("torch", "pandas")  # while this process waits for those of Ray
    known = token_file().exists()
    for left in reversed(range(_STARTS)):
        try:
            with local_start(_InSessionOfItsOwn):
                ray.init(
                    address="local",
                    num_cpus=cpus,
                    include_dashboard=False,
                    **_local_options(),
                    **quiet,
                )
            if not known:  # Ray lets every user of the machine read the token that it made
                with suppress(OSError):
                    token_file().chmod(0o600)
            return
        except BaseException as error:
            end_children()  # before the raylet, whose agents would outlive it by a minute
            ray.shutdown()
            if not isinstance(error, Exception):
                raise
            if not left:
                reason = " ".join(str(error).split())[:200]
                raise WorkError(f"Ray did not start on this machine: {reason}; {_cure(error)}") from error


def _local_options() -> dict[str, Any]:
    """Keywords of `ray.init` for a Ray on this machine, whose object store lies in files where /dev/shm is missing."""
    folder = short_temporary()
    settings = PATIENT | {"preload_python_modules": [PRELOADED]}
    if shared_memory() is not None:
        return start_options("127.0.0.1", folder, settings)
    size = max(min(available_memory() * _STORE_SHARE, _STORE_BYTES), _STORE_LEAST)
    objects = start_options("127.0.0.1", folder, settings, folder or ray_temporary())
    return objects | {"object_store_memory": int(size)}


def _cure(error: Exception) -> str:
    if isinstance(error, OSError) and not isinstance(error, TimeoutError):
        return "set RAY_TMPDIR to a short folder that can be written, and HOME to one that exists"
    return "try again when it is less busy"


def import_meanwhile(*names: str) -> None:
    """Import what is needed next in a thread; another import of these modules waits for the thread."""

    def work() -> None:
        with suppress(ImportError):  # raised where they are needed
            for name in names:
                importlib.import_module(name)

    threading.Thread(target=work).start()


@contextmanager
def waiting_processes() -> Iterator[None]:
    """Let trials run in the processes that Ray started with its node, which have their modules loaded by now.

    Tune gives a trial's process environment variables, and Ray then starts another process for the trial. The processes
    of a Ray of our own have inherited these variables.
    """
    with trials_without_variables():
        yield
