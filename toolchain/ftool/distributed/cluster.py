"""Connect to a Ray cluster, or start one on this machine."""

import logging
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import ray

from ftool.errors import ClusterError
from ftool_runtime.errors import InputError
from ftool_runtime.session.threads import usable_threads

_STORE: Final = 256 * 2**20  # bytes of a local cluster's object store; blocks are small
_CONNECT_S: Final = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """Settings of the cluster.

    Attributes:
        address: the address of a running cluster, such as "auto" or "10.0.0.1:6379"; None for the cluster that this
            process is connected to, or else a cluster on this machine for the time of the call.
        workers: the number of worker processes; None for as many as the cluster's CPUs allow.
        threads: the threads, and CPUs, of each worker.
    """

    address: str | None = None
    workers: int | None = None
    threads: int = 1

    def __post_init__(self) -> None:
        for name, value in (("workers", self.workers), ("threads", self.threads)):
            if value is not None and value < 1:
                raise InputError(f"{name} must be at least 1, got {value}")


@contextmanager
def connected(cluster: Cluster) -> Iterator[int]:
    """Connect to the cluster for the time of the block, and yield the number of workers.

    Raises ClusterError if the cluster can't be reached, or has too few CPUs; InputError if this process is connected to
    another.
    """
    if ray.is_initialized():
        if cluster.address is not None:
            raise InputError(
                "this process is connected to a cluster already; leave the address out to use that one"
            )
        yield _workers(cluster)
        return
    _start(cluster)
    try:
        yield _workers(cluster)
    finally:
        ray.shutdown()


def _start(cluster: Cluster) -> None:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    logging.getLogger("ray").setLevel(logging.ERROR)
    shared = {"log_to_driver": False, "logging_level": logging.ERROR, "configure_logging": True}
    if cluster.address is None:
        cpus = max(usable_threads(), (cluster.workers or 1) * cluster.threads)
        ray.init(num_cpus=cpus, include_dashboard=False, object_store_memory=_STORE, **shared)
        return
    _check_address(cluster.address)
    try:
        ray.init(address=cluster.address, **shared)
    except (ConnectionError, ValueError, RuntimeError, OSError, ray.exceptions.RayError) as error:
        reason = str(error).strip().splitlines()[0]
        raise ClusterError(
            f"no Ray cluster at {cluster.address}: {reason}; start one with ray start --head"
        ) from error


def _check_address(address: str) -> None:
    """Raise ClusterError unless something answers at an address HOST:PORT; Ray itself would wait for minutes."""
    if address == "auto":
        return
    host, _, port = address.rpartition(":")
    if "://" in address or not host or not port.isdecimal():
        raise ClusterError(
            f"--engine ray:{address} is not ray:auto or ray:HOST:PORT; run ftool on a node of the cluster, where "
            "ray:auto is enough, or submit it with ray job submit"
        )
    try:
        socket.create_connection((host, int(port)), _CONNECT_S).close()
    except (OSError, OverflowError) as error:
        raise ClusterError(
            f"no Ray cluster at {address}: {error}; start one with ray start --head, or correct the address"
        ) from error


def _workers(cluster: Cluster) -> int:
    """Return the number of workers. Raises ClusterError if the nodes have not the CPUs for them."""
    cpus = [node["Resources"].get("CPU", 0) for node in ray.nodes() if node["Alive"]]
    most = sum(int(count // cluster.threads) for count in cpus)
    if most < (cluster.workers or 1):
        raise ClusterError(
            f"the cluster's nodes have {', '.join(f'{count:g}' for count in cpus)} CPUs, enough for {most} workers "
            f"with {cluster.threads} each, not for {cluster.workers or 1}; give fewer --workers or --threads"
        )
    return cluster.workers or most
