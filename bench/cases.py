# SPDX-License-Identifier: MIT
"""The cases: what each does, its subjects, and what many must reach.

Names of cases, subjects and units stay as they are, so that results can be compared over time.
"""

import dataclasses
import os
import shutil
import subprocess
import sys

JOBS = 2000


class Absent(Exception):
    """A subject that cannot run here; the words say why."""


@dataclasses.dataclass(frozen=True)
class Place:
    """Where the measured programs, the command and the sources are, and a Python with peers."""

    programs: str
    command: str
    sources: str
    python: str

    def program(self, name, package=None):
        """Only a peer, which says what package it needs, may be missing."""
        path = os.path.join(self.programs, name)
        if package is not None and not os.path.exists(path):
            raise Absent("not built: it needs %s" % package)
        return path

    def peer(self, name):
        return os.path.join(self.sources, "peers", name)

    def file(self, name, text):
        """A file that a subject reads, written anew."""
        path = os.path.join(self.programs, name)
        with open(path, "w", encoding="ascii") as file:
            file.write(text)
        return path


@dataclasses.dataclass(frozen=True)
class Target:
    """subject's figure <= or >= limit, or limit times the figure of peer in the same round."""

    subject: str
    relation: str
    limit: float
    peer: str = ""
    unit: str = ""  # of a case that has several

    def __str__(self):
        unit = "%s: " % self.unit if self.unit else ""
        times = " x %s" % self.peer if self.peer else ""
        return "%s%s %s %g%s" % (unit, self.subject, self.relation, self.limit, times)


@dataclasses.dataclass(frozen=True)
class Case:
    name: str
    unit: str  # or several: "ns uncontended, ns contended"
    what: str
    subjects: dict  # name: function of a Place that returns the command to measure, or several
    targets: tuple
    runs: int  # rounds, unless --runs says otherwise
    fewer: dict = dataclasses.field(default_factory=dict)  # name: its units, where it lacks some

    @property
    def units(self):
        return self.unit.split(", ")

    def units_of(self, subject):
        return self.fewer.get(subject, self.units)


def tool(name):
    path = shutil.which(name)
    if path is None:
        raise Absent("%s is not installed" % name)
    return path


def is_gnu(path):
    run = subprocess.run([path, "--version"], capture_output=True, stdin=subprocess.DEVNULL,
                         check=False)
    return run.stdout.startswith(b"GNU parallel")


def gnu_parallel():
    path = tool("parallel")
    if not is_gnu(path):
        raise Absent("parallel is not GNU parallel")
    return path


def moreutils_parallel():
    """Debian calls it parallel.moreutils where GNU parallel is installed too."""
    path = shutil.which("parallel.moreutils")
    if path is None:
        path = tool("parallel")
        if is_gnu(path):
            raise Absent("moreutils is not installed")
    return path


def program(name, *arguments, package=None):
    return lambda place: [place.program(name, package), *arguments]


def both(*commands):
    """A subject whose figures come from several programs."""
    return lambda place: [command(place) for command in commands]


def python(script, *arguments, module=None):
    def command(place):
        if module is not None:
            seen = subprocess.run([place.python, "-c", "import " + module], capture_output=True,
                                  check=False)
            if seen.returncode != 0:
                raise Absent("%s has no module %s" % (place.python, module))
        return [place.python, place.peer(script), *arguments]

    return command


def map_subjects(case, *names):
    made_by = {
        "many": ("map_many", None),
        "tbb": ("tbb", "libtbb-dev"),
        "openmp": ("openmp", "gcc's OpenMP"),
        "glib": ("glib", "libglib2.0-dev"),
    }
    subjects = {}
    for name in names:
        file, package = made_by[name.split("-")[0]]
        subjects[name] = program(file, case, name, package=package)
    return subjects


def even_subjects(case):
    return map_subjects(case, "many-thread", "many-process", "openmp-dynamic1", "tbb-auto", "glib")


# ---- between two processes, and among several ----


def openmpi(case):
    def command(place):
        program_path = place.program("queue_mpi", "libopenmpi-dev")
        mpirun = [tool("mpirun"), "--allow-run-as-root", "--bind-to", "none", "--host",
                  "localhost:2", "-n", "2"]
        try:
            run = subprocess.run([*mpirun, "true"], capture_output=True, stdin=subprocess.DEVNULL,
                                 timeout=20, check=False)
        except subprocess.TimeoutExpired:
            raise Absent("mpirun hangs here") from None
        if run.returncode != 0:
            raise Absent("mpirun fails here, or is not Open MPI's")
        return [*mpirun, program_path, case, "openmpi"]

    return command


