# SPDX-License-Identifier: MIT
"""bar.update with tqdm: one call of update(1) with the bar drawn on a pseudoterminal."""

import os
import pty
import signal
import sys
import time

import tqdm

CALLS = 3_000_000


def main():
    screen, terminal = pty.openpty()
    reader = os.fork()
    if reader == 0:
        os.close(terminal)
        try:
            while os.read(screen, 4096):
                pass
        except OSError:
            pass
        os._exit(0)
    os.close(screen)
    with os.fdopen(terminal, "w") as drawn, tqdm.tqdm(total=CALLS, file=drawn) as bar:
        update = bar.update
        begin = time.perf_counter()
        for _ in range(CALLS):
            update(1)
        taken = time.perf_counter() - begin
        if bar.n != CALLS:
            sys.exit("the bar counted %d" % bar.n)
    os.kill(reader, signal.SIGKILL)
    os.waitpid(reader, 0)
    print("%.6g ns" % (taken / CALLS * 1e9))


if __name__ == "__main__":
    main()
