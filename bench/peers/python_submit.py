# SPDX-License-Identifier: MIT
"""Python's pools and executors: python_submit.py CASE SUBJECT, prints one figure and its unit.

submit.one   a task, and its result, one after another
submit.many  so many tasks that it takes about a second, then all results; the figure is per task

python-thread  concurrent.futures.ThreadPoolExecutor   python-pool  multiprocessing.Pool
python-ppe     concurrent.futures.ProcessPoolExecutor  loky         its reusable executor
"""

import concurrent.futures
import multiprocessing
import operator
import sys
import time

WORKERS = 2
ONE_S = 0.3  # submit.one is repeated for so long
MANY = {"python-pool": 40_000, "python-ppe": 10_000}
fork = multiprocessing.get_context("fork")
task = operator.neg  # in a module: loky would send a function of this file along each time


def threads():
    return concurrent.futures.ThreadPoolExecutor(WORKERS)


def processes():
    return concurrent.futures.ProcessPoolExecutor(WORKERS, mp_context=fork)


def loky():
    try:
        from loky import get_reusable_executor
    except ImportError:  # joblib brings it along
        from joblib.externals.loky import get_reusable_executor
    return get_reusable_executor(max_workers=WORKERS, timeout=60)


def pool_submit(pool):
    return lambda x: pool.apply_async(task, (x,))


def executor_submit(executor):
    return lambda x: executor.submit(task, x)


def get(subject):
    return (lambda future: future.get()) if subject == "python-pool" else (
        lambda future: future.result())


def one_s(submit, result, times):
    begin = time.perf_counter()
    for x in range(times):
        if result(submit(x)) != -x:
            sys.exit("a result is wrong")
    return time.perf_counter() - begin


def one(submit, result, _):
    times = 16
    taken = one_s(submit, result, times)
    while taken < ONE_S / 8:
        times *= 2
        taken = one_s(submit, result, times)
    times = int(times * ONE_S / taken) + 1
    return one_s(submit, result, times) / times * 1e6, "us"


def many_s(submit, result, count):
    begin = time.perf_counter()
    futures = [submit(x) for x in range(count)]
    results = [result(future) for future in futures]
    taken = time.perf_counter() - begin
    if results != [-x for x in range(count)]:
        sys.exit("a result is wrong")
    return taken


def many(submit, result, subject):
    count = MANY[subject]
    many_s(submit, result, 1000)
    return many_s(submit, result, count) / count * 1e9, "ns/task"


def main():
    opens = {"python-thread": threads, "python-pool": lambda: fork.Pool(WORKERS),
             "python-ppe": processes, "loky": loky}
    measures = {"submit.one": one, "submit.many": many}
    measure, subject = measures[sys.argv[1]], sys.argv[2]
    with opens[subject]() as workers:
        submit = (pool_submit if subject == "python-pool" else executor_submit)(workers)
        print("%.6g %s" % measure(submit, get(subject), subject))


if __name__ == "__main__":
    main()
