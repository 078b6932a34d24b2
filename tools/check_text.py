#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What no file of the project may hold: blanks at line ends, tabs, unfinished business.

Source files begin with the SPDX line and a comment that says what the file is. Scripts are
executable. Every room has a README.md of less than a page.
"""

import os
import re
import sys

sys.dont_write_bytecode = True
import project  # noqa: E402

UNFINISHED = re.compile(r"\b(TO" r"DO|FIX" r"ME|X" r"XX|HA" r"CK)\b|\bfor" r" now\b")
MACHINE = re.compile(r"(?<![\w.])/(?:work|root|home/\w+)/|/tm" r"p/build")
SPDX = "SPDX-License-Identifier: MIT"
PAGE = 60  # lines


def check_lines(path, text, found):
    for number, line in enumerate(text.split("\n"), 1):
        if line != line.rstrip() and not path.endswith(".md"):
            found.add(path, number, "blanks at the end of the line")
        if "\t" in line and re.search(r"\.(c|h|py|json|md)$", path):
            found.add(path, number, "a tab")
        if UNFINISHED.search(line):
            found.add(path, number, "unfinished business: do it, or write an issue")
        if MACHINE.search(line):
            found.add(path, number, "a path of one machine")
    if text and not text.endswith("\n"):
        found.add(path, text.count("\n") + 1, "no newline at the end")
    if text.endswith("\n\n"):
        found.add(path, text.count("\n"), "an empty line at the end")


def check_head(path, text, found):
    if not re.search(r"\.(c|h|py)$", path):
        return
    head = text.split("\n")
    if not any(SPDX in line for line in head[:2]):
        found.add(path, 1, f"does not begin with {SPDX}")
    if re.search(r"\.[ch]$", path):
        name = os.path.basename(path)
        if not re.match(r"/\* %s \*/\n/\*\s+(?:\* )?%s - " % (SPDX, re.escape(name)), text):
            found.add(path, 2, f'the second comment says "{name} - what it is"')


def main():
    found = project.Findings()
    names = project.files()
    for path in names:
        try:
            text = project.read(path)
        except UnicodeDecodeError:
            found.add(path, 1, "is not UTF-8")
            continue
        check_lines(path, text, found)
        check_head(path, text, found)
        if text.startswith("#!") and path.startswith(("script/", ".ci/")):
            if not os.access(os.path.join(project.ROOT, path), os.X_OK):
                found.add(path, 1, "is not executable")
    rooms = {path.split("/")[1] for path in names if re.match(r"src/\w+/\w+\.[ch]$", path)}
    for room in sorted(rooms):
        path = f"src/{room}/README.md"
        if path not in names:
            found.add(path, 1, "is missing")
        elif project.read(path).count("\n") > PAGE:
            found.add(path, PAGE, "is longer than a page")
    found.finish(f"{len(names)} files read")


main()
