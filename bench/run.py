#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Measures many and its peers in turn: see script/bench --help.

Each subject's figures come from processes of their own. A round runs every subject of the case once, in an
order that changes from round to round, so that what disturbs the machine for a while falls on all
of them; ratios are made within a round.
"""

import argparse
import json
import math
import os
import platform
import random
import re
import signal
import statistics
import subprocess
import sys

sys.dont_write_bytecode = True
import cases  # noqa: E402
import judge  # noqa: E402

LIMIT_S = 120  # for one program; the slowest takes some seconds
HERE = os.path.dirname(os.path.abspath(__file__))


class Broken(Exception):
    """A subject that ran and gave no figure; the words say what it said."""


def machine():
    model = platform.machine()
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            found = re.search(r"^model name\s*:\s*(.*)$", file.read(), re.MULTILINE)
        model = found.group(1) if found else model
    except OSError:
        pass
    return "%d x %s, %s %s" % (len(os.sched_getaffinity(0)), model, platform.system(),
                               platform.release())


def warn_if_busy():
    """On a busy machine who starts more threads or processes gets more of it: ratios mislead."""
    load = os.getloadavg()[0]
    if load > 0.5:
        print("bench: the load average is %.1f already: figures will be noisy" % load,
              file=sys.stderr)


def run_program(command):
    """What it prints, from a fresh process that leads a group of its own."""
    try:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, text=True, start_new_session=True)
    except OSError as failure:
        raise Broken(str(failure)) from None
    try:
        output, errors = process.communicate(timeout=LIMIT_S)
    except BaseException as failure:
        os.killpg(process.pid, signal.SIGKILL)  # a group of ours: not yet reaped
        process.communicate()
        if isinstance(failure, subprocess.TimeoutExpired):
            raise Broken("no figure after %d s" % LIMIT_S) from None
        raise
    if process.returncode != 0:
        said = errors.strip().split("\n")[-1]
        raise Broken("exit status %d: %s" % (process.returncode, said))
    return output


def figures_of(output):
    """{unit: figure} of a line each."""
    figures = {}
    for line in output.splitlines():
        value, _, unit = line.strip().partition(" ")
        try:
            value = float(value)
        except ValueError:
            value = math.nan
        if not math.isfinite(value) or unit in figures:
            raise Broken("printed %r, not a figure for each unit" % output)
        figures[unit] = value
    return figures


def measure(commands, units):
    """{unit: figure} of one subject in one round: all units, and no other."""
    output = "".join(run_program(command) for command in commands)
    figures = figures_of(output)
    if set(figures) != set(units):
        raise Broken("printed %r, not a figure in %s" % (output, ", ".join(units)))
    return figures


def prepare(case, place, wanted):
    """Commands of the subjects that can run, a list for each; and words on those that cannot."""
    commands = {}
    absent = {}
    for name, command in case.subjects.items():
        if wanted and name not in wanted:
            continue
        try:
            made = command(place)
            commands[name] = [made] if isinstance(made[0], str) else made
        except cases.Absent as reason:
            absent[name] = str(reason)
    return commands, absent


def run_case(case, commands, runs):
    """({unit: {subject: figure of each round}}, {broken subject: why})."""
    figures = {unit: {name: [] for name in commands if unit in case.units_of(name)}
               for unit in case.units}
    broken = {}
    order = random.Random(case.name)  # the same orders in each run
    for _ in range(runs):
        names = [name for name in commands if name not in broken]
        order.shuffle(names)
        for name in names:
            try:
                measured = measure(commands[name], case.units_of(name))
            except Broken as reason:
                broken[name] = str(reason)
                for of_unit in figures.values():
                    of_unit.pop(name, None)
                continue
            for unit, value in measured.items():
                figures[unit][name].append(value)
    return figures, broken


def rounded(value):
    """Four digits say more than a run can."""
    return float("%.4g" % value)


def shown(value):
    return "%.0f" % value if abs(value) >= 1000 else "%.4g" % value


def print_json(case, figures, where):
    for unit, of_unit in figures.items():
        for name, values in of_unit.items():
            print(json.dumps({
                "case": case.name, "subject": name, "unit": unit,
                "median": rounded(statistics.median(values)), "min": rounded(min(values)),
                "max": rounded(max(values)), "runs": len(values), "machine": where}), flush=True)


def print_table(case, figures):
    print("%s: %s" % (case.name, case.what))
    for unit, of_unit in figures.items():
        print("  %-20s %10s %10s %10s %5s" % (unit, "median", "min", "max", "runs"))
        for name, values in of_unit.items():
            print("  %-20s %10s %10s %10s %5d" % (
                name, shown(statistics.median(values)), shown(min(values)), shown(max(values)),
                len(values)))


def print_notes(case, figures, absent, broken, file):
    """What was skipped, what is broken, and each target's verdict."""
    for name, reason in absent.items():
        print("  skipped %s: %s" % (name, reason), file=file)
    for name, reason in broken.items():
        print("  BROKEN  %s: %s" % (name, reason), file=file)
    for target in case.targets:
        of_unit = figures[target.unit or case.units[0]]
        needed = [name for name in (target.subject, target.peer) if name]
        if any(name not in of_unit for name in needed):
            if not set(needed).isdisjoint(of_unit) or set(needed) & (set(absent) | set(broken)):
                print("  target  %s: not judged" % target, file=file)
            continue
        verdict = judge.judge(target, of_unit[target.subject],
                              of_unit[target.peer] if target.peer else None)
        limits = "[%s, %s]" % tuple(map(shown, verdict.interval)) if verdict.interval else "[-]"
        print("  target  %s: %s %s %s" % (target, shown(verdict.median), limits, verdict.words),
              file=file)


