"""Checks of a Ray cluster: its address and token from here, its nodes through a probe that runs as its driver."""

import http.client
import json
import logging
import os
import shlex
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from cifake_ray.doctor import probe
from cifake_ray.doctor.check import Check, judged
from cifake_ray.doctor.nodes import judge

_CONNECT_SECONDS = 5
_PROBE_SECONDS = probe.NODE_SECONDS + 60  # Ray's connection and the driver's own imports besides
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


def cluster_checks(address: str, storage: str, source: str | None) -> list[Check]:
    """Every check of the cluster at HOST:PORT or http://HOST:PORT. Ends early where the next one could not be made."""
    url = address if "://" in address else None
    if not _answers(address):
        cure = "start the cluster, or give HOST:PORT of its head, or http://HOST:PORT of its dashboard"
        return [Check("address", "red", f"nothing answers at {address} within {_CONNECT_SECONDS} s", cure)]
    if url is None and _status(f"http://{address}", None) is not None:
        return [Check("address", "red", f"{address} is a web server", f"write http://{address}, or give the GCS port")]
    checks = [token_check(url)] if url else []
    if any(check.level == "red" for check in checks):
        return checks
    here = source is None or source == "sample" or "://" in source
    options = {"storage": _absolute(storage), "data": None if here else _absolute(str(source))}
    found = _probe_by_job(url, options) if url else _probe_by_driver(options | {"address": address})
    if "error" in found:
        return [*checks, _failed_probe(address, found["error"])]
    if url is None:
        checks += _dashboard_checks(found["dashboard"])
    count = len(found["nodes"])
    return [
        Check("address", "green", f"{address}: {count} node{'s' if count > 1 else ''}"),
        *checks,
        *judge(found, by_job=bool(url)),
    ]


def _absolute(place: str) -> str:
    """As every node would look for it: they have other working folders."""
    return place if "://" in place else str(Path(place).expanduser().absolute())


def _answers(address: str) -> bool:
    parts = urlsplit(address if "://" in address else f"//{address}")
    try:
        port = parts.port or (443 if parts.scheme == "https" else 80)
        socket.create_connection((parts.hostname or "", port), timeout=_CONNECT_SECONDS).close()
    except (OSError, ValueError):
        return False
    return True


# --- token and dashboard -----------------------------------------------------------------------------------------


def find_token() -> str | None:
    """Ray's token, from where Ray takes it. Never shown."""
    if os.environ.get("RAY_AUTH_TOKEN"):
        return os.environ["RAY_AUTH_TOKEN"].strip()
    file = Path(os.environ.get("RAY_AUTH_TOKEN_PATH") or Path.home() / ".ray" / "auth_token")
    try:
        return file.read_text().strip() or None
    except OSError:
        return None


def _headers(token: str | None) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"} if token else {}


def _status(url: str, token: str | None) -> int | None:
    """The HTTP status with which a dashboard tells its version, None when no HTTP server answers."""
    request = urllib.request.Request(f"{url.rstrip('/')}/api/version", headers=_headers(token))
    try:
        with urllib.request.urlopen(request, timeout=_CONNECT_SECONDS) as answer:
            return int(answer.status) if b"ray_version" in answer.read(10_000) else 404
    except urllib.error.HTTPError as error:
        return error.code
    except (OSError, ValueError, http.client.HTTPException):  # the last: it speaks something else
        return None


def token_check(url: str) -> Check:
    """Whether the dashboard (and so the job service) at `url` wants a token, and takes ours."""
    open_to_all = _status(url, None)
    if open_to_all == 200:
        public = urlsplit(url).hostname not in _LOOPBACK
        found = f"{url} asks for no token: whoever reaches it runs code there"
        return judged("token", found, "start the head with RAY_AUTH_MODE=token", amber=True, red=public)
    if open_to_all not in (401, 403):
        return Check("token", "red", f"{url} is no Ray dashboard", "give http://HOST:PORT of the head's dashboard")
    token = find_token()
    if token is None:
        cure = "copy the head's ~/.ray/auth_token to here, or name it in RAY_AUTH_TOKEN_PATH"
        return Check("token", "red", f"{url} asks for a token and none was found", cure)
    taken = _status(url, token) == 200
    return judged("token", f"{url} {'takes' if taken else 'refuses'} ours", "take the token of the head", red=not taken)


