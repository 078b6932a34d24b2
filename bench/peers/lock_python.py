#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""lock with Python: multiprocessing.Lock. lock_python.py python-mp-lock uncontended|contended"""

import ctypes
import multiprocessing
import statistics
import sys
import time

ALONE = 200_000
BOTH = 200_000


def turn(lock, counter, times):
    for _ in range(times):
        lock.acquire()
        counter.value += 1
        lock.release()


def other(lock, counter, ready):
    ready.wait()
    turn(lock, counter, BOTH)


def uncontended(context):
    lock, counter = context.Lock(), context.Value(ctypes.c_uint64, lock=False)
    taken = []
    for _ in range(5):
        begin = time.perf_counter()
        turn(lock, counter, ALONE)
        middle = time.perf_counter()
        for _ in range(ALONE):  # what the loop itself costs
            counter.value += 1
        taken.append(2 * middle - begin - time.perf_counter())
    return statistics.median(taken) / ALONE


def contended(context):
    lock, counter = context.Lock(), context.Value(ctypes.c_uint64, lock=False)
    ready = context.Barrier(2)
    child = context.Process(target=other, args=(lock, counter, ready), daemon=True)
    child.start()
    ready.wait()
    begin = time.perf_counter()
    turn(lock, counter, BOTH)
    child.join()
    taken = time.perf_counter() - begin
    if counter.value != 2 * BOTH:
        sys.exit("the counter is %d" % counter.value)
    return taken / (2 * BOTH)


def main():
    ways = {"uncontended": uncontended, "contended": contended}
    if len(sys.argv) != 3 or sys.argv[1] != "python-mp-lock" or sys.argv[2] not in ways:
        sys.exit("usage: lock_python.py python-mp-lock uncontended|contended")
    figure = ways[sys.argv[2]](multiprocessing.get_context("fork"))
    print("%.6g ns %s" % (figure * 1e9, sys.argv[2]))


if __name__ == "__main__":
    main()
