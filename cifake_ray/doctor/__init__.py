"""Preflight checks of this machine and of a Ray cluster, one line each, with the cure where something is wrong."""

from cifake_ray.data.sources.reading import PLAIN, Reading
from cifake_ray.doctor.check import Check
from cifake_ray.doctor.cluster import cluster_checks
from cifake_ray.doctor.machine import machine_checks

__all__ = ["Check", "run_checks"]


def run_checks(storage: str, source: str | None, address: str | None = None, reading: Reading = PLAIN) -> list[Check]:
    """Every check of this machine and, with `address`, of that cluster.

    `storage`: where runs go, a path or a URI; `source`: the images that a study would use, None to leave them out;
    `address`: HOST:PORT of a cluster that this machine belongs to, or http://HOST:PORT of a dashboard; `reading`: how
    the study would read the source.
    """
    checks = machine_checks(storage, source, address, reading)
    return checks + (cluster_checks(address, storage, source) if address else [])
