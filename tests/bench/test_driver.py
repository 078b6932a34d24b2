#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""script/bench's driver: what is judged, what is printed, and the exit status."""

import json
import math
import os
import subprocess
import sys
import tempfile
import unittest

sys.dont_write_bytecode = True
BENCH = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../bench")
sys.path.insert(0, BENCH)
import cases  # noqa: E402
import judge  # noqa: E402


def verdict(relation, limit, values, peer=None):
    return judge.judge(cases.Target("a", relation, limit, "b" if peer else ""), values, peer).words


class Judge(unittest.TestCase):
    def test_interval_of_nine_is_the_second_of_each_end(self):
        self.assertEqual(judge.interval([9, 1, 8, 2, 7, 3, 6, 4, 5]), (2, 8))

    def test_interval_covers_the_median_with_95_percent_and_no_narrower_one_does(self):
        for n in range(6, 40):
            low, high = judge.interval(list(range(n)))
            self.assertEqual(low, n - 1 - high)

            def covered(k):  # by the k-th smallest and the k-th largest
                return 1 - 2 * sum(math.comb(n, i) for i in range(k)) / 2 ** n

            self.assertGreaterEqual(covered(low + 1), 0.95)
            self.assertLess(covered(low + 2), 0.95)

    def test_too_few_values_have_no_interval(self):
        self.assertIsNone(judge.interval([1, 2, 3, 4, 5]))
        self.assertIn("not judged", verdict("<=", 100, [1] * 8))

    def test_limit_is_held_by_the_median_or_by_the_interval_or_missed(self):
        values = [1.0, 1.1, 1.2, 1.3, 1.4, 1.5, 1.6, 1.7, 1.8]
        self.assertEqual(verdict("<=", 1.4, values), "holds")
        self.assertEqual(verdict("<=", 1.1, values), "holds, within the interval")
        self.assertEqual(verdict("<=", 1.09, values), "MISSED")
        self.assertEqual(verdict(">=", 1.4, values), "holds")
        self.assertEqual(verdict(">=", 1.7, values), "holds, within the interval")
        self.assertEqual(verdict(">=", 1.71, values), "MISSED")

    def test_ratio_is_made_within_each_round(self):
        peer = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0]
        values = [2 * value for value in peer]
        self.assertEqual(verdict("<=", 2, values, peer), "holds")
        self.assertEqual(verdict("<=", 1.99, values, peer), "MISSED")


