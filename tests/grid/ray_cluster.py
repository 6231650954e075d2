"""A Ray cluster of this machine for tests, in a process of its own so that drivers come and go.

Run as a program: prints the cluster's address, and ends with its standard input.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


@contextmanager
def ray_cluster(num_cpus: int, *, environment: dict[str, str]) -> Iterator[str]:
    """Yields the address of a new cluster; its processes end with the block."""
    command = [sys.executable, "-m", "tests.grid.ray_cluster", str(num_cpus)]
    environment = os.environ | environment | {"RAY_USAGE_STATS_ENABLED": "0", "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        command, cwd=ROOT, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None and process.stdout is not None
        yield process.stdout.readline().strip()
        process.stdin.close()
        process.wait(timeout=60)


def main() -> None:
    """Starts a cluster and waits."""
    import ray

    started = ray.init(
        "local",
        num_cpus=int(sys.argv[1]),
        include_dashboard=False,
        object_store_memory=80 * 2**20,
        configure_logging=False,
        log_to_driver=False,
    )
    print(started.address_info["gcs_address"], flush=True)
    sys.stdin.read()
    ray.shutdown()


if __name__ == "__main__":
    main()
