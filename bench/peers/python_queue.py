# SPDX-License-Identifier: MIT
"""Python's queue between processes: python_queue.py CASE, prints the figures of the case.

queue.64, queue.4k, queue.1m  two multiprocessing.Queue between two processes, as queue_run.c does it
queue.mpmc                    one multiprocessing.Queue, 4 producers and 4 consumers, processes

Each message is a bytes object with its number in front. The queue has a thread in each process that
puts, so that nothing is tied to a processor.
"""

import multiprocessing
import struct
import sys
import time

BYTES = {"queue.64": 64, "queue.4k": 4096, "queue.1m": 1 << 20, "queue.mpmc": 64}
ONE_WAY_NS = 300_000_000
TRIPS_NS = 300_000_000
WARM_NS = 50_000_000
TRIPS_MIN = 300
FIRST_MESSAGES = 16
PRODUCERS = 4
CONSUMERS = 4
CROWD_MESSAGES = 10_000  # of each producer: some tenths of a second
NUMBER = struct.Struct("=Q")
END = b"end"

context = multiprocessing.get_context("fork")


def check(message, number, size):
    if len(message) != size or NUMBER.unpack_from(message)[0] != number:
        raise ValueError("message %d did not come as it was sent" % number)


def answer(there, back, size):
    """The other process, which tells the first one if a message is wrong: put never waits."""
    try:
        obey(there, back, size)
    except ValueError as wrong:
        back.put(wrong)


def obey(there, back, size):
    """What comes first says what to do."""
    while True:
        part, messages = there.get()
        back.put(part)
        if part == "end":
            return
        if part == "one way":
            for number in range(messages):
                check(there.get(), number, size)
            back.put(time.monotonic_ns())
        else:
            message = b""
            while message != END:
                message = there.get()
                back.put(message)


def hear(back):
    answered = back.get()
    if isinstance(answered, ValueError):
        sys.exit(str(answered))
    return answered


def announce(there, back, part, messages=0):
    there.put((part, messages))
    hear(back)


def one_way_ns(there, back, size, messages):
    rest = bytes(size - NUMBER.size)
    announce(there, back, "one way", messages)
    begin = time.monotonic_ns()
    for number in range(messages):
        there.put(NUMBER.pack(number) + rest)
    return hear(back) - begin


def one_way(there, back, size):
    messages = FIRST_MESSAGES
    taken = one_way_ns(there, back, size, messages)
    while taken < ONE_WAY_NS // 8:
        messages *= 2
        taken = one_way_ns(there, back, size, messages)
    messages = messages * ONE_WAY_NS // taken + 1
    return messages / one_way_ns(there, back, size, messages)


def trips(there, back, size):
    rest = bytes(size - NUMBER.size)
    taken = []
    number = 0
    announce(there, back, "trips")
    begin = now = time.monotonic_ns()
    warm = False
    while not warm or len(taken) < TRIPS_MIN or now - begin < TRIPS_NS:
        sent = now
        there.put(NUMBER.pack(number) + rest)
        check(hear(back), number, size)
        number += 1
        now = time.monotonic_ns()
        if warm:
            taken.append(now - sent)
        elif now - begin >= WARM_NS:
            warm = True
            begin = now
    there.put(END)
    hear(back)
    taken.sort()
    return taken


def between_two(size):
    there, back = context.Queue(), context.Queue()
    other = context.Process(target=answer, args=(there, back, size), daemon=True)
    other.start()
    rate = one_way(there, back, size)  # messages a ns
    if size >= 1 << 20:
        print("%.6g GB/s" % (rate * size))
    else:
        print("%.6g msgs/s" % (rate * 1e9))
    taken = trips(there, back, size)
    print("%.6g us p50" % (taken[len(taken) // 2] / 1e3))
    print("%.6g us p99" % (taken[len(taken) - 1 - len(taken) // 100] / 1e3))
    announce(there, back, "end")
    other.join()


def produce(queue, gate, rest):
    gate.wait()
    for number in range(1, CROWD_MESSAGES + 1):
        queue.put(NUMBER.pack(number) + rest)


def consume(queue, gate, seen):
    count = total = 0
    gate.wait()
    message = queue.get()
    while message != END:
        count += 1
        total += NUMBER.unpack_from(message)[0]
        message = queue.get()
    seen.put((count, total, time.monotonic_ns()))


def crowd(size):
    queue, seen = context.Queue(), context.SimpleQueue()
    gate = context.Barrier(PRODUCERS + CONSUMERS + 1)
    rest = bytes(size - NUMBER.size)
    producers = [context.Process(target=produce, args=(queue, gate, rest), daemon=True)
                 for _ in range(PRODUCERS)]
    consumers = [context.Process(target=consume, args=(queue, gate, seen), daemon=True)
                 for _ in range(CONSUMERS)]
    for process in producers + consumers:
        process.start()
    gate.wait()
    begin = time.monotonic_ns()
    for producer in producers:
        producer.join()
    for _ in consumers:
        queue.put(END)
    results = [seen.get() for _ in consumers]
    for consumer in consumers:
        consumer.join()
    count, total = (sum(result[i] for result in results) for i in (0, 1))
    if count != PRODUCERS * CROWD_MESSAGES or (
            total != PRODUCERS * CROWD_MESSAGES * (CROWD_MESSAGES + 1) // 2):
        sys.exit("%d messages came, or not the right ones" % count)
    print("%.6g msgs/s" % (count / (max(result[2] for result in results) - begin) * 1e9))


def main():
    if len(sys.argv) != 2 or sys.argv[1] not in BYTES:
        sys.exit("usage: python_queue.py CASE")
    (crowd if sys.argv[1] == "queue.mpmc" else between_two)(BYTES[sys.argv[1]])


if __name__ == "__main__":
    main()
