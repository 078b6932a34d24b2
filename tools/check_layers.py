#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The house's one direction: prints every #include that goes up, or sideways.

check_layers.py          check
check_layers.py --graph  print which room includes which, as it is
check_layers.py --many   write src/many.c anew first, after source files have come or gone

Also: no "../" in an include; tests for the operating system in src/os/os.c alone; faces and
examples include <many.h> alone; src/many.c includes every source file, rooms in order. Files that
have grown beyond 600 lines are named, without failing.
"""

import os
import re
import sys

sys.dont_write_bytecode = True
import project  # noqa: E402

# Each room may include itself and these; the order is the order of src/many.c.
BELOW = {
    "base": [],
    "os": ["base"],
    "sync": ["os", "base"],
    "bar": ["sync", "os", "base"],
    "channel": ["sync", "os", "base"],
    "task": ["channel", "sync", "os", "base"],
    "process": ["task", "channel", "bar", "sync", "os", "base"],
    "map": ["process", "task", "channel", "bar", "sync", "os", "base"],
    "pool": ["map", "process", "task", "channel", "bar", "sync", "os", "base"],
    "cluster": ["pool", "map", "process", "task", "channel", "bar", "sync", "os", "base"],
}

# The room that a public header is the door of.
DOORS = {
    "many/base.h": "base",
    "many/sync.h": "sync",
    "many/lock_debug.h": "sync",
    "many/bar.h": "bar",
    "many/channel.h": "channel",
    "many/segment.h": "channel",
    "many/queue.h": "channel",
    "many/pipe.h": "channel",
    "many/task.h": "task",
    "many/process.h": "process",
    "many/map.h": "map",
    "many/future.h": "task",
    "many/pool.h": "pool",
    "many/pool_map.h": "pool",
    "many/imap.h": "pool",
    "many/pool_status.h": "pool",
    "many/remote.h": "remote",  # a library of its own, beside the house
}

FACES = ("cli", "examples", "remote")
SWITCH = "src/os/os.c"
SYSTEMS = re.compile(
    r"^\s*#\s*(?:if|ifdef|ifndef|elif)\b.*"
    r"\b(__linux__|__linux|linux|__APPLE__|__MACH__|_WIN32|__unix__|__FreeBSD__|__OpenBSD__|"
    r"__NetBSD__|__CYGWIN__|__sun|_AIX)\b")
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')
LINES = 600

MANY = "src/many.c"
MANY_HEAD = """\
/* SPDX-License-Identifier: MIT */
/*
 * many.c - the whole library in one file, for those who build without a build system:
 *
 *   cc -std=c11 -O2 -Iinclude -Isrc src/many.c your_program.c -pthread
 *
 * Written by tools/check_layers.py --many: every source file once, rooms from below.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
"""


def includes(path):
    """(line, mark, name) of each #include; mark is < or a quote."""
    for number, line in enumerate(project.without_comments(project.read(path)).split("\n"), 1):
        match = INCLUDE.match(line)
        if match:
            yield number, match.group(1), match.group(2)


def room_of(path):
    """The room of a file below src/, None for src/many.c and all else."""
    parts = path.split("/")
    return parts[1] if parts[0] == "src" and len(parts) > 2 else None


def check_room(path, room, found, edges):
    if room not in BELOW:
        found.add(path, 1, f"no room is called {room}")
        return
    for line, mark, name in includes(path):
        if mark == '"':
            target = name.split("/")[0]
            if target not in BELOW or "/" not in name:
                found.add(path, line, f'write "ROOM/file.h", not "{name}"')
                continue
        elif name == "many.h":
            found.add(path, line, "a room includes <many/its own.h>, not all of <many.h>")
            continue
        elif name.startswith("many/"):
            target = DOORS.get(name)
            if target is None:
                found.add(path, line, f"<{name}> is no room's door (DOORS in this tool)")
                continue
        else:
            continue
        edges.setdefault(room, {}).setdefault(target, set()).add(path)
        if target != room and target not in BELOW[room]:
            found.add(path, line, f"{room} may not include {target} ({name})")


def check_face(path, face, names, found):
    own = {name.split("/")[-1] for name in names if name.startswith(face + "/")}
    for line, mark, name in includes(path):
        if mark == '"' and name not in own:
            found.add(path, line, f'{face}/ includes <many.h> and its own headers, not "{name}"')
        if mark == "<" and name.startswith("many/") and name not in DOORS:
            found.add(path, line, f"<{name}> is not public")


def write_one_file(names):
    sources = [name[len("src/"):] for name in names if re.fullmatch(r"src/[^/]+/[^/]+\.c", name)]
    with open(os.path.join(project.ROOT, MANY), "w", encoding="utf-8") as file:
        file.write(MANY_HEAD)
        for room in BELOW:
            own = [name for name in sources if name.startswith(room + "/")]
            if own and room != "cluster":
                file.write("\n" + "".join(f'#include "{name}"\n' for name in own))


def check_one_file(names, found):
    """src/many.c: every source once, a room after those that it may include."""
    order = list(BELOW)
    wanted = {name[len("src/"):] for name in names
              if re.fullmatch(r"src/[^/]+/[^/]+\.c", name) and room_of(name) != "cluster"}
    if MANY not in names:
        found.add(MANY, 1, "is missing: run tools/check_layers.py --many")
        return
    previous = 0
    for line, _, name in includes(MANY):
        if name not in wanted:
            found.add(MANY, line, f'"{name}" is no source file, or is there twice')
            continue
        wanted.remove(name)
        room = order.index(name.split("/")[0])
        if room < previous:
            found.add(MANY, line, f'"{name}" comes after a higher room')
        previous = room
    for name in sorted(wanted):
        found.add(MANY, 1, f'lacks "{name}": run tools/check_layers.py --many')


def main():
    names = project.files()
    if "--many" in sys.argv:
        write_one_file(names)
        names = project.files()
    found = project.Findings()
    edges = {}
    sources = [name for name in names if re.search(r"\.[ch]$", name)]
    for path in sources:
        text = project.read(path)
        lines = text.count("\n")
        if lines > LINES:
            print(f"{path}: {lines} lines, more than {LINES}: split it by concept")
        for line, _, name in includes(path):
            if "../" in name:
                found.add(path, line, f'"{name}" climbs')
        if path != SWITCH:
            for number, line in enumerate(text.split("\n"), 1):
                match = SYSTEMS.match(line)
                if match and path.split("/")[0] in ("src", "include", "cli", "examples"):
                    found.add(path, number, f"tests for {match.group(1)} belong in {SWITCH}")
        room = room_of(path)
        if room is not None:
            check_room(path, room, found, edges)
        elif path.split("/")[0] in FACES:
            check_face(path, path.split("/")[0], names, found)
    check_one_file(names, found)

    if "--graph" in sys.argv:
        for room in BELOW:
            if room in edges:
                below = [name for name in BELOW if name in edges[room] and name != room]
                print(f"{room:8} -> {', '.join(reversed(below)) or '-'}")
    found.finish(f"{len(sources)} files in their layers")


main()