def posix_mq(case):
    def command(place):
        if not os.path.exists("/proc/sys/fs/mqueue"):
            raise Absent("this kernel has no POSIX message queues")
        return [place.program("queue_kernel"), case, "posix-mq"]

    return command


def queue_subjects(case, *names):
    made_by = {
        "many-queue": ("queue_many", None),
        "many-pipe": ("pipe", None),
        "spsc-limit": ("queue_spsc_limit", None),
        "pipe2": ("queue_kernel", None),
        "socketpair": ("queue_kernel", None),
        "boost-mq": ("queue_boost", "libboost-dev"),
        "nng-ipc": ("queue_nng", "libnng-dev"),
        "many-thread": ("queue_many", None),
        "many-process": ("queue_many", None),
        "glib-async-queue": ("queue_glib", "libglib2.0-dev"),
    }
    subjects = {}
    for name in names:
        if name == "openmpi":
            subjects[name] = openmpi(case)
        elif name == "posix-mq":
            subjects[name] = posix_mq(case)
        elif name == "python-queue":
            subjects[name] = python("python_queue.py", case)
        else:
            file, package = made_by[name]
            subjects[name] = program(file, case, name, package=package)
    return subjects


def queue_case(name, what, rate, *more):
    """Two processes; more: peers that can pass messages of this length."""
    return Case(
        name, "%s, us p50, us p99" % rate, what,
        queue_subjects(name, "many-queue", "many-pipe", "spsc-limit", "pipe2", "socketpair",
                       "boost-mq", *more, "nng-ipc", "python-queue", "openmpi"),
        (
            Target("many-queue", ">=", 0.7, "spsc-limit", rate),
            Target("many-queue", "<=", 1.5, "spsc-limit", "us p50"),
            Target("many-pipe", ">=", 0.9, "spsc-limit", rate),
            Target("many-pipe", "<=", 1.2, "spsc-limit", "us p50"),
        ), 9)


def submit_subjects(case, *names):
    made_by = {
        "many": ("submit_many", None),
        "many-thread": ("submit_many", None),
        "many-process": ("submit_many", None),
        "tbb": ("submit_tbb", "libtbb-dev"),
        "openmp": ("submit_openmp_gcc", "gcc's OpenMP"),
        "openmp-gcc": ("submit_openmp_gcc", "gcc's OpenMP"),
        "openmp-llvm": ("submit_openmp_llvm", "clang and libomp-dev"),
        "glib": ("submit_glib", "libglib2.0-dev"),
        "libdispatch": ("submit_dispatch", "libdispatch-dev"),
        "std-async": ("submit_async", "g++"),
        "spin-limit": ("submit_spin", None),
    }
    subjects = {}
    for name in names:
        if name in made_by:
            file, package = made_by[name]
            called = "openmp-gcc" if name == "openmp" else name
            subjects[name] = program(file, case, called, package=package)
        else:
            subjects[name] = python("python_submit.py", case, name,
                                    module="joblib" if name == "loky" else None)
    return subjects


def peak(command, *arguments):
    """The same command for its memory: measured by a run of its own, see peak.c."""
    return lambda place: [place.program("peak"), *command(place), *arguments]


def stream(subject, items):
    command = program("imap_many", subject, str(items))
    return both(command, peak(command, "straggler"))


def python_stream(chunk, items):
    command = python("python_imap.py", str(chunk), str(items))
    return both(command, peak(command))


def lock(name, file="lock_posix"):
    return both(program(file, name, "uncontended"), program(file, name, "contended"))


# ---- commands that run JOBS jobs; each job gets its number as argument ----


def job_true(_):
    return tool("true")


def job_static(place):
    return place.program("exit_at_once", "an x86-64 or arm64 processor")


def jobs(runner, job, items=True):
    """The command that times a runner; with items its stdin is a line for each job."""

    def command(place):
        text = "".join("%d\n" % number for number in range(1, JOBS + 1)) if items else ""
        source = place.file("items" if items else "nothing", text)
        return [place.program("cli"), str(JOBS), source, *runner(place, job(place))]

    return command


def run_many(place, job):
    return [place.command, "map", "-j2", "--keep-order", "--bar", job]


def run_raw(place, job):
    return [place.program("raw_posix_spawn"), "2", job]


def run_xargs(_, job):
    return [tool("xargs"), "-P2", "-n1", job]


def run_make(place, job):
    names = " ".join("job%d" % number for number in range(1, JOBS + 1))
    makefile = place.file("jobs.mk", "JOBS = %s\nall: $(JOBS)\n.PHONY: all $(JOBS)\n"
                          "$(JOBS):\n\t@%s $@\n" % (names, job))
    return [tool("make"), "-rs", "-j2", "-f", makefile]


