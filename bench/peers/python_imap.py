# SPDX-License-Identifier: MIT
"""imap.stream with Python: python_imap.py CHUNK ITEMS, Pool(2).imap(..., chunksize=CHUNK), in order.

An item is a bytes object of 64 letters, its result the same in capitals. The source, the task and
the check are Python's own functions in C, so that it is imap which takes the time.
"""

import itertools
import multiprocessing
import operator
import sys
import time

BYTES = 64
DISTINCT = 1024  # items; more than a chunk, for pickle sends the same object only once


def main():
    chunk, items = int(sys.argv[1]), int(sys.argv[2])
    distinct = [(b"%x" % (number + (1 << 60))).ljust(BYTES, b"x") for number in range(DISTINCT)]
    source = itertools.islice(itertools.cycle(distinct), items)
    expected = itertools.cycle([item.upper() for item in distinct])
    with multiprocessing.get_context("fork").Pool(2) as pool:
        pool.map(bytes.upper, distinct)
        begin = time.perf_counter()
        results = pool.imap(bytes.upper, source, chunksize=chunk)
        right = sum(map(operator.eq, results, expected))
        taken = time.perf_counter() - begin
    if right != items:
        sys.exit("%d results are wrong" % (items - right))
    print("%.6g ns/item" % (taken / items * 1e9))


if __name__ == "__main__":
    main()
