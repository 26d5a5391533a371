#!/usr/bin/env bash
# distributed 2026.8.0 on Linux with glibc: a nanny starts its workers with MALLOC_TRIM_THRESHOLD_=65536, so that freed
# memory is given back.  Any value of that variable also stops glibc from raising the size above which a block is mapped
# by itself (128 KiB), so that each larger array is mapped, faulted in page by page and unmapped, every time.
# Seen: 200 arrays of 1 MiB, one after another: 51,403 page faults in a worker, 0 in a process without a nanny (counted
# at the second go); work on sound or pictures in arrays of some MiB took three times as long in a job of ours.
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet distributed==2026.8.0 numpy==2.4.0
cat >show.py <<'PY'
import os
import resource

import numpy as np
from distributed import LocalCluster

N, SIZE_BYTES = 200, 1 << 20


def page_faults() -> int:
    """Minor faults while blocks of sound are made and filled, each freed before the next."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for k in range(N):
        np.full(SIZE_BYTES // 4, k, np.float32)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


def threshold() -> str | None:
    return os.environ.get("MALLOC_TRIM_THRESHOLD_")


if __name__ == "__main__":
    assert threshold() is None, "run this without MALLOC_TRIM_THRESHOLD_"
    own = [page_faults() for _ in range(2)][1]
    with LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=":0") as cluster, cluster.get_client() as client:
        told = client.submit(threshold).result()
        in_worker = [client.submit(page_faults, pure=False).result() for _ in range(2)][1]
    pages = N * SIZE_BYTES // resource.getpagesize()
    print(f"MALLOC_TRIM_THRESHOLD_={told} in the worker; faults at the second go: {in_worker} there, {own} here, of {pages} pages")
    assert told == "65536", "the nanny sets something else now"
    assert in_worker >= pages, "arrays are kept in the heap now"
    assert own < pages / 10, "arrays are mapped anew without a nanny too"
    print("as described")
PY
venv/bin/python show.py
