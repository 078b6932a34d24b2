#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What the queue cases time must also be right: a subject that errs is found out, and ends."""

import os
import shutil
import subprocess
import tempfile
import unittest

BENCH = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../bench")
COMPILER = os.environ.get("CC", "cc").split()

SUBJECTS = r"""
#include "queue.h"

#include <signal.h>
#include <string.h>
#include <unistd.h>

static int pipes[2][2];
static int messages;

static void channel_open(size_t bytes)
{
    (void)bytes;
    if (pipe(pipes[0]) != 0 || pipe(pipes[1]) != 0)
        bench_die("pipe failed");
}

static void channel_send(int direction, const void *message, size_t bytes)
{
    if (write(pipes[direction][1], message, bytes) != (ssize_t)bytes)
        bench_die("write failed");
}

static void channel_receive(int direction, void *message, size_t bytes)
{
    if (read(pipes[direction][0], message, bytes) != (ssize_t)bytes)
        bench_die("read failed");
}

static void send_losing_one(int direction, const void *message, size_t bytes)
{
    if (++messages != 200)
        channel_send(direction, message, bytes);
}

static void receive_torn(int direction, void *message, size_t bytes)
{
    channel_receive(direction, message, bytes);
    if (++messages == 200)
        ((char *)message)[bytes - 1] ^= 1;
}

static void receive_wrong_in_the_middle(int direction, void *message, size_t bytes)
{
    channel_receive(direction, message, bytes);
    if (++messages == 20)
        ((char *)message)[bytes / 2] ^= 1;
}

static void receive_and_die(int direction, void *message, size_t bytes)
{
    channel_receive(direction, message, bytes);
    if (direction == 0 && ++messages == 200)
        raise(SIGKILL);
}

static void crowd_open(void)
{
    channel_open(0);
}

static void crowd_put(const void *message)
{
    channel_send(0, message, CROWD_BYTES);
}

static void crowd_put_losing_one(const void *message)
{
    if (++messages != 200)
        crowd_put(message);
}

static void crowd_put_doubling_one(const void *message)
{
    if (++messages == 200)
        crowd_put(message);
    crowd_put(message);
}

static void crowd_get(void *message)
{
    channel_receive(0, message, CROWD_BYTES);
}

int main(int argc, char **argv)
{
    static const bench_passage passages[] = {
        {.name = "good", .open = channel_open, .send = channel_send, .receive = channel_receive},
        {.name = "lost", .open = channel_open, .send = send_losing_one, .receive = channel_receive},
        {.name = "torn", .open = channel_open, .send = channel_send, .receive = receive_torn},
        {.name = "wrong", .open = channel_open, .send = channel_send,
         .receive = receive_wrong_in_the_middle},
        {.name = "dead", .open = channel_open, .send = channel_send, .receive = receive_and_die},
        {.name = "short", .open = channel_open, .send = channel_send, .receive = channel_receive,
         .longest = 63},
    };
    static const bench_crowd crowds[] = {
        {.name = "good", .open = crowd_open, .put = crowd_put, .get = crowd_get},
        {.name = "good-processes", .open = crowd_open, .put = crowd_put, .get = crowd_get,
         .processes = 1},
        {.name = "lost", .open = crowd_open, .put = crowd_put_losing_one, .get = crowd_get,
         .processes = 1},
        {.name = "doubled", .open = crowd_open, .put = crowd_put_doubling_one, .get = crowd_get,
         .processes = 1},
    };

    if (argc == 3 && strcmp(argv[1], "queue.mpmc") == 0)
        return bench_crowd_main(argc, argv, crowds, sizeof crowds / sizeof crowds[0]);
    return bench_queue_main(argc, argv, passages, sizeof passages / sizeof passages[0]);
}
"""


class QueueRun(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        if shutil.which(COMPILER[0]) is None:
            raise unittest.SkipTest("no compiler %s" % COMPILER[0])
        cls.folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.folder.cleanup)
        source = os.path.join(cls.folder.name, "subjects.c")
        cls.program = os.path.join(cls.folder.name, "subjects")
        with open(source, "w", encoding="ascii") as file:
            file.write(SUBJECTS)
        files = [os.path.join(BENCH, name) for name in ("queue_run.c", "queue_mpmc.c", "bench.c")]
        subprocess.run([*COMPILER, "-std=c11", "-D_GNU_SOURCE", "-O1", "-pthread", "-I", BENCH, source,
                        *files, "-o", cls.program], check=True)

    def run_subject(self, case, subject):
        return subprocess.run([self.program, case, subject], stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=30, check=False)

    def test_right_subject_prints_a_figure_for_each_unit(self):
        run = self.run_subject("queue.64", "good")
        self.assertEqual((run.returncode, run.stderr), (0, ""))
        lines = [line.split(" ", 1) for line in run.stdout.splitlines()]
        self.assertEqual([unit for _, unit in lines], ["msgs/s", "us p50", "us p99"])
        rate, middle, late = (float(value) for value, _ in lines)
        self.assertGreater(rate, 0)
        self.assertGreater(middle, 0)
        self.assertGreaterEqual(late, middle)

    def test_crowd_of_threads_and_of_processes_prints_a_rate(self):
        for subject in ("good", "good-processes"):
            with self.subTest(subject):
                run = self.run_subject("queue.mpmc", subject)
                self.assertEqual((run.returncode, run.stderr), (0, ""))
                self.assertRegex(run.stdout, r"^[0-9.e+]+ msgs/s\n$")

    def test_message_that_is_lost_torn_or_wrong_ends_it(self):
        words = {"lost": "came in place of", "torn": "begins as number", "wrong": "is wrong"}
        for subject, said in words.items():
            with self.subTest(subject):
                run = self.run_subject("queue.64", subject)
                self.assertEqual(run.returncode, 1)
                self.assertIn(said, run.stderr)

    def test_process_that_dies_in_the_middle_ends_it(self):
        run = self.run_subject("queue.64", "dead")
        self.assertEqual(run.returncode, 1)

    def test_message_that_is_too_long_for_a_subject_is_refused(self):
        run = self.run_subject("queue.64", "short")
        self.assertEqual(run.returncode, 1)
        self.assertIn("no messages of 64 bytes", run.stderr)

    def test_crowd_that_loses_or_doubles_a_message_is_found_out(self):
        for subject in ("lost", "doubled"):
            with self.subTest(subject):
                run = self.run_subject("queue.mpmc", subject)
                self.assertEqual(run.returncode, 1)


if __name__ == "__main__":
    unittest.main()
