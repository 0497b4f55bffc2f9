"""Whether Ray's servers on this machine can be reached from others."""

import pytest
import ray

from cifake_ray.doctor import ports
from cifake_ray.doctor.ports import Listener, ports_check, ray_listeners

HOME = [Listener("GCS", "::ffff:127.0.0.1", 6379, False), Listener("dashboard", "127.0.0.1", 8265, False)]


@pytest.mark.parametrize(
    ("more", "level", "words"),
    [
        ([], "green", "this machine only"),
        ([Listener("GCS", "::", 6379, True)], "amber", "GCS :::6379, with a token"),
        ([Listener("dashboard", "0.0.0.0", 8265, False)], "red", "dashboard 0.0.0.0:8265, and some want no token"),
        ([Listener("raylet", "192.0.2.2", 41000, True)], "amber", "raylet 192.0.2.2:41000"),
    ],
)
def test_what_listens_beyond_this_machine_is_named_and_red_without_a_token(
    monkeypatch: pytest.MonkeyPatch, more: list[Listener], level: str, words: str
) -> None:
    monkeypatch.setattr(ports, "ray_listeners", lambda: HOME + more)
    check = ports_check()
    assert check.level == level
    assert words in check.found
    assert "127.0.0.1:8265" not in check.found
    assert level == "green" or "runs any code that reaches it" in check.cure


def test_a_machine_without_ray_is_green(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ports, "ray_listeners", list)
    assert ports_check().found == "no Ray of yours listens here"


@pytest.mark.usefixtures("ray_session")
def test_the_servers_of_a_running_cluster_are_found() -> None:
    port = int(ray.get_runtime_context().gcs_address.rpartition(":")[2])
    found = list(ray_listeners())
    assert ("GCS", port) in {(each.server, each.port) for each in found}
    assert "raylet" in {each.server for each in found}