class Driver(unittest.TestCase):
    """map.start with programs that print what the test says."""

    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)

    def program(self, name, text):
        path = os.path.join(self.folder.name, name)
        with open(path, "w", encoding="ascii") as file:
            file.write("#!/bin/sh\n" + text)
        os.chmod(path, 0o755)

    def run_driver(self, *arguments):
        return subprocess.run(
            [sys.executable, os.path.join(BENCH, "run.py"), "--programs", self.folder.name,
             "--command", os.path.join(self.folder.name, "many"), "--runs", "9", *arguments],
            capture_output=True, text=True, timeout=250, check=False)

    def start(self, *arguments):
        return self.run_driver("--subject", "many-process", "--subject", "raw-fork-wait",
                               "map.start", *arguments)

    def test_json_is_lines_of_json_and_nothing_else(self):
        self.program("start_many", "echo '300 us'\n")
        self.program("start_raw", "echo '250 us'\n")
        run = self.start("--json")
        self.assertEqual(run.returncode, 0, run.stderr)
        lines = [json.loads(line) for line in run.stdout.splitlines()]
        self.assertEqual([line["subject"] for line in lines], ["many-process", "raw-fork-wait"])
        self.assertEqual(list(lines[0])[:7],
                         ["case", "subject", "unit", "median", "min", "max", "runs"])
        self.assertEqual((lines[0]["case"], lines[0]["unit"], lines[0]["median"], lines[0]["runs"]),
                         ("map.start", "us", 300, 9))
        self.assertIn("1.2 [1.2, 1.2] holds", run.stderr)

    def test_every_subject_runs_once_a_round_in_changing_order(self):
        for name in ("start_many", "start_raw"):
            self.program(name, "echo %s >> \"${0%%/*}/log\"\necho '1 us'\n" % name)
        self.assertEqual(self.start().returncode, 0)
        with open(os.path.join(self.folder.name, "log"), encoding="ascii") as file:
            names = file.read().split()
        rounds = list(zip(names[::2], names[1::2]))
        self.assertEqual(len(rounds), 9)
        self.assertEqual(set(rounds), {("start_many", "start_raw"), ("start_raw", "start_many")})

    def test_missed_target_is_printed_and_no_error(self):
        self.program("start_many", "echo '3000 us'\n")
        self.program("start_raw", "echo '250 us'\n")
        run = self.start()
        self.assertEqual(run.returncode, 0, run.stderr)
        self.assertIn("12 [12, 12] MISSED", run.stdout)

    def test_broken_subject_is_named_and_the_others_are_measured(self):
        broken = {"exit 3\n": "exit status 3", "echo 5 ns\n": "not a figure", ":\n": "not a figure",
                  "echo many us\n": "not a figure", "kill -9 $$\n": "exit status -9"}
        self.program("start_raw", "echo '250 us'\n")
        for text, words in broken.items():
            with self.subTest(text):
                self.program("start_many", text)
                run = self.start("--json")
                self.assertEqual(run.returncode, 1)
                self.assertRegex(run.stderr, "BROKEN  many-process: .*" + words)
                lines = [json.loads(line) for line in run.stdout.splitlines()]
                self.assertEqual([line["subject"] for line in lines], ["raw-fork-wait"])

    def test_own_program_that_is_missing_is_broken(self):
        self.program("start_raw", "echo '250 us'\n")
        run = self.start()
        self.assertEqual(run.returncode, 1)
        self.assertIn("BROKEN  many-process", run.stdout)

    def test_missing_peer_is_skipped_by_name(self):
        self.program("map_many", "echo '0.9 efficiency'\n")
        run = self.run_driver("--subject", "many-thread", "--subject", "glib", "map.1us")
        self.assertEqual(run.returncode, 0, run.stderr)
        self.assertIn("skipped glib: not built: it needs libglib2.0-dev", run.stdout)

    def test_case_of_several_units_has_a_row_and_a_verdict_for_each(self):
        """queue.64: one program prints all of them."""
        self.program("queue_many", "echo '8 msgs/s'\necho '3 us p50'\necho '5 us p99'\n")
        self.program("queue_spsc_limit", "echo '5 us p99'\necho '1 us p50'\necho '10 msgs/s'\n")
        subjects = ("--subject", "many-queue", "--subject", "spsc-limit", "queue.64")
        run = self.run_driver(*subjects, "--json")
        self.assertEqual(run.returncode, 0, run.stderr)
        lines = [json.loads(line) for line in run.stdout.splitlines()]
        self.assertEqual([(line["unit"], line["subject"], line["median"]) for line in lines], [
            ("msgs/s", "many-queue", 8), ("msgs/s", "spsc-limit", 10),
            ("us p50", "many-queue", 3), ("us p50", "spsc-limit", 1),
            ("us p99", "many-queue", 5), ("us p99", "spsc-limit", 5)])
        self.assertIn("target  msgs/s: many-queue >= 0.7 x spsc-limit: 0.8 [0.8, 0.8] holds",
                      run.stderr)
        self.assertIn("target  us p50: many-queue <= 1.5 x spsc-limit: 3 [3, 3] MISSED", run.stderr)
        table = self.run_driver(*subjects).stdout
        for row in (r"msgs/s +median +min +max +runs\n +many-queue +8 ",
                    r"us p50 +median +min +max +runs\n +many-queue +3 ",
                    r"us p99 +median +min +max +runs\n +many-queue +5 "):
            self.assertRegex(table, row)

    def test_subject_that_prints_other_units_than_its_case_has_is_broken(self):
        self.program("queue_spsc_limit", "echo '9 msgs/s'\necho '1 us p50'\necho '5 us p99'\n")
        for text in ("echo '9 msgs/s'\necho '1 us p50'\n",
                     "echo '9 msgs/s'\necho '1 us p50'\necho '5 us p99'\necho '5 us'\n",
                     "echo '9 msgs/s'\necho '1 us p50'\necho '5 us p99'\necho '5 us p99'\n",
                     "echo '9 msgs/s'\necho 'nan us p50'\necho '5 us p99'\n"):
            with self.subTest(text):
                self.program("queue_many", text)
                run = self.run_driver("--json", "--runs", "1", "--subject", "many-queue",
                                      "--subject", "spsc-limit", "queue.64")
                self.assertEqual(run.returncode, 1)
                self.assertRegex(run.stderr, "BROKEN  many-queue: .*not a figure")
                lines = [json.loads(line) for line in run.stdout.splitlines()]
                self.assertEqual([line["subject"] for line in lines], ["spsc-limit"] * 3)

    def test_units_may_come_from_programs_of_their_own_and_a_peer_may_lack_some(self):
        """lock: uncontended and contended are two calls; a private mutex has the first alone."""
        text = "case $2 in contended) echo '60 ns contended' ;; *) echo '20 ns uncontended' ;; esac\n"
        self.program("lock_many", text)
        self.program("lock_posix", text)
        run = self.run_driver("--json", "--subject", "many", "--subject", "robust", "--subject",
                              "pthread", "lock")
        self.assertEqual(run.returncode, 0, run.stderr)
        lines = [json.loads(line) for line in run.stdout.splitlines()]
        self.assertEqual([(line["unit"], line["subject"]) for line in lines], [
            ("ns uncontended", "many"), ("ns uncontended", "pthread"),
            ("ns uncontended", "robust"), ("ns contended", "many"), ("ns contended", "robust")])
        self.assertEqual(run.stderr.count("holds"), 2)

    def test_unknown_case_or_subject_is_a_wrong_usage(self):
        self.assertEqual(self.run_driver("map.strat").returncode, 2)
        self.assertEqual(self.run_driver("--subject", "mnay").returncode, 2)


if __name__ == "__main__":
    unittest.main()
