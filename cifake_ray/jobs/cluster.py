"""The Jobs API of a Ray cluster: found, asked with a time limit, and each way to fail as one line with its cure."""

import logging
import os
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import requests
from ray._private.authentication.authentication_token_setup import AUTH_MODE_ENV_VAR
from ray._private.ray_constants import DASHBOARD_ADDRESS, KV_NAMESPACE_DASHBOARD
from ray._raylet import AuthenticationTokenLoader, Config, GcsClient  # type: ignore[attr-defined]
from ray.exceptions import AuthenticationError
from ray.job_submission import JobSubmissionClient

from cifake_ray.errors import InputError, WorkError

ADDRESS_VARIABLES = ("RAY_API_SERVER_ADDRESS", "RAY_ADDRESS")  # in Ray's own order
_CONNECT_SECONDS, _ANSWER_SECONDS, _LOOKUP_SECONDS = 5.0, 60.0, 4.0
_LIKE = "http://HOST:8265"
_TALKATIVE = (
    "ray.dashboard.modules.dashboard_sdk",
    "ray.dashboard.modules.job.sdk",
    "ray._private.runtime_env.packaging",
)


class Cluster(JobSubmissionClient):  # type: ignore[misc]
    """Ray's own client, whose requests have no time limit and whose errors are several lines, with both mended."""

    @property
    def url(self) -> str:
        return str(self._address)

    def ask(self, method: str, endpoint: str, **options: Any) -> requests.Response:
        """One request. Raises InputError when the cluster does not answer or refuses the token."""
        response: requests.Response = self._do_request(method, endpoint, **options)
        return response

    def _do_request(self, method: str, endpoint: str, **options: Any) -> Any:
        try:
            return super()._do_request(method, endpoint, timeout=(_CONNECT_SECONDS, _ANSWER_SECONDS), **options)
        except AuthenticationError as error:
            raise InputError(_refused(self.url, "401" in str(error) or "required" in str(error))) from error
        except requests.Timeout as error:
            raise InputError(
                f"{self.url}: no answer in time; see whether the cluster is up and can be reached from here"
            ) from error
        except requests.RequestException as error:
            raise InputError(
                f"{self.url}: no Ray cluster answers there; start it, or give its dashboard as --address {_LIKE}"
            ) from error

    def _raise_error(self, r: Any) -> None:
        lines = str(r.text).strip().splitlines() or ["no reason was given"]
        raise WorkError(f"{self.url} answered {r.status_code}: {lines[-1][:300]}")


def connect(address: str | None) -> Cluster:
    """The cluster at `address`, else at RAY_API_SERVER_ADDRESS or RAY_ADDRESS, with the token as Ray finds it.

    Raises InputError: none named, none there, something else there, token missing or wrong.
    """
    named = address or next((os.environ[name] for name in ADDRESS_VARIABLES if os.environ.get(name)), None)
    if named is None:
        raise InputError(
            f"no cluster was named; give its dashboard as --address {_LIKE}, or set {ADDRESS_VARIABLES[0]} to it"
        )
    for name in _TALKATIVE:
        logging.getLogger(name).setLevel(logging.WARNING)
    url = named
    try:
        _use_token()
        url = os.environ[ADDRESS_VARIABLES[0]] = _dashboard_url(named)  # Ray's client prefers it to its own argument
        return Cluster(url)
    except AuthenticationError as error:  # the mode is on, or a file was named, and there is no token
        raise InputError(_refused(url, missing=True)) from error
    except (RuntimeError, ValueError, KeyError, requests.RequestException) as error:
        raise InputError(f"{url}: what answers there is no Ray dashboard; give it as --address {_LIKE}") from error


def _use_token() -> None:
    """Ray's commands turn token authentication on by themselves where there is a token; so does this."""
    if AUTH_MODE_ENV_VAR in os.environ or not AuthenticationTokenLoader.instance().has_token(ignore_auth_mode=True):
        return
    os.environ[AUTH_MODE_ENV_VAR] = "token"
    Config.initialize("")


def _refused(url: str, missing: bool) -> str:
    what = "it wants a token and none was sent" if missing else "it refused the token"
    return f"{url}: {what}; copy the cluster's token to ~/.ray/auth_token, or set RAY_AUTH_TOKEN_PATH to its file"


def _dashboard_url(named: str) -> str:
    """`http(s)://HOST:PORT` as it is; for HOST:PORT the dashboard that is there, or that the head there names."""
    scheme, separator, _ = named.rpartition("://")
    if scheme in ("http", "https"):
        return named.rstrip("/")
    if separator:
        raise InputError(f"{named}: not the address of a dashboard; give it as --address {_LIKE}")
    _check_port(named)
    return f"http://{named if _is_http(named) else _find_dashboard(named)}"


def _check_port(named: str) -> None:
    host, _, port = named.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), _CONNECT_SECONDS).close()
    except (OSError, ValueError, OverflowError) as error:
        raise InputError(
            f"{named}: no Ray cluster answers there; start it, or give its dashboard as --address {_LIKE}"
        ) from error


def _is_http(place: str) -> bool:
    try:
        requests.get(f"http://{place}/api/version", timeout=_CONNECT_SECONDS)
    except requests.RequestException:
        return False
    return True


def _find_dashboard(place: str) -> str:
    """HOST:PORT of the dashboard, as the head's GCS knows it. (Ray's own way to ask would replace 127.0.0.1.)"""
    outcome: list[Any] = []

    def ask() -> None:
        try:
            found = GcsClient(address=place).internal_kv_get(DASHBOARD_ADDRESS.encode(), KV_NAMESPACE_DASHBOARD)
            outcome.append(ValueError("it runs without one") if found is None else found.decode())
        except Exception as error:
            outcome.append(error)

    thread = threading.Thread(target=ask, daemon=True)  # it has no time limit of its own
    with _silent_core():
        thread.start()
        thread.join(_LOOKUP_SECONDS)
    answer = outcome[0] if outcome else f"nothing within {_LOOKUP_SECONDS:.0f} s"
    if outcome and isinstance(answer, str):
        return answer
    if "InvalidAuthToken" in str(answer):
        raise InputError(_refused(place, missing=False))
    why = " ".join(str(answer).split())[:200]
    raise InputError(f"{place}: the head there names no dashboard ({why}); give it as --address {_LIKE}")


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
