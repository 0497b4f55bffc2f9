"""The writer's claim in a bucket, its interleavings against a real S3 API on localhost."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from cifake_ray.errors import InputError, StorageError
from cifake_ray.experiment import Experiment
from cifake_ray.machine import machine_identity
from cifake_ray.runs import claim as module
from cifake_ray.runs.claim import EXPIRES, NAME, Claim, _is_free, _read
from cifake_ray.runs.names import create_run, open_run
from cifake_ray.storage import conditional_writes
from cifake_ray.storage.conditional_writes import Changed, read_tagged, write_tagged
from cifake_ray.storage.mirror import read_bytes, write_bytes

EXPERIMENT = Experiment.model_validate({"name": "cnn", "model": {"kind": "cnn"}})
STALE = {"owner": "another", "host": "another machine", "pid": 1, "time": 1.0}


def no_loss() -> Any:
    pytest.fail("the claim was lost")


@pytest.fixture(params=["conditional writes", "none"])
def either_storage(bucket: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """A storage address, treated as one that has conditional writes or none."""
    if request.param == "none":
        monkeypatch.setattr(conditional_writes, "_has_conditions", lambda _: False)
    return bucket


@pytest.fixture
def start_two(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], list[str]]:
    """start_two(url): the outcomes (`held`, or the refusal) of two starters that both read before either writes.

    The second one writes when the first one is sure already that it holds the claim, and keeps it.
    """
    both_have_read, first_is_sure, both_have_ended = threading.Barrier(2), threading.Event(), threading.Barrier(2)
    write, second = module.write_tagged, threading.local()

    def wait_and_write(*arguments: Any) -> str:
        if not hasattr(second, "waits"):
            second.waits = both_have_read.wait(30)
            if second.waits:
                first_is_sure.wait(30)
        return write(*arguments)

    monkeypatch.setattr(module, "write_tagged", wait_and_write)

    def start(url: str, outcomes: list[str]) -> None:
        try:
            with Claim(url, InputError("taken"), no_loss):
                outcomes.append("held")
                first_is_sure.set()
                both_have_ended.wait(30)
        except InputError as refused:
            outcomes.append(str(refused))
            both_have_ended.wait(30)

    def start_both(url: str) -> list[str]:
        outcomes: list[str] = []
        threads = [threading.Thread(target=start, args=(url, outcomes)) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return outcomes

    return start_both


def test_of_two_starters_at_once_one_becomes_the_writer(bucket: str, start_two: Callable[[str], list[str]]) -> None:
    assert start_two(f"{bucket}/cnn") == ["held", "taken"]
    assert read_bytes(f"{bucket}/cnn/{NAME}") == b"{}"


def test_of_two_takeovers_of_a_stale_claim_one_succeeds(bucket: str, start_two: Callable[[str], list[str]]) -> None:
    write_bytes(f"{bucket}/cnn/{NAME}", json.dumps(STALE).encode())
    assert start_two(f"{bucket}/cnn") == ["held", "taken"]


def test_of_two_that_create_a_run_at_once_one_does(
    bucket: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("cifake_ray.runs.run.Run.exists", lambda _: False)  # both have looked before either writes
    first = create_run(bucket, "cnn", EXPERIMENT)
    monkeypatch.setenv("CIFAKE_RAY_CACHE", str(tmp_path / "another machine"))
    with pytest.raises(InputError, match="a run of this name exists"):
        create_run(bucket, "cnn", EXPERIMENT.model_copy(update={"name": "other"}))
    assert first.fetch().experiment() == EXPERIMENT


_WRITER = """
import sys, time
from cifake_ray.runs import claim
claim.EXPIRES = 5.0
from cifake_ray.runs.files import write_text
from cifake_ray.runs.names import open_run

run = open_run(sys.argv[1], "cnn")
with run.update() as save:
    print("writing", flush=True)
    for _ in range(300):
        write_text(run.trials_file, "of the writer that slept")
        time.sleep(0.1)
        if sys.argv[2] == "saving":
            save()
