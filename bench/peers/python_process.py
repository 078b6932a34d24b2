# SPDX-License-Identifier: MIT
"""spawn with Python: start a multiprocessing.Process by fork, and join it: median of 101."""

import multiprocessing
import statistics
import sys
import time


def nothing():
    pass


def start_and_join(context):
    begin = time.perf_counter_ns()
    process = context.Process(target=nothing)
    process.start()
    process.join()
    taken = time.perf_counter_ns() - begin
    if process.exitcode != 0:
        sys.exit("the process ended with %s" % process.exitcode)
    return taken / 1e3


if __name__ == "__main__":
    fork = multiprocessing.get_context("fork")
    print("%.6g us" % statistics.median(start_and_join(fork) for _ in range(101)))
