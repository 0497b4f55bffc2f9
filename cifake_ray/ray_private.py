"""Every private name of Ray that this package uses, so that an upgrade of Ray is checked in one file.

`tests/test_ray_private.py` holds each of them against the installed Ray. Ray is imported inside the functions: reading
an address needs none of it.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

LOGGERS = (  # that Ray's job client writes to on its own
    "ray.dashboard.modules.dashboard_sdk",
    "ray.dashboard.modules.job.sdk",
    "ray._private.runtime_env.packaging",
)


def use_token() -> None:
    """Turn token authentication on where there is a token, as Ray's own commands do.

    Raises Ray's AuthenticationError when a token file is named and is not there.
    """
    from ray._private.authentication.authentication_token_setup import AUTH_MODE_ENV_VAR
    from ray._raylet import AuthenticationTokenLoader, Config  # type: ignore[attr-defined]

    if AUTH_MODE_ENV_VAR in os.environ or not AuthenticationTokenLoader.instance().has_token(ignore_auth_mode=True):
        return
    os.environ[AUTH_MODE_ENV_VAR] = "token"
    Config.initialize("")


def running_clusters() -> set[str]:
    """HOST:PORT of the GCS of every Ray cluster that has a process on this host."""
    from ray._private import services

    return set(services.find_gcs_addresses())


def dashboard_address(gcs: str) -> str | None:
    """HOST:PORT of the dashboard as the GCS at HOST:PORT knows it; None before it has one. Has no time limit."""
    from ray._private.ray_constants import DASHBOARD_ADDRESS, KV_NAMESPACE_DASHBOARD
    from ray._raylet import GcsClient  # type: ignore[attr-defined]

    found = GcsClient(address=gcs).internal_kv_get(DASHBOARD_ADDRESS.encode(), KV_NAMESPACE_DASHBOARD)
    return found.decode() if found else None


def raylet_socket() -> str:
    """Path of the socket of the raylet that this process is connected to."""
    from ray._private import worker

    return str(worker._global_node.raylet_socket_name)


def logs_folder() -> str:
    """Path of the folder of logs of the Ray that this process is connected to."""
    from ray._private import worker

    return str(worker._global_node.get_logs_dir_path())


def node_of_trial(trial: Any) -> str:
    """Id of the node that a Tune trial's actor runs on. Raises KeyError or AttributeError when the actor is gone."""
    from ray._private.state import actors

    return str(actors(trial.temporary_state.ray_actor._actor_id.hex())["Address"]["NodeID"])


def process_title() -> str:
    """Title of this process, as Ray set it: `ray::Trial.train()`."""
    from ray import _raylet

    return str(_raylet.getproctitle())  # type: ignore[attr-defined]


def set_process_title(title: str) -> None:
    """Set the title of this process in the process table and in Ray's dashboard."""
    from ray import _raylet

    _raylet.setproctitle(title)  # type: ignore[attr-defined]


def trial_session() -> Any:
    """Tune's session of the trial that this process runs; None outside a trial."""
    from ray.train._internal.session import get_session

    return get_session()


def take_report(session: Any, timeout: float) -> None:
    """Take the next report that a trial's workers have queued. Raises queue.Empty after `timeout` seconds."""
    session._get_or_create_inter_actor_queue().get(timeout=timeout)


def process_class() -> Any:
    """The Popen class that Ray starts its own processes with."""
    from ray._private import services

    return services.ConsolePopen


def own_sigterm() -> Any:
    """Context in which `ray.init` leaves this process's handler of SIGTERM alone."""
    from ray._private import utils

    return _replaced((utils, "set_sigterm_handler", lambda _: None))


def local_start(popen: Any) -> Any:
    """Context in which `ray.init` starts its processes by `popen` and they listen on the loopback interface alone."""
    from ray._private import ray_constants, services, utils

    return _replaced(
        (utils, "set_sigterm_handler", lambda _: None),
        (ray_constants, "ENABLE_RAY_CLUSTER", False),  # Ray's switch for laptops: else it listens on every interface
        (services, "ConsolePopen", popen),
    )


def start_options(
    address: str, folder: str | None, settings: dict[str, Any], objects: str | None = None
) -> dict[str, Any]:
    """Keywords of `ray.init`: IP address of the node, folders of its session and of its object store, settings of Ray.

    A folder that is None is Ray's own; that of the object store is /dev/shm, which must exist then.
    """
    options = {"_node_ip_address": address, "_temp_dir": folder, "_system_config": settings}
    return options | ({"_plasma_directory": objects} if objects else {})


def put_in_bracket(scheduler: Any, trial: str, choose: Callable[[int, float], int]) -> None:
    """Put a trial into a bracket of Tune's AsyncHyperBandScheduler: `choose(number of brackets, reduction factor)`."""
    index = choose(len(scheduler._brackets), scheduler._reduction_factor)
    scheduler._trial_info[trial] = scheduler._brackets[index]


def median_results(scheduler: Any) -> Any:
    """The results of every trial that Tune's MedianStoppingRule has seen, as lists by trial, to be extended."""
    return scheduler._results


def forget_stop(scheduler: Any, trial: Any) -> None:
    """Make Tune's MedianStoppingRule continue a trial that it would have stopped."""
    scheduler._stopped_trials.discard(trial)


def trials_without_variables() -> Any:
    """Context in which Tune gives a trial's process no environment variables of its own."""
    from ray.tune.execution import class_cache

    return _replaced((class_cache, "DEFAULT_ENV_VARS", {}), (class_cache, "ENV_VARS_TO_PROPAGATE", set()))


@contextmanager
def _replaced(*values: tuple[Any, str, Any]) -> Iterator[None]:
    """Names of modules (module, name, value) with other values for a while."""
    before = [(module, name, getattr(module, name)) for module, name, _ in values]
    for module, name, value in values:
        setattr(module, name, value)
    try:
        yield
    finally:
        for module, name, value in before:
            setattr(module, name, value)
