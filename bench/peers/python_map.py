# SPDX-License-Identifier: MIT
"""Python's process maps: python_map.py CASE SUBJECT, prints one figure and its unit.

map.trivial  python-pool-auto   Pool.map with its own chunk size, in a pool that is open already
map.start    python-pool        open a pool of 4, map 4 items, close it: median of 5 in one process
             python-forkserver  the same, first in its process: the fork server has to start too
             joblib             the same with joblib's default (loky), first in its process
"""

import multiprocessing
import statistics
import sys
import time


def square(x):
    return x * x


def trivial_pool_auto():
    n = 1_000_000  # a tenth of the case's items; the figure is per item
    items = list(range(n))
    with multiprocessing.get_context("fork").Pool(2) as pool:
        pool.map(square, range(8))
        begin = time.perf_counter()
        results = pool.map(square, items)
        taken = time.perf_counter() - begin
    if results != [x * x for x in items]:
        sys.exit("a result is wrong")
    return taken / n * 1e9, "ns/item"


def start(method):
    begin = time.perf_counter()
    with multiprocessing.get_context(method).Pool(4) as pool:
        results = pool.map(square, range(4))
    taken = time.perf_counter() - begin
    if results != [0, 1, 4, 9]:
        sys.exit("a result is wrong")
    return taken * 1e6


def start_joblib():
    import joblib

    begin = time.perf_counter()
    results = joblib.Parallel(n_jobs=4)(joblib.delayed(square)(x) for x in range(4))
    taken = time.perf_counter() - begin
    if results != [0, 1, 4, 9]:
        sys.exit("a result is wrong")
    return taken * 1e6, "us"


def start_pool():
    return statistics.median(start("fork") for _ in range(5)), "us"


def start_forkserver():
    return start("forkserver"), "us"


MEASURES = {
    ("map.trivial", "python-pool-auto"): trivial_pool_auto,
    ("map.start", "python-pool"): start_pool,
    ("map.start", "python-forkserver"): start_forkserver,
    ("map.start", "joblib"): start_joblib,
}

if __name__ == "__main__":
    print("%.6g %s" % MEASURES[sys.argv[1], sys.argv[2]]())