def arguments():
    parser = argparse.ArgumentParser(
        prog="script/bench", description="Measures many and its peers in turn.")
    parser.add_argument("cases", nargs="*", metavar="CASE", help="which cases; none: all")
    parser.add_argument("--json", action="store_true",
                        help="JSON lines on stdout, all else on stderr")
    parser.add_argument("--runs", type=int, default=0, metavar="N",
                        help="rounds of each case (9 to 15 if not said; fewer than 9: no verdict)")
    parser.add_argument("--subject", action="append", metavar="NAME",
                        help="measure these subjects only")
    parser.add_argument("--list", action="store_true", help="print cases and subjects, and exit")
    parser.add_argument("--programs", default=os.path.join(HERE, "../build/bench"),
                        help=argparse.SUPPRESS)
    parser.add_argument("--command", default=os.path.join(HERE, "../build/many"),
                        help=argparse.SUPPRESS)
    options = parser.parse_args()
    known = {case.name: case for case in cases.CASES}
    for name in options.cases:
        if name not in known:
            parser.error("no case %s; there are %s" % (name, ", ".join(known)))
    for name in options.subject or ():
        if not any(name in case.subjects for case in cases.CASES):
            parser.error("no subject %s: see --list" % name)
    if options.runs < 0:
        parser.error("--runs %d: a count of rounds" % options.runs)
    options.cases = [known[name] for name in options.cases] or cases.CASES
    return options


def main():
    options = arguments()
    if options.list:
        for case in options.cases:
            print("%s (%s): %s" % (case.name, ", ".join(case.units), ", ".join(case.subjects)))
        return 0
    # Debian's own Python is the one that Debian's packages are for.
    python = "/usr/bin/python3" if os.access("/usr/bin/python3", os.X_OK) else sys.executable
    place = cases.Place(programs=os.path.abspath(options.programs),
                        command=os.path.abspath(options.command), sources=HERE, python=python)
    # GNU parallel keeps notes in the user's home, unless told where.
    os.environ["PARALLEL_HOME"] = os.path.join(place.programs, "parallel")
    os.makedirs(os.environ["PARALLEL_HOME"], exist_ok=True)
    warn_if_busy()
    where = machine()
    if not options.json:
        print(where)
    status = 0
    for case in options.cases:
        commands, absent = prepare(case, place, options.subject)
        if not commands and not absent:
            continue
        figures, broken = run_case(case, commands, options.runs or case.runs)
        if broken:
            status = 1
        if options.json:
            print(case.name, file=sys.stderr)
            print_json(case, figures, where)
        else:
            print()
            print_table(case, figures)
        print_notes(case, figures, absent, broken, sys.stderr if options.json else sys.stdout)
        sys.stdout.flush()
    return status


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