def _dashboard_checks(host_port: str | None) -> Iterator[Check]:
    """The dashboard of a cluster that we are connected to: jobs, metrics and Ray's own clean-up need it."""
    url = f"http://{host_port}"
    if not host_port or _status(url, find_token()) is None:
        cure = "start the head with --include-dashboard true, or open its port"
        yield Check("dashboard", "amber", f"{url if host_port else 'none'}: does not answer from here", cure)
        return
    public = urlsplit(url).hostname not in _LOOPBACK
    cure = "start the head with --dashboard-host 127.0.0.1 and reach it by an SSH tunnel: nothing is encrypted"
    yield judged("dashboard", url, cure, amber=public)
    yield token_check(url)


# --- the probe ---------------------------------------------------------------------------------------------------


def _probe_by_driver(options: dict[str, Any]) -> dict[str, Any]:
    """Run the probe as a driver on this machine: a process of its own, so that a connection that hangs can be ended."""
    environment = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}
    if find_token():
        environment.setdefault("RAY_AUTH_MODE", "token")
    command = [sys.executable, probe.__file__, json.dumps(options)]
    try:
        ended = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=_PROBE_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        return {"error": f"no connection within {_PROBE_SECONDS} s"}
    return _answer(ended.stdout) or {"error": " ".join(ended.stderr.split())[-300:]}


def _probe_by_job(url: str, options: dict[str, Any]) -> dict[str, Any]:
    """Run the probe as a job: the way for a machine that does not belong to the cluster."""
    from ray.job_submission import JobSubmissionClient

    for logger in ("ray", "ray.dashboard.modules.dashboard_sdk"):
        logging.getLogger(logger).setLevel(logging.ERROR)  # they tell of every upload
    name = f"cifake-ray-doctor-{uuid.uuid4().hex[:8]}"
    with tempfile.TemporaryDirectory() as folder:
        shutil.copy(probe.__file__, folder)
        try:
            client = JobSubmissionClient(url, headers=_headers(find_token()))
            command = f"python probe.py {shlex.quote(json.dumps(options | {'address': 'auto'}))}"
            client.submit_job(entrypoint=command, submission_id=name, runtime_env={"working_dir": folder})
            return _job_answer(client, name)
        except Exception as error:
            return {"error": f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"}


def _job_answer(client: Any, name: str) -> dict[str, Any]:
    deadline = time.monotonic() + _PROBE_SECONDS
    while not client.get_job_status(name).is_terminal():
        if time.monotonic() > deadline:
            client.stop_job(name)
            return {"error": f"the probe job did not end within {_PROBE_SECONDS} s"}
        time.sleep(0.5)
    log = client.get_job_logs(name)
    client.delete_job(name)
    return _answer(log) or {"error": " ".join(log.split())[-300:]}


def _answer(text: str) -> dict[str, Any] | None:
    line = next((line for line in text.splitlines() if line.startswith(probe.MARK)), None)
    found: dict[str, Any] | None = json.loads(line[len(probe.MARK) :]) if line else None
    return found


def _failed_probe(address: str, error: str) -> Check:
    if "ersion mismatch" in error:
        return Check("versions", "red", error[:300], "install the cluster's Python and Ray here, or ours there")
    cure = "copy the head's ~/.ray/auth_token to here, or name it in RAY_AUTH_TOKEN_PATH"
    if "uthenticat" in error:
        return Check("token", "red", f"{address} refuses the connection: {error[:200]}", cure)
    if "ConnectionError" in error:  # all that Ray says of a wrong token
        found = f"something answers at {address}, but no Ray cluster that takes our token ({error[:200]})"
        return Check("address", "red", found, f"give the head's GCS port (6379), or {cure}")
    return Check("address", "red", f"{address}: {error or 'the probe said nothing'}", "look at the head's log")
