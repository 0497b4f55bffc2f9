"""The Jobs API of a Ray cluster: found, requested with a time limit, each failure one line with its cure."""

import logging
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests
from ray.exceptions import AuthenticationError
from ray.job_submission import JobSubmissionClient

from cifake_ray.address import CONNECT_SECONDS, answers
from cifake_ray.errors import InputError, WorkError
from cifake_ray.ray_private import LOGGERS, dashboard_address, use_token

ADDRESS_VARIABLES = ("RAY_API_SERVER_ADDRESS", "RAY_ADDRESS")  # in Ray's own order
_ANSWER_SECONDS, _LOOKUP_SECONDS = 60.0, 8.0
LIKE = "http://HOST:8265"
_NO_AGENT = (
    "{}: no node of the cluster takes jobs; its agent is still starting, or another Ray on the machine (a running "
    "`tune`) has its port: start each node with a --dashboard-agent-listen-port of its own"
)


class TokenError(InputError):
    """The cluster wants a token, and none was sent or another one."""


class NoAgentError(WorkError):
    """The cluster answers, and no node takes a job, or not yet."""


@dataclass(frozen=True)
class Endpoint:
    """Where a cluster answers: its dashboard's URL (None: it has none), and HOST:PORT of its head if that was named."""

    dashboard: str | None
    head: str | None = None


class Cluster(JobSubmissionClient):  # type: ignore[misc]
    """Ray's own client, whose requests have no time limit and whose errors are several lines, with both mended."""

    @property
    def url(self) -> str:
        return str(self._address)

    def ask(self, method: str, endpoint: str, **options: Any) -> requests.Response:
        """One request. Raises InputError when the cluster does not answer or refuses the token."""
        response: requests.Response = self._do_request(method, endpoint, **options)
        return response

    @property
    def open_to_all(self) -> bool:
        """Whether the cluster answers without a token."""
        return requests.get(f"{self.url}/api/version", verify=self._verify, timeout=_ANSWER_SECONDS).ok

    def _do_request(self, method: str, endpoint: str, **options: Any) -> Any:
        # requests counts the sending of a body as a part of the connection
        sending = CONNECT_SECONDS if options.get("data") is None else _ANSWER_SECONDS
        try:
            return super()._do_request(method, endpoint, timeout=(sending, _ANSWER_SECONDS), **options)
        except AuthenticationError as error:
            raise _refused(self.url, "401" in str(error) or "required" in str(error)) from error
        except requests.RequestException as error:
            late = isinstance(error, requests.Timeout) or "timed out" in str(error)  # the latter while sending
            cure = "see whether the cluster is up and can be reached from here"
            raise (InputError(f"{self.url}: no answer in time", cure) if late else _gone(self.url)) from error

    def _raise_error(self, r: Any) -> None:
        lines = str(r.text).strip().splitlines() or ["no reason was given"]
        if "No available agent" in lines[-1]:  # Ray gives up a port that is taken, and says so only in the agent's log
            raise NoAgentError(_NO_AGENT.format(self.url))
        raise WorkError(f"{self.url} answered {r.status_code}: {lines[-1][:300]}")


def connect(address: str | None) -> Cluster:
    """The cluster at `address`, else at RAY_API_SERVER_ADDRESS or RAY_ADDRESS, with the token as Ray finds it.

    Raises InputError: none named, none there, something else there. TokenError: the token is missing or wrong.
    """
    return open_dashboard(find_cluster(address))


def find_cluster(address: str | None) -> Endpoint:
    """Where the cluster of this address, or of the environment, answers. Raises as `connect` does."""
    named = address or next((os.environ[name] for name in ADDRESS_VARIABLES if os.environ.get(name)), None)
    if named is None:
        raise InputError(
            "no cluster was named", f"give its dashboard as --address {LIKE}, or set {ADDRESS_VARIABLES[0]} to it"
        )
    with _as_input_error(named):
        use_token()
        return _find(named)


