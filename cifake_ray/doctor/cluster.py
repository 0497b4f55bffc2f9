"""Checks of a Ray cluster: its address, dashboard and token from here, its nodes by the probe of `jobs`."""

from pathlib import Path
from urllib.parse import urlsplit

from cifake_ray.doctor.check import Check, judged
from cifake_ray.doctor.nodes import judge
from cifake_ray.errors import InputError, WorkError
from cifake_ray.experiment import SAMPLES
from cifake_ray.jobs.client import Cluster, Endpoint, TokenError, find_cluster, open_dashboard
from cifake_ray.jobs.probe_nodes import ask_as_driver, ask_by_job

_LOOPBACK = ("127.0.0.1", "localhost", "::1")


def cluster_checks(address: str, storage: str, source: str | None) -> list[Check]:
    """Every check of the cluster at HOST:PORT or http://HOST:PORT. Ends early where the next check could not be made.

    Probed by a driver where the address is a head's, by a job where it is a dashboard's.
    """
    paths = [] if source is None or source in SAMPLES or "://" in source else [_absolute(source)]
    shared = _absolute(storage) if "://" in storage or Path(storage).expanduser().is_absolute() else None
    checks: list[Check] = []
    try:
        endpoint = find_cluster(address)
        cluster = _open(endpoint, checks)
        if endpoint.head is not None:
            answer = ask_as_driver(endpoint.head, paths, shared)
        elif cluster is not None:
            answer = ask_by_job(cluster, paths, shared)
    except TokenError as error:
        return [*checks, _refusal("token", error)]
    except (InputError, WorkError) as error:
        return [*checks, _refusal("nodes" if checks else "address", error)]
    count = len(answer.nodes)
    return [
        Check("address", "green", f"{address}: {count} node{'s' if count > 1 else ''}"),
        *checks,
        *judge(answer, sent=endpoint.head is None, storage=shared),
    ]


def _refusal(name: str, error: Exception) -> Check:
    if isinstance(error, InputError):
        return Check(name, "red", error.what, error.cure)
    return Check(name, "red", str(error), "look at the head's log")


def _absolute(path: str) -> str:
    """The absolute path, as nodes have other working folders."""
    return path if "://" in path else str(Path(path).expanduser().absolute())


def _open(endpoint: Endpoint, checks: list[Check]) -> Cluster | None:
    """The Jobs API; appends the checks of dashboard and token. A driver needs no dashboard, a job does."""
    try:
        cluster = open_dashboard(endpoint)
    except TokenError:
        raise
    except InputError as error:
        if endpoint.head is None:
            raise
        checks.append(Check("dashboard", "amber", error.what, error.cure))
        return None
    parts = urlsplit(cluster.url)
    public = parts.hostname not in _LOOPBACK
    cure = "start the head with --dashboard-host 127.0.0.1 and reach it by an SSH tunnel: nothing is encrypted"
    checks.append(judged("dashboard", f"{cluster.url} answers", cure, amber=public and parts.scheme == "http"))
    free = cluster.open_to_all
    found = "requires no token: whoever reaches it runs code there" if free else "takes ours"
    cure = "start the head with RAY_AUTH_MODE=token"
    checks.append(judged("token", f"{cluster.url} {found}", cure, amber=free, red=free and public))
    return cluster
