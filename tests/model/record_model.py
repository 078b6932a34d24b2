#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A model of the range word and the worker record (src/map/record.h), explored state by state.

One worker claims chunks from its word, runs items, gives back, closes; a supervisor cuts the word and
fills it again at any time that the protocol allows; a kill may come between any two steps of the
worker, is settled as src/map/recover.c does, and a successor goes on. Every interleaving is visited.

Checked in every state where nothing is left to do: each item has exactly one outcome, was begun at most
once, failed only if a kill hit it in fn, and its result is home if it is done. The record's tag has two
bits here instead of sixteen, and chunks up to three items instead of 32768, so that wrap-around is
inside the model. `--break NAME` takes one rule of the protocol away, and must find a violation: a
model that cannot fail proves nothing.
"""
import sys
from collections import namedtuple

ITEMS = 4
CHUNK_MOST = 3
TAG = 4
KILLS = 2

BETWEEN, RUNNING = 0, 1

# pc: what the worker does next. first, end: its open chunk (its own registers). item: the one at hand.
State = namedtuple("State", "pc first end item seen word intent done state idle bag entered outcome home kills")

RULES = {
    "intent-first": "the intent is stored before the claim",
    "state-first": "the state is reset before the claim",
    "tag": "the tag tells a closed chunk from an open one",
    "intent-clear": "the intent is cleared before work is asked for",
    "idle-fill": "a word is filled only while its owner asks",
}


def put(values, index, value):
    return values[:index] + (value,) + values[index + 1:]


def worker_steps(s, broken):
    """All states that the worker's next step can lead to."""
    begin, stop = s.word
    if s.pc == "look":
        if begin >= stop:
            intent = s.intent if "intent-clear" in broken else (-1, 0)
            yield s._replace(pc="ask", intent=intent)
            return
        for count in range(1, min(CHUNK_MOST, stop - begin) + 1):
            after = "claim" if "intent-first" in broken else "state"
            yield s._replace(pc=after, first=begin, end=begin + count, seen=s.word)
    elif s.pc == "ask":
        yield s._replace(pc="asked", idle=1)
    elif s.pc == "asked":
        if not s.idle:
            yield s._replace(pc="look")
    elif s.pc == "state":
        state = s.state if "state-first" in broken else (s.first, BETWEEN)
        yield s._replace(pc="intent", state=state)
    elif s.pc == "intent":
        after = "run" if "intent-first" in broken else "claim"
        yield s._replace(pc=after, intent=(s.first, s.done % TAG), item=s.first)
    elif s.pc == "claim":
        if s.word != s.seen:
            yield s._replace(pc="look")
        else:
            after = "state" if "intent-first" in broken else "run"
            yield s._replace(pc=after, word=(s.end, stop), item=s.first)
    elif s.pc == "run":
        yield s._replace(pc="enter", state=(s.item, RUNNING))
    elif s.pc == "enter":
        yield s._replace(pc="leave", entered=put(s.entered, s.item, s.entered[s.item] + 1))
    elif s.pc == "leave":
        yield s._replace(pc="mark", state=(s.item + 1, BETWEEN), item=s.item + 1)
    elif s.pc == "mark":
        if s.item == s.end:
            yield s._replace(pc="home")
        else:
            yield s._replace(pc="run")
            if begin == s.end and stop >= s.end:  # give back what was not begun
                yield s._replace(pc="home", word=(s.item, stop), end=s.item)
    elif s.pc == "home":
        home = s.home
        for i in range(s.first, s.end):
            home = put(home, i, 1)
        yield s._replace(pc="close", home=home)
    elif s.pc == "close":
        outcome = s.outcome
        for i in range(s.first, s.end):
            outcome = put(outcome, i, outcome[i] + "d")
        yield s._replace(pc="look", done=s.done + s.end - s.first, outcome=outcome)


def supervisor_steps(s, broken):
    """Cuts and fills. What is cut may be done elsewhere, or come back."""
    begin, stop = s.word
    for middle in range(begin, stop):
        yield s._replace(word=(begin, middle), bag=s.bag + ((middle, stop),))
    for k, (x, y) in enumerate(s.bag):
        rest = s.bag[:k] + s.bag[k + 1:]
        outcome, entered, home = s.outcome, s.entered, s.home
        for i in range(x, y):
            outcome = put(outcome, i, outcome[i] + "d")
            entered = put(entered, i, entered[i] + 1)
            home = put(home, i, 1)
        yield s._replace(bag=rest, outcome=outcome, entered=entered, home=home)
        if (s.idle or "idle-fill" in broken) and begin >= stop:
            yield s._replace(bag=rest, word=(x, y), idle=0)


def recover(s, broken):
    """The worker is dead: as many_recover_() settles it; a successor starts with a clean record."""
    begin, stop = s.word
    first, tag = s.intent
    is_open = first >= 0 and (tag == s.done % TAG or "tag" in broken) and begin > first
    word, done, outcome, home = s.word, s.done, s.outcome, s.home
    if is_open:
        item, phase = s.state
        to = item + 1 if phase == RUNNING else item
        for i in range(first, item):
            outcome = put(outcome, i, outcome[i] + "d")
            home = put(home, i, 1)
        if phase == RUNNING:
            outcome = put(outcome, item, outcome[item] + "f")
        done += to - first
        word = (to, max(stop, begin))
    return State("look", 0, 0, 0, (0, 0), word, (-1, 0), done, (0, BETWEEN), 0, s.bag, s.entered,
                 outcome, home, s.kills + 1)


def violation(s):
    for i in range(ITEMS):
        if s.entered[i] > 1:
            return f"item {i} was begun {s.entered[i]} times"
        if len(s.outcome[i]) > 1:
            return f"item {i} has the outcomes {s.outcome[i]}"
    if "".join(s.outcome).count("f") > s.kills:
        return "more items failed than workers were killed"
    if s.pc == "asked" and s.idle and not s.bag:
        for i in range(ITEMS):
            if s.outcome[i] == "":
                return f"item {i} was lost"
            if s.outcome[i] == "d" and not s.home[i]:
                return f"the result of item {i} was lost"
            if s.outcome[i] == "f" and s.entered[i] == 0 and s.kills == 0:
                return f"item {i} failed without a kill"
    return None


def explore(broken):
    start = State("look", 0, 0, 0, (0, 0), (0, ITEMS), (-1, 0), 0, (0, BETWEEN), 0, (),
                  (0,) * ITEMS, ("",) * ITEMS, (0,) * ITEMS, 0)
    seen, todo = {start}, [start]
    while todo:
        s = todo.pop()
        wrong = violation(s)
        if wrong:
            return len(seen), wrong, s
        after = list(worker_steps(s, broken)) + list(supervisor_steps(s, broken))
        if s.kills < KILLS:
            after.append(recover(s, broken))
        for n in after:
            if n not in seen:
                seen.add(n)
                todo.append(n)
    return len(seen), None, None


def main():
    wanted = sys.argv[2:] if sys.argv[1:2] == ["--break"] else None
    failures = 0
    if wanted is None:
        states, wrong, at = explore(())
        print(f"the protocol: {states} states, {wrong or 'no violation'}")
        failures += wrong is not None
        if at:
            print(at)
    for name in wanted or RULES:
        states, wrong, _ = explore((name,))
        print(f"without '{RULES[name]}': {wrong or 'no violation: the model does not see this rule'}")
        failures += wrong is None
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