def run_moreutils(_, job):
    numbers = [str(number) for number in range(1, JOBS + 1)]
    return [moreutils_parallel(), "-j", "2", job, "--", *numbers]


def run_gnu_parallel(_, job):
    return [gnu_parallel(), "--will-cite", "-j2", "-k", "--bar", job]


CASES = [
    Case(
        "map.trivial", "ns/item", "1e7 longs, y = x*x, 2 workers (glib, python: 1e6)",
        {
            **map_subjects("map.trivial", "many-thread", "many-thread-range", "many-process-shared",
                           "many-process", "many-process-fresh", "tbb-fnptr", "openmp-static",
                           "openmp-dynamic1", "openmp-dynamic64", "glib"),
            "python-pool-auto": python("python_map.py", "map.trivial", "python-pool-auto"),
        },
        (
            Target("many-thread", "<=", 1.05, "tbb-fnptr"),
            Target("many-thread-range", "<=", 1.1, "openmp-static"),
            Target("many-process-shared", "<=", 1.3, "many-thread"),
            Target("many-process", "<=", 4.5, "many-thread"),
        ), 15),
    Case(
        "map.1us", "efficiency", "1e5 items of 1 us, 2 workers, against serial / 2",
        even_subjects("map.1us"),
        (Target("many-thread", ">=", 0.98), Target("many-process", ">=", 0.98)), 15),
    Case(
        "map.10us", "efficiency", "1e5 items of 10 us, 2 workers, against serial / 2",
        even_subjects("map.10us"),
        (Target("many-thread", ">=", 0.98), Target("many-process", ">=", 0.98)), 9),
    Case(
        "map.skewed", "efficiency",
        "1e4 items of 10 us, the last 20 of them 10 ms, against the best possible schedule",
        even_subjects("map.skewed"),
        (Target("many-thread", ">=", 0.97), Target("many-process", ">=", 0.97)), 9),
    Case(
        "map.start", "us", "a map of 4 items with 4 workers, from call to return",
        {
            "many-process": program("start_many", "many-process"),
            "many-thread": program("start_many", "many-thread"),
            "raw-fork-wait": program("start_raw", "raw-fork-wait"),
            "raw-pthread": program("start_raw", "raw-pthread"),
            "python-pool": python("python_map.py", "map.start", "python-pool"),
            "python-forkserver": python("python_map.py", "map.start", "python-forkserver"),
            "joblib": python("python_map.py", "map.start", "joblib", module="joblib"),
        },
        (
            Target("many-process", "<=", 1.5, "raw-fork-wait"),
            Target("many-thread", "<=", 1.2, "raw-pthread"),
        ), 15),
    Case(
        "map.bigparent", "us",
        "4 items by 4 processes of their own, from a parent that has touched 1 GiB",
        {
            "many": program("bigparent_many", "many-forkserver"),
            "many-spawn": program("bigparent_many", "many-spawn"),
            "raw-fork-wait": program("bigparent_raw", "raw-fork-wait"),
            "posix_spawn": program("bigparent_raw", "posix-spawn"),
        },
        (Target("many", "<=", 1500),), 9),
    Case(
        "submit.one", "us", "submit a task, wait for it, one after another; 2 workers",
        submit_subjects("submit.one", "many-thread", "many-process", "spin-limit", "tbb", "openmp",
                        "libdispatch", "glib", "std-async", "python-thread", "python-pool",
                        "python-ppe", "loky"),
        (Target("many-thread", "<=", 0.1), Target("many-process", "<=", 1.5)), 9),
    Case(
        "submit.many", "ns/task", "1e6 tasks submitted, then all waited for; 2 workers",
        submit_subjects("submit.many", "many-thread", "many-process", "openmp-gcc", "openmp-llvm",
                        "tbb", "glib", "python-pool", "python-ppe"),
        (Target("many-thread", "<=", 80), Target("many-process", "<=", 300)), 9),
    Case(
        "fib", "ns/task", "fib(30) by submit and wait, a task is a call of fib; 2 workers",
        submit_subjects("fib", "many", "tbb", "openmp-llvm", "openmp-gcc"),
        (Target("many", "<=", 30),), 9),
    Case(
        "imap.stream", "ns/item, MiB peak",
        "1e7 items of 64 bytes through imap, ordered; 2 workers (python: 1e6, 1e5)",
        {
            "many-process": stream("many-process", 10_000_000),
            "many-process-1e5": stream("many-process", 100_000),
            "many-thread": stream("many-thread", 10_000_000),
            "many-thread-1e5": stream("many-thread", 100_000),
            "python-imap": python_stream(1, 100_000),
            "python-imap-1000": python_stream(1000, 1_000_000),
        },
        (
            Target("many-process", "<=", 150, "", "ns/item"),
            # The same, for a hundred times as many items.
            Target("many-process", "<=", 1.1, "many-process-1e5", "MiB peak"),
            Target("many-thread", "<=", 1.1, "many-thread-1e5", "MiB peak"),
        ), 9),
    queue_case("queue.64", "messages of 64 bytes between two processes: one way, there and back",
               "msgs/s", "posix-mq"),
    queue_case("queue.4k", "messages of 4 KiB between two processes: one way, there and back",
               "msgs/s", "posix-mq"),
    queue_case("queue.1m", "messages of 1 MiB between two processes: one way, there and back",
               "GB/s"),
    Case(
        "queue.mpmc", "msgs/s", "messages of 64 bytes, 4 producers and 4 consumers of one queue",
        queue_subjects("queue.mpmc", "many-thread", "many-process", "glib-async-queue",
                       "python-queue"),
        (Target("many-thread", ">=", 3e6), Target("many-process", ">=", 3e6)), 9),
    Case(
        "lock", "ns uncontended, ns contended", "acquire and release; two processes contending",
        {
            "many": lock("many", "lock_many"),
            "pthread": program("lock_posix", "pthread", "uncontended"),
            "pshared": lock("pshared"),
            "robust": lock("robust"),
            "sem": lock("sem"),
            "python-mp-lock": both(python("lock_python.py", "python-mp-lock", "uncontended"),
                                   python("lock_python.py", "python-mp-lock", "contended")),
        },
        (
            Target("many", "<=", 1.1, "robust", "ns uncontended"),
            Target("many", "<=", 1, "robust", "ns contended"),
        ), 15, {"pthread": ["ns uncontended"]}),
    Case(
        "spawn", "us", "start a process that returns at once, and wait for it",
        {
            "many": program("spawn_many", "many"),
            "many-forkserver": program("spawn_many", "many-forkserver"),
            "many-spawn": program("spawn_many", "many-spawn"),
            "raw-fork-wait": program("spawn_raw", "raw-fork-wait"),
            "posix_spawn": program("spawn_raw", "posix-spawn"),
            "python-process": python("python_process.py"),
        },
        (Target("many", "<=", 1.2, "raw-fork-wait"),), 15),
    Case(
        "bar.update", "ns", "many_bar_add(bar, 1), the bar drawn on a terminal",
        {
            "many-static": program("bar_update_static", "1"),
            "many-shared": program("bar_update_shared", "1"),
            "many-static-2": program("bar_update_static", "2"),
            "many-shared-2": program("bar_update_shared", "2"),
            "python-tqdm": python("python_bar.py", module="tqdm"),
        },
        (
            Target("many-static", "<=", 2),
            Target("many-shared", "<=", 4),
            Target("many-static-2", "<=", 3),
            Target("many-shared-2", "<=", 5),
        ), 9),
    Case(
        "cli.true", "jobs/s", "2000 x /bin/true, 2 at a time; many: grouped, ordered, with a bar",
        {
            "many": jobs(run_many, job_true),
            "raw-posix-spawn": jobs(run_raw, job_true),
            "make-j2": jobs(run_make, job_true, items=False),
            "moreutils-parallel": jobs(run_moreutils, job_true, items=False),
            "xargs": jobs(run_xargs, job_true),
            "gnu-parallel": jobs(run_gnu_parallel, job_true),
        },
        (
            Target("many", ">=", 0.97, "raw-posix-spawn"),
            Target("many", ">=", 1.3, "xargs"),
            Target("many", ">=", 5, "gnu-parallel"),
        ), 9),
    Case(
        "cli.static", "jobs/s", "2000 x a static program that exits at once, 2 at a time",
        {
            "many": jobs(run_many, job_static),
            "raw-posix-spawn": jobs(run_raw, job_static),
            "xargs": jobs(run_xargs, job_static),
        },
        (Target("many", ">=", 0.8, "raw-posix-spawn"),), 15),
]


def check():
    """A target that names no subject, or a unit that it lacks, would never be judged."""
    for case in CASES:
        for target in case.targets:
            unit = target.unit or case.unit
            for name in filter(None, (target.subject, target.peer)):
                if name not in case.subjects:
                    sys.exit("bench/cases.py: %s: no subject %s" % (case.name, name))
                if unit not in case.units_of(name):
                    sys.exit("bench/cases.py: %s: %s has no %s" % (case.name, name, unit))


check()
