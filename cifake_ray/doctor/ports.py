"""Which of this machine's Ray servers listen for more than this machine."""

import ipaddress
import re
from collections.abc import Iterator
from dataclasses import dataclass

from cifake_ray.doctor.check import Check, judged

_SERVERS = {"gcs_server": "GCS", "raylet": "raylet", "ray/dashboard/dashboard.py": "dashboard"}
_CURE = (
    "a Ray cluster runs any code that reaches it: start it as cluster/local/README.md does, or close these ports by a "
    "firewall"
)


@dataclass(frozen=True)
class Listener:
    """A socket of a Ray server: `token` whether it wants one."""

    server: str
    host: str
    port: int
    token: bool

    @property
    def public(self) -> bool:
        return not ipaddress.ip_address(self.host.removeprefix("::ffff:")).is_loopback


def ports_check() -> Check:
    """Amber where GCS, raylet or dashboard listens beyond this machine, red where it wants no token either."""
    listeners = list(ray_listeners())
    public = [listener for listener in listeners if listener.public]
    if not public:
        found = "Ray listens on this machine only" if listeners else "no Ray of yours listens here"
        return Check("ports", "green", found)
    named = ", ".join(sorted({f"{each.server} {each.host}:{each.port}" for each in public}))
    free = any(not each.token for each in public)
    token = "and some want no token" if free else "with a token, which travels unencrypted"
    return judged("ports", f"beyond this machine listen {named}, {token}", _CURE, amber=True, red=free)


def ray_listeners() -> Iterator[Listener]:
    """Sockets of this machine's Ray servers; those of other users cannot be seen."""
    import psutil

    for process in psutil.process_iter():
        try:
            name, command = process.name(), process.cmdline()
            server = next((_SERVERS[part] for part in _SERVERS if _runs(part, name, command)), None)
            if server is None:
                continue
            token = process.environ().get("RAY_AUTH_MODE", "").lower() == "token"
            for one in process.net_connections("inet"):
                if one.status == psutil.CONN_LISTEN:
                    yield Listener(server, one.laddr.ip, one.laddr.port, token)
        except psutil.Error:
            continue


def _runs(part: str, name: str, command: list[str]) -> bool:
    return name == part or (len(command) < 100 and any(re.search(f"{part}$", word) for word in command[:4]))
