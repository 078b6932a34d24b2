#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The public face: check_api.py LIBMANY.SO LIBMANY_REMOTE.SO

Each MANY_API function has a comment before it that names it and states the facts of FACTS (a
comment that says "As many_x()" has those of many_x; "As the ... above" those of the one before).
libmany.so exports exactly these functions (libmany_remote.so those of remote.h), none of which ends in _. Each is named in tests/. The
version is the same in base.h, CMakeLists.txt and CHANGELOG.md.
"""

import re
import subprocess
import sys

sys.dont_write_bytecode = True
import project  # noqa: E402

REMOTE = "include/many/remote.h"
FACTS = ("returns", "blocks", "threads", "fork", "signals")
COMMENT = re.compile(r"/\*(.*?)\*/", re.DOTALL)
FUNCTION = re.compile(r"^MANY_API\s+([^;{]*?)\b(many_\w+)\s*\(", re.MULTILINE)
FACT = re.compile(r"^ \* (%s)\s{2,}\S" % "|".join(FACTS), re.MULTILINE)
SAME_AS = re.compile(r"\bAs (many_\w+)\(\)|\bAs the \w+ above\b")


class Function:
    def __init__(self, path, line, kind, name):
        self.path = path
        self.line = line
        self.name = name
        self.is_void = re.fullmatch(r"void\s*", kind) is not None
        self.comment = ""
        self.facts = set()


def spoken(name):
    """many_map_with() is documented as what its macro is called."""
    return re.sub(r"_with$", "", name)


def functions_of(path):
    text = project.read(path)
    comments = [(match.end(), match.group(1)) for match in COMMENT.finditer(text)]
    functions = []
    for match in FUNCTION.finditer(text):
        line = text.count("\n", 0, match.start()) + 1
        function = Function(path, line, match.group(1), match.group(2))
        # The last comment before it that documents functions, not a field or a macro.
        for end, comment in comments:
            if end <= match.start() and re.match(r"\n \* many_\w+.* - ", comment):
                function.comment = comment
        functions.append(function)
    return functions


def collect_facts(functions):
    by_name = {spoken(function.name): function for function in functions}
    previous = None
    for function in functions:
        function.facts = set(FACT.findall(function.comment))
        same = SAME_AS.search(function.comment)
        if same:
            other = by_name.get(same.group(1)) if same.group(1) else previous
            if other is not None and other is not function:
                function.facts |= other.facts
        # Functions of one comment follow each other; "above" means the comment before.
        following = functions.index(function) + 1
        if following == len(functions) or functions[following].comment != function.comment:
            previous = function


def check_comments(functions, found):
    for function in functions:
        name = spoken(function.name)
        title = function.comment.strip().split("\n")[0]
        if not re.search(r"\b%s\b" % name, title):
            found.add(function.path, function.line, f"{name} has no comment that begins with it")
            continue
        for fact in FACTS:
            if fact not in function.facts and not (fact == "returns" and function.is_void):
                found.add(function.path, function.line, f"{name} does not say: {fact}")


def check_exports(functions, library, found):
    listed = subprocess.run(["nm", "-D", "--defined-only", library], capture_output=True,
                            check=True, text=True).stdout
    exported = {line.split()[-1].split("@")[0] for line in listed.splitlines()}
    declared = {function.name for function in functions}
    for name in sorted(declared - exported):
        found.add(library, 0, f"{name} is declared, and not exported")
    for name in sorted(exported - declared):
        found.add(library, 0, f"{name} is exported, and not declared MANY_API")
    for name in sorted(exported):
        if name.endswith("_"):
            found.add(library, 0, f"{name} is private by its name, and exported")


def check_tested(functions, found):
    tests = "\n".join(project.read(path) for path in project.files()
                      if re.fullmatch(r"tests/.*\.(c|cc|h|sh)", path))
    for function in functions:
        if not re.search(r"\b%s(_with)?\b" % spoken(function.name), tests):
            found.add(function.path, function.line, f"{function.name} occurs in no test")


def check_version(found):
    header = re.search(r'#define MANY_VERSION\s+"([^"]+)"', project.read("include/many/base.h"))
    numbers = re.findall(r"#define MANY_VERSION_(?:MAJOR|MINOR|PATCH)\s+(\d+)",
                         project.read("include/many/base.h"))
    cmake = re.search(r"project\(many VERSION (\S+)", project.read("CMakeLists.txt"))
    changes = re.search(r"^## (\d\S*)", project.read("CHANGELOG.md"), re.MULTILINE)
    versions = {header.group(1), ".".join(numbers), cmake.group(1),
                changes.group(1) if changes else "none in CHANGELOG.md"}
    if len(versions) != 1:
        found.add("include/many/base.h", 1, f"versions differ: {', '.join(sorted(versions))}")


def main():
    found = project.Findings()
    functions = []
    for path in project.files():
        if re.fullmatch(r"include/many/\w+\.h", path):
            functions += functions_of(path)
    collect_facts(functions)
    check_comments(functions, found)
    check_exports([one for one in functions if one.path != REMOTE], sys.argv[1], found)
    check_exports([one for one in functions if one.path == REMOTE], sys.argv[2], found)
    check_tested(functions, found)
    check_version(found)
    found.finish(f"{len(functions)} functions documented, exported and tested")


main()