def open_dashboard(endpoint: Endpoint) -> Cluster:
    """The Jobs API there. Raises InputError when it does not answer or is none, TokenError."""
    if endpoint.dashboard is None:
        raise InputError(
            f"{endpoint.head}: the head there runs without a dashboard, and jobs need it",
            "start it with --include-dashboard true",
        )
    for name in LOGGERS:
        logging.getLogger(name).setLevel(logging.WARNING)
    os.environ[ADDRESS_VARIABLES[0]] = endpoint.dashboard  # Ray's client prefers it to its own argument
    with _as_input_error(endpoint.dashboard):
        return Cluster(endpoint.dashboard)


@contextmanager
def _as_input_error(address: str) -> Iterator[None]:
    """Ray's errors about what answers at an address, as one line."""
    try:
        yield
    except AuthenticationError as error:  # the mode is on, or a file was named, and there is no token
        raise _refused(address, missing=True) from error
    except (RuntimeError, ValueError, KeyError, requests.RequestException) as error:
        raise InputError(
            f"{address}: what answers there is no Ray dashboard", f"give it as --address {LIKE}"
        ) from error


def _refused(url: str, missing: bool) -> TokenError:
    what = "it wants a token and none was sent" if missing else "it refused the token"
    if os.environ.get("RAY_AUTH_TOKEN") and not missing:
        return TokenError(f"{url}: {what} in RAY_AUTH_TOKEN", "set that to the cluster's, or unset it and name a file")
    cure = "copy the cluster's token to ~/.ray/auth_token, or set RAY_AUTH_TOKEN_PATH to its file"
    return TokenError(f"{url}: {what}", cure)


def _gone(address: str) -> InputError:
    cure = f"start it, or give its dashboard as --address {LIKE}"
    return InputError(f"{address}: no Ray cluster answers there", cure)


def _find(named: str) -> Endpoint:
    """`http(s)://HOST:PORT` as it is; at HOST:PORT is a dashboard, or a head that names it."""
    scheme, separator, _ = named.rpartition("://")
    if scheme in ("http", "https"):
        return Endpoint(named.rstrip("/"))
    if separator:
        raise InputError(f"{named}: not the address of a dashboard", f"give it as --address {LIKE}")
    if not answers(named):
        raise _gone(named)
    if _is_http(named):
        return Endpoint(f"http://{named}")
    dashboard = _ask_head(named)
    return Endpoint(dashboard and f"http://{dashboard}", named)


def _is_http(address: str) -> bool:
    try:
        requests.get(f"http://{address}/api/version", timeout=CONNECT_SECONDS)
    except requests.RequestException:
        return False
    return True


def _ask_head(address: str) -> str | None:
    """HOST:PORT of the dashboard, as the head's GCS knows it. (Ray's own way to ask would replace 127.0.0.1.)"""
    outcome: list[Any] = []

    def ask() -> None:
        try:
            outcome.append(dashboard_address(address))
        except Exception as error:
            outcome.append(error)

    thread = threading.Thread(target=ask, daemon=True)  # it has no time limit of its own
    with _silent_core():
        thread.start()
        thread.join(_LOOKUP_SECONDS)
    answer = outcome[0] if outcome else TimeoutError(f"nothing within {_LOOKUP_SECONDS:.0f} s")
    if not isinstance(answer, Exception):
        return answer or None
    if "InvalidAuthToken" in str(answer):
        raise _refused(address, missing=False)
    why = " ".join(str(answer).split())[:200]
    raise InputError(f"{address}: what answers there is no head of a Ray cluster ({why})", f"give --address {LIKE}")


@contextmanager
def _silent_core() -> Iterator[None]:
    """Ray's core writes its warnings to the standard error by itself, beside our one line."""
    sys.stderr.flush()
    kept = os.dup(2)
    with Path(os.devnull).open("wb") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
