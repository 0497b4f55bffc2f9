"""A Ray cluster of several nodes on this machine, to try things on: start a head and workers, stop just those.

    python cluster/local/cluster.py start --workers 2 --cpus 1
    python cluster/local/cluster.py stop

Everything listens on 127.0.0.1 only, wants Ray's token, and has ports and a folder of its own, so that it meets no
other Ray on the machine. `start` prints the lines to export.
"""

import argparse
import json
import os
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

HOST = "127.0.0.1"
LONGEST = 36  # characters of the folder: Ray puts sockets far below it, and a socket's path has 107 bytes
START_SECONDS = 120
STOP_SECONDS = 20
STORE_BYTES = 512 * 2**20  # a node's object store; by default every node would take a third of the memory
RAY = [sys.executable, "-m", "ray.scripts.scripts"]

# Ray takes `--node-ip-address 127.0.0.1` for the machine's outward address and then listens on every interface. With
# this it does not. A worker must not have it (it would be refused), and joins by a spelling that Ray leaves as it is.
LOOPBACK = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}
LOCALHOST = "LOCALHOST"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("verb", choices=["start", "stop"])
    parser.add_argument("--workers", type=int, default=1, help="nodes besides the head (1)")
    parser.add_argument("--cpus", type=int, default=None, help="CPUs of each node (the machine's, shared out)")
    parser.add_argument("--dir", type=Path, default=None, help="its folder (one of yours in the temporary folder)")
    options = parser.parse_args()
    folder = (options.dir or Path(tempfile.gettempdir()) / f"cifake-ray-{os.getuid()}").absolute()
    if options.verb == "stop":
        stop(folder)
        return
    if len(str(folder)) > LONGEST:
        sys.exit(f"{folder}: longer than {LONGEST} characters, too long for Ray's sockets; give a shorter --dir")
    if (folder / "cluster.json").exists():
        sys.exit(f"{folder}: a cluster was started there; stop it first, or give another --dir")
    start(folder, options.workers, options.cpus or max(1, (os.cpu_count() or 1) // (options.workers + 1)))


def start(folder: Path, workers: int, cpus: int) -> None:
    """Start head and workers, print the lines to export. If a node does not come, the others are stopped again."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"  # so that a job's `python` is this one
    environment = os.environ | {"RAY_AUTH_MODE": "token", "PATH": path}
    token = [*RAY, "get-auth-token", "--generate"]
    subprocess.run(token, env=environment, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    keep_to_owner()
    gcs, dashboard, client, *agents = free_ports(3 + 1 + workers)
    head = ["--head", "--node-ip-address", HOST, "--port", str(gcs), "--dashboard-port", str(dashboard)]
    head += ["--ray-client-server-port", str(client), "--disable-usage-stats"]
    pids: list[int] = []
    for number, agent in enumerate(agents, start=1):
        # A folder for each: nodes that share one remove each other's unpacked packages.
        node = ["--temp-dir", str(folder / f"n{number}"), "--dashboard-agent-listen-port", str(agent)]
        node += ["--block", "--num-cpus", str(cpus), "--object-store-memory", str(STORE_BYTES)]
        log = folder / f"node-{number}.log"
        print(f"starting node {number} of {workers + 1}", file=sys.stderr, flush=True)
        process = subprocess.Popen(
            [*RAY, "start", *(["--address", f"{LOCALHOST}:{gcs}"] if pids else head), *node],
            env=environment if pids else environment | LOOPBACK,
            stdout=log.open("w"),
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        pids.append(process.pid)
        (folder / "cluster.json").write_text(json.dumps({"pids": pids}))
        if (failure := wait_started(process, log)) is not None:
            stop(folder)
            sys.exit(f"node {number} did not start ({failure}); its words are in {log}")
    command = shlex.join(["python", *sys.argv[:1], "stop", "--dir", str(folder)])
    print(f"# head and {workers} workers, {cpus} CPUs each; to stop them: {command}")
    print("export RAY_AUTH_MODE=token")
    print(f"export RAY_API_SERVER_ADDRESS=http://{HOST}:{dashboard}")


def keep_to_owner() -> None:
    """Whoever reads the token runs code on the cluster; Ray writes it readable for all."""
    token = Path(os.environ.get("RAY_AUTH_TOKEN_PATH") or Path.home() / ".ray" / "auth_token")
    if token.exists() and token.stat().st_uid == os.getuid():
        token.chmod(0o600)


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on now; the system hands them out above the range of Ray's workers."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind((HOST, 0))
        return [one.getsockname()[1] for one in sockets]


def wait_started(process: "subprocess.Popen[bytes]", log: Path) -> str | None:
    """Wait until the node says that it runs; returns why it does not."""
    deadline = time.monotonic() + START_SECONDS
    while "Ray runtime started." not in log.read_text():
        if process.poll() is not None:
            return f"it ended with code {process.returncode}"
        if time.monotonic() > deadline:
            return f"nothing was heard for {START_SECONDS} s"
        time.sleep(0.2)
    return None


def stop(folder: Path) -> None:
    """End the nodes that were started there, workers first, each by its process id; their logs stay."""
    note = folder / "cluster.json"
    if not note.exists():
        sys.exit(f"{folder}: no cluster was started there; give its --dir")
    pids = [pid for pid in reversed(json.loads(note.read_text())["pids"]) if is_node(pid)]
    for pid in pids:
        for kind in (signal.SIGTERM, signal.SIGKILL):
            if is_node(pid):
                os.kill(pid, kind)
                wait_ended(pid)
    note.unlink()
    print(f"stopped {len(pids)} node{'s' if len(pids) != 1 else ''}; their logs stay in {folder}")


def wait_ended(pid: int) -> None:
    deadline = time.monotonic() + STOP_SECONDS
    while is_node(pid) and time.monotonic() < deadline:
        time.sleep(0.2)


def is_node(pid: int) -> bool:
    """Whether this process is still a node of ours: ids are given out again."""
    found = subprocess.run(["ps", "-o", "stat=,command=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return "ray.scripts.scripts start" in found.stdout and not found.stdout.startswith("Z")


if __name__ == "__main__":
    main()
