#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A model of a ticket's life between processes (src/pool/table.h), explored state by state.

A submitter publishes, cancels and tidies its lane; two workers look for tickets, claim them, run them, tell,
search, and sleep; a thread sleeps on a claim word, and another hears the news; a worker may be killed
between any two steps, is settled as src/pool/recovery.c does, and is replaced; so may who settles it be, and with
it all workers; or one worker is stopped for ever. Every interleaving of each scene is visited.

Checked: no ticket is over twice, fn is entered no oftener than kills and retries allow, and from every state
there is a way to the end (all are over, whoever waited was woken) without a further kill, and without the
slices of sleep, which are insurance: only in scenes with a stopped worker do they end. What only costs time is
not seen: that who stops searching sets the sleepers' bit, that who slept for a slice clears the searcher, and,
as every dead worker is replaced at once here, that those who sleep are woken after a death. Not in the model:
batches, help within a task, limits, the terminating of what runs, and the death of the submitter.

The steps are in ticket_steps.py. `--break NAME` takes one rule of the protocol away (where the rule is a fence,
the load passes before the store), and must find a violation: a model that cannot fail proves nothing.
`--trace NAME` also prints the way to it.
"""
import sys
from collections import namedtuple

sys.dont_write_bytecode = True
from ticket_steps import (BETWEEN, DEAD, FREE, FRESH, OVER, QUIET, State, Ticket, hearer_steps, kill_steps,
                          owner_steps, settler_steps, top, waiter_steps, worker_steps)

Scene = namedtuple("Scene", "workers script retries kills stops search meet wait hear")

SCENES = {
    "wait": Scene(1, "p0 c0", (0,), 0, 0, 0, 0, 1, 0),
    "submit": Scene(2, "p0 p1", (0, 0), 0, 0, 0, 1, 0, 0),
    "kill, news": Scene(1, "p0", (0,), 1, 0, 0, 0, 0, 1),
    "search": Scene(2, "p0 p1", (0, 0), 0, 0, 1, 1, 0, 0),
    "stop": Scene(2, "p0", (0,), 0, 1, 0, 0, 0, 0),
    "kill, cancel": Scene(1, "p0 c0 t", (0,), 1, 0, 0, 0, 1, 0),
    "tidy": Scene(2, "p0 t", (0,), 0, 0, 0, 0, 0, 0),
    "kills": Scene(1, "p0 p1", (0, 1), 2, 0, 0, 0, 0, 0),
    "stop, search": Scene(2, "p0", (0,), 0, 1, 1, 0, 0, 0),
    "kill, search": Scene(1, "p0", (0,), 1, 0, 1, 0, 0, 0),
    "kill, two": Scene(2, "p0", (0,), 1, 0, 0, 0, 0, 0),
}

RULES = {
    "fence": ("submit", "who publishes fences between the tail and the looks at mark and sleepers"),
    "sleep-look": ("submit", "who has set the sleepers' bit looks once more"),
    "mark-look": ("submit", "who has cleared a mark looks at the lane again"),
    "mark": ("submit", "who publishes sets the mark"),
    "tidy-announce": ("tidy", "what is left of a tidied lane is announced"),
    "call-next": ("submit", "who was woken wakes the next if there is more"),
    "claim-swap": ("wait", "a claim is a compare-and-swap"),
    "flag-kept": ("wait", "a claim keeps the flags of the word"),
    "flag-swap": ("wait", "who sleeps on a claim word has set the flag before, by compare-and-swap"),
    "claim-step": ("stop", "claim first, then step the head"),
    "intent-first": ("kill, news", "the intent is stored before the claim"),
    "intent-depth": ("kill, news", "the place of the stack above the depth counts, too"),
    "running-first": ("kill, news", "progress is RUNNING before fn is entered"),
    "requeue": ("kill, news", "what a dead worker leaves READY is put into a lane again"),
    "tell-again": ("kill, news", "who settles a death tells of a ticket that was over already"),
    "mend-searcher": ("kill, search", "who settles a death clears the searcher"),
    "mend-marks": ("kills", "who settles a death marks the lanes that have keys"),
    "news-fence": ("kill, news", "who tells fences between the news and the look at who listens"),
    "ring-again": ("kill, news", "who settles a death rings"),
    "remark": ("stop", "who slept for a whole slice marks what is in the lanes"),
}


def sorted_state(s):
    """Workers are alike: where nobody dies and nobody is stopped, their order does not matter."""
    a, b = s.worker
    if (a.pc, a.key, str(a)) <= (b.pc, b.key, str(b)):
        return s
    searcher = 3 - s.searcher if s.searcher else 0
    ticket = tuple(x._replace(claimant=1 - x.claimant) if x.claimant >= 0 else x for x in s.ticket)
    return s._replace(worker=(b, a), searcher=searcher, ticket=ticket)


def violation(s, scene):
    for t, x in enumerate(s.ticket):
        if x.ends > 1:
            return f"ticket {t} was over twice"
        if x.entered > 1 + min(scene.retries[t], s.kills):
            return f"fn was entered {x.entered} times for ticket {t}"
    return None


def is_good(s, scene):
    """The end: nothing is left to do."""
    if s.owner.pc or s.owner.at < len(scene.script.split()) or s.settler.pc:
        return False
    if s.stopped >= 0:
        mine = s.worker[s.stopped].key
        return all(x.phase == OVER or x.claimant == s.stopped for t, x in enumerate(s.ticket))
    return (all(x.phase == OVER for x in s.ticket) and s.waiter[0] == "done" and s.hearer == "done" and
            all(r.pc != DEAD for r in s.worker))


def explore(scene, broken):
    """(states, what is wrong, the way there)."""
    # A mark may be left of a ticket before: where a worker is stopped, that is the beginning.
    tickets = (Ticket(FREE, -1, 0, BETWEEN, 0, 0, 0),) * len(scene.retries)
    start = State(tickets, ((0, ()), (0, ())), (scene.stops, 0), 0, 0, 0,
                  (FRESH._replace(lane=top(scene)),) * scene.workers, QUIET, QUIET,
                  ("look" if scene.wait else "done", None), "listen" if scene.hear else "done",
                  0, 0, 0, 0, 0, -1)
    alike = scene.workers == 2 and not scene.kills and not scene.stops
    number, states, come, before, good = {start: 0}, [start], [-1], [[]], []

    def way(k):
        steps = []
        while k >= 0:
            steps.append(states[k])
            k = come[k]
        return steps[::-1]

    at = 0
    while at < len(states):
        s = states[at]
        wrong = violation(s, scene)
        if wrong:
            return len(states), wrong, way(at)
        if is_good(s, scene):
            good.append(at)
        after = list(owner_steps(s, scene, broken)) + list(settler_steps(s, scene, broken))
        for w in range(scene.workers):
            if w != s.stopped:
                after.extend(worker_steps(s, w, scene, broken))
        after.extend(waiter_steps(s, broken))
        after.extend(hearer_steps(s))
        helps = len(after)  # what follows is no way out
        if not after and not is_good(s, scene):
            return len(states), "somebody sleeps for ever, or a ticket is lost", way(at)
        if s.kills < scene.kills:
            after.extend(kill_steps(s))
        if scene.stops and s.stopped < 0:
            after.append(s._replace(stopped=0))
        for i, n in enumerate(after):
            if alike:
                n = sorted_state(n)
            k = number.get(n)
            if k is None:
                k = number[n] = len(states)
                states.append(n)
                come.append(at)
                before.append([])
            if i < helps:
                before[k].append(at)
        at += 1
    saved, todo = bytearray(len(states)), good
    for k in todo:
        saved[k] = 1
    while todo:
        for k in before[todo.pop()]:
            if not saved[k]:
                saved[k] = 1
                todo.append(k)
    for k in range(len(states)):
        if not saved[k]:
            return len(states), "somebody sleeps for ever, or a ticket is lost", way(k)
    return len(states), None, []


def show(steps):
    """What changes from step to step."""
    for old, new in zip(steps, steps[1:]):
        print("  ", "; ".join(f"{name} {changes(a, b)}" for name, a, b in zip(State._fields, old, new) if a != b))


def changes(old, new):
    if not isinstance(old, tuple) or not isinstance(new, tuple) or len(old) != len(new):
        return new
    names = getattr(new, "_fields", range(len(new)))
    return " ".join(f"{name}: {changes(a, b)}" for name, a, b in zip(names, old, new) if a != b)


def main():
    wanted = sys.argv[2:] if sys.argv[1:2] in (["--break"], ["--trace"]) else None
    failures = 0
    if wanted is None:
        for name, scene in SCENES.items():
            states, wrong, steps = explore(scene, ())
            print(f"the protocol, {name}: {states} states, {wrong or 'no violation'}", flush=True)
            show(steps)
            failures += wrong is not None
    for name in wanted or RULES:
        where, words = RULES[name]
        _, wrong, steps = explore(SCENES[where], (name,))
        found = f"{where}: {wrong}" if wrong else "no violation: the model does not see this rule"
        print(f"without '{words}': {found}", flush=True)
        if sys.argv[1:2] == ["--trace"]:
            show(steps)
        failures += wrong is None
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
