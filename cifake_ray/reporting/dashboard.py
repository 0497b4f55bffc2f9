"""The Optuna study of a run in optuna-dashboard, for reading: its journal is neither written nor locked."""

import logging
from collections.abc import Callable, Iterable
from pathlib import Path
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from cifake_ray.errors import InputError
from cifake_ray.runs.run import Run

HOST = "127.0.0.1"
INSTALL = "pip install 'cifake-ray[dashboard]'"
_READING = ("GET", "HEAD")

Application = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


class ReadOnlyJournal(JournalFileBackend):
    """A journal that is read only: reading takes no lock, and nothing of the dashboard's ever gets into the record."""

    def append_logs(self, logs: list[dict[str, Any]]) -> None:  # noqa: ARG002
        raise PermissionError("the run's journal is only read")


def dashboard_server(run: Run, port: int) -> WSGIServer:
    """The dashboard of the run's study, bound to 127.0.0.1; `serve_forever` starts it. Port 0 takes a free one.

    Raises InputError: no study there, optuna-dashboard is not installed, the port is taken.
    """
    if not run.journal.is_file():
        run.experiment()  # raises when there is no run at all
        raise InputError(f"{run.path}: no study there yet (no {run.journal.name})", "wait for its first trial")
    application = read_only(_application(run.journal))
    try:
        return make_server(HOST, port, application, server_class=_Server, handler_class=_Handler)
    except OSError as error:
        raise InputError(
            f"--port {port}: cannot be used ({error.strerror})", "choose another, or 0 for a free one"
        ) from error


def read_only(application: Application) -> Application:
    """`application` for reading: anything but GET and HEAD is answered 405."""

    def answer(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        if environ["REQUEST_METHOD"] in _READING:
            return application(environ, start_response)
        start_response("405 Method Not Allowed", [("Content-Type", "application/json"), ("Allow", "GET, HEAD")])
        return [b'{"reason": "cifake-ray dashboard is for reading; the study is left as it is"}']

    return answer


def _application(journal: Path) -> Application:
    try:
        from optuna_dashboard import wsgi
    except ImportError as error:
        raise InputError("optuna-dashboard is not installed", f"{INSTALL}") from error
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    logging.getLogger("optuna_dashboard").setLevel(logging.ERROR)
    try:
        storage = JournalStorage(ReadOnlyJournal(str(journal)))
    except Exception as error:  # Optuna checks nothing: whatever it stumbles over
        raise InputError(
            f"{journal}: damaged ({type(error).__name__})", "put it back from a copy of the run"
        ) from error
    application: Application = wsgi(storage)
    return application


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Print nothing: a browser may close in the middle of an answer."""


class _Handler(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Print nothing for the page's requests."""
