#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""clang-tidy over what has changed: tidy.py BUILD-FOLDER [--all]

What users run: the library, the command, the examples, quickly: without the analyzer. With --all also
tests and benchmarks, and what users run with the analyzer, which takes minutes.

BUILD-FOLDER holds compile_commands.json. A file that was clean is not looked at again until it, a
header of the project that it includes, or .clang-tidy changes; BUILD-FOLDER/tidy remembers.
"""

import concurrent.futures
import hashlib
import json
import os
import shlex
import subprocess
import sys

sys.dont_write_bytecode = True
import project  # noqa: E402

TIDY = "clang-tidy"

# The analyzer follows every path through a function, and takes nearly all of the time: it looks at
# what users run, where there is time (script/test).
OUR_OWN = ("tests/", "bench/")
ALL = "--all" in sys.argv


def commands(folder):
    """One compile command a file of the project: {path: (folder, arguments)}."""
    with open(os.path.join(folder, "compile_commands.json"), encoding="utf-8") as file:
        entries = json.load(file)
    found = {}
    for entry in entries:
        path = os.path.relpath(os.path.join(entry["directory"], entry["file"]), project.ROOT)
        if not path.startswith(".."):
            found.setdefault(path, (entry["directory"], shlex.split(entry["command"])))
    return found


def digest(directory, arguments):
    """Of the command, of .clang-tidy, and of all files of the project that the file is made of."""
    keep = []
    skip = False
    for argument in arguments:
        if skip or argument in ("-MD", "-c"):
            skip = False
            continue
        skip = argument in ("-o", "-MT", "-MF")
        if not skip:
            keep.append(argument)
    listed = subprocess.run(keep + ["-MM"], cwd=directory, capture_output=True, text=True,
                            check=False)
    total = hashlib.sha256(" ".join(keep).encode())
    names = listed.stdout.replace("\\\n", " ").split()[1:]
    names.append(os.path.join(project.ROOT, ".clang-tidy"))
    for name in names:
        with open(os.path.join(directory, name), "rb") as file:
            total.update(file.read())
    return total.hexdigest()


def look(folder, path, directory, arguments):
    """(path, text or None): what clang-tidy has to say, None if nothing."""
    deep = ALL and not path.startswith(OUR_OWN)
    stamp = os.path.join(folder, "tidy", digest(directory, arguments) + (".deep" if deep else ""))
    if os.path.exists(stamp):
        return path, None
    options = ["-p", folder, "--quiet"]
    if not deep:
        options.append("--checks=-clang-analyzer-*")
    run = subprocess.run([TIDY, *options, os.path.join(project.ROOT, path)],
                         capture_output=True, text=True, check=False)
    if run.returncode != 0:
        return path, run.stdout + run.stderr
    with open(stamp, "w", encoding="utf-8"):
        pass
    return path, None


def main():
    folder = os.path.abspath(sys.argv[1])
    os.makedirs(os.path.join(folder, "tidy"), exist_ok=True)
    wrong = 0
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        looks = [pool.submit(look, folder, path, *command)
                 for path, command in sorted(commands(folder).items())
                 if ALL or not path.startswith(OUR_OWN)]
        for future in concurrent.futures.as_completed(looks):
            path, text = future.result()
            if text is not None:
                wrong += 1
                print(f"---- {path}\n{text}")
    print(f"{len(looks)} files, {wrong} with findings")
    sys.exit(1 if wrong else 0)


main()