print("ended by itself", flush=True)
"""


@pytest.fixture(params=["waiting", "saving"])
def sleeper(bucket: str, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator["subprocess.Popen[str]"]:
    """Another process that writes the run, its claim good for five seconds; it saves all the time, or only waits."""
    create_run(bucket, "cnn", EXPERIMENT)
    environment = os.environ | {"CIFAKE_RAY_CACHE": str(tmp_path / "sleeper")}
    command = [sys.executable, "-c", _WRITER, bucket, request.param]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "writing\n"
        yield process
        process.kill()


def test_a_writer_that_slept_while_another_took_over_ends_with_one_line(
    sleeper: "subprocess.Popen[str]", bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "EXPIRES", 5.0)
    run = open_run(bucket, "cnn")
    assert not _is_free(_read(f"{run.url}/{NAME}")[0])
    sleeper.send_signal(signal.SIGSTOP)
    with pytest.raises(InputError, match="another process is writing this run"), run.update():
        pytest.fail("taken over from a process that is there")
    time.sleep(5.1)
    with run.update() as save:
        run.trials_file.write_text("of the other writer")
        save()
        sleeper.send_signal(signal.SIGCONT)
        output, error = sleeper.communicate(timeout=60)
        assert read_bytes(f"{run.url}/trials.csv") == b"of the other writer"
    assert (sleeper.returncode, output) == (130, "")
    assert error.count("\n") == 1
    assert error.startswith(f"cifake-ray: interrupted: another process has taken over {run.where}, as this one did not")
    assert error.endswith(f"resume with: cifake-ray tune --resume cnn --storage {bucket}\n")
    monkeypatch.setenv("CIFAKE_RAY_CACHE", str(tmp_path / "sleeper"))
    assert open_run(bucket, "cnn").trials_file.read_text() == "of the other writer"


def test_a_writer_that_slept_and_was_not_missed_writes_on(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "EXPIRES", 0.4)
    with Claim(f"{bucket}/cnn", InputError("taken"), no_loss) as claim:
        claim._ended.set()  # as if asleep
        time.sleep(0.5)
        claim.check()
        note = json.loads(read_bytes(f"{bucket}/cnn/{NAME}") or b"")
        assert time.time() - note["time"] < 0.4


def test_a_renewal_whose_answer_was_lost_is_no_loss(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with Claim(f"{bucket}/cnn", InputError("taken"), no_loss) as claim:

        def answer_lost(*arguments: Any) -> str:
            write_tagged(*arguments)
            raise StorageError("timed out")

        with monkeypatch.context() as broken:
            broken.setattr(module, "write_tagged", answer_lost)
            with pytest.raises(StorageError):
                claim._renew()
        claim._renew()


@pytest.mark.parametrize(
    ("change", "free"),
    [({}, False), ({"pid": 2**22 + 1}, True), ({"time": -EXPIRES}, True), ({"pid": 2**22 + 1, "host": "other"}, False),
     ({"pid": None, "host": "other"}, False), ({"time": "soon"}, True)],
)  # fmt: skip
def test_a_claim_is_free_when_it_expired_or_its_process_here_is_gone(
    bucket: str, change: dict[str, Any], free: bool
) -> None:
    claim = {"owner": "x", "host": machine_identity(), "pid": os.getpid(), "time": time.time()}
    if isinstance(change.get("time"), float):
        change = change | {"time": time.time() + change["time"]}
    write_bytes(f"{bucket}/cnn/{NAME}", json.dumps(claim | change).encode())
    if free:
        with Claim(f"{bucket}/cnn", InputError("taken"), no_loss):
            return
    with pytest.raises(InputError, match=r"^taken; wait \(the claim of a killed writer expires after 60 s\)$"):
        Claim(f"{bucket}/cnn", InputError("taken", "wait"), no_loss)


def test_an_object_is_written_only_as_it_was_read(either_storage: str) -> None:
    url = f"{either_storage}/object"
    assert read_tagged(url) == (b"", None)
    with pytest.raises(Changed):
        write_tagged(url, b"1", '"d41d8cd98f00b204e9800998ecf8427e"')
    first = write_tagged(url, b"1", None)
    with pytest.raises(Changed):
        write_tagged(url, b"2", None)
    second = write_tagged(url, b"2", first)
    with pytest.raises(Changed):
        write_tagged(url, b"3", first)
    assert read_tagged(url) == (b"2", second)


def refuse(code: str, status: int) -> Callable[..., Any]:
    from botocore.exceptions import ClientError

    def raise_it(*_: Any, **__: Any) -> Any:
        raise ClientError({"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}, "PutObject")  # type: ignore[typeddict-item]

    return raise_it


def test_a_missing_bucket_is_one_line(bucket: str) -> None:  # noqa: ARG001 (the environment)
    for use in (lambda: read_tagged("s3://nowhere/object"), lambda: write_tagged("s3://nowhere/object", b"", None)):
        with pytest.raises(StorageError, match=r"^s3://nowhere/object: .*NoSuchBucket.*check the bucket"):
            use()


def test_a_server_without_conditional_writes_is_written_after_a_look(
    bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, client = f"{bucket}/object", conditional_writes._client()
    put = client.put_object

    def not_implemented(**arguments: Any) -> Any:
        if "IfMatch" in arguments or "IfNoneMatch" in arguments:
            refuse("NotImplemented", 501)()
        return put(**arguments)

    monkeypatch.setattr(client, "put_object", not_implemented)
    tag = write_tagged(url, b"1", None)
    with pytest.raises(Changed):
        write_tagged(url, b"2", None)
    assert write_tagged(url, b"2", tag)
