# SPDX-License-Identifier: MIT
"""The steps of a ticket's life between processes, for ticket_model.py: who does what next, and what follows.

A step is one access to shared memory, in program order; a look at a mark goes with the look at its lane, at sleepers
with the bit that is set then, and what only who settles a death looks at goes with the step before.
broken: the rules that do not hold.
"""
from collections import namedtuple

READY, CLAIMED, OVER, FREE = "ready", "claimed", "over", "free"
BETWEEN, RUNNING, PASSED = 0, 1, 2
IDLE_NOT, IDLE_SLEEPS = 0, 1
OWNERS, SETTLERS = 0, 1  # lanes
ASLEEP, DEAD = "asleep", "dead"

# sleeps: somebody sleeps on the claim word. entered, ends: what is counted here, and not in the table.
Ticket = namedtuple("Ticket", "phase claimant sleeps progress tries entered ends")
# key .. seen: registers; same: the word of the rest is as it was seen. intent, depth, idle: the record.
Worker = namedtuple("Worker", "pc why key lane head same seen intent depth idle")
Actor = namedtuple("Actor", "pc at key look")  # submitter, settler: at: step of the script; the dead worker
State = namedtuple("State", "ticket lanes mark sleepy sleepers searcher worker owner settler "
                   "waiter hearer news scan listens bell kills stopped")


def put(values, index, value):
    return values[:index] + (value,) + values[index + 1:]


def ticket_with(s, t, **changes):
    return s._replace(ticket=put(s.ticket, t, s.ticket[t]._replace(**changes)))


def ended(s, t):
    return ticket_with(s, t, phase=OVER, claimant=-1, sleeps=0, ends=s.ticket[t].ends + 1)


def worker_with(s, w, **changes):
    return s._replace(worker=put(s.worker, w, s.worker[w]._replace(**changes)))


def top(scene):
    """The lane that is looked at first: that of who settles deaths, if there are any."""
    return SETTLERS if scene.kills else OWNERS


def lane_keys(s, lane):
    return len(s.lanes[lane][1])


def lane_put(s, lane, t):
    head, keys = s.lanes[lane]
    return s._replace(lanes=put(s.lanes, lane, (head, keys + (t,))))


def lane_step(s, lane, head):
    now, keys = s.lanes[lane]
    return s._replace(lanes=put(s.lanes, lane, (head + 1, keys[1:]))) if now == head else s


def mark_all(s):
    return s._replace(mark=tuple(int(s.mark[k] or lane_keys(s, k) > 0) for k in (0, 1)))


def futex_wake(s):
    """One of those who sleep on the word of the rest."""
    asleep = [w for w in range(len(s.worker)) if s.worker[w].pc == ASLEEP]
    return [worker_with(s, w, pc="woken") for w in asleep] or [s]


def woke(s):
    """The wakes were counted up: the word is another than who is about to sleep has seen."""
    for w in range(len(s.worker)):
        if s.worker[w].same:
            s = worker_with(s, w, same=0)
    return s


def wake_waiter(s):
    return s._replace(waiter=("look", None)) if s.waiter[0] == ASLEEP else s


def announce(s, pc, lane, look, broken):
    """Behind the tail: the mark, and a worker woken. Gives (state, next pc); "" is the end."""
    if pc == "mark?":
        there = look[0] if look else s.mark[lane]
        yield s, "word?" if there or "mark" in broken else "mark!"
    elif pc == "mark!":
        yield s._replace(mark=put(s.mark, lane, 1)), "word?"
    elif pc == "word?":
        wanted = look[1] if look else s.sleepy and not s.searcher
        yield s, "wake" if wanted else ""
    elif pc == "wake":
        yield (woke(s._replace(sleepy=0)), "futex") if s.sleepy else (s, "")
    elif pc == "futex":
        for n in futex_wake(s):
            yield n, ""


def tell(s, pc, t, look, scene, broken):
    """A ticket is over: who sleeps on it, and who hears the news. look: the flag was set; listens, too early."""
    if pc == "tell":
        early = s.listens if "news-fence" in broken else None
        yield (wake_waiter(s) if look and look[0] and t == 0 else s), "news" if scene.hear else "", early
    elif pc == "news":
        yield s._replace(news=1), "ring?", look
    elif pc == "ring?":
        yield s, "ring!" if (s.listens if look is None else look) else "", None
    elif pc == "ring!":
        yield s._replace(listens=0), "bell" if s.listens else "", None
    elif pc == "bell":
        yield s._replace(bell=1), "", None


TELLS = ("tell", "news", "ring?", "ring!", "bell")
ANNOUNCES = ("mark?", "mark!", "word?", "wake", "futex")


def worker_claim(s, w, scene, broken):
    """many_table_claim_: the settler's lane first. why: for whom: next, search, last look, woken."""
    r = s.worker[w]
    if r.pc == "marks":
        if s.mark[r.lane]:
            yield from worker_claim(worker_with(s, w, pc="first"), w, scene, broken)
        elif r.lane == SETTLERS:
            yield worker_with(s, w, lane=OWNERS)
        else:
            yield worker_with(s, w, pc="claimed", key=-1)
    elif r.pc == "first":
        head, keys = s.lanes[r.lane]
        if keys:
            # What is on the stack counts only after a kill, so the look and the store may be one step.
            intent = r.intent if "intent-first" in broken else keys[0]
            n = lane_step(s, r.lane, head) if "claim-step" in broken else s
            yield worker_with(n, w, pc="swap", key=keys[0], head=head, intent=intent)
        elif r.lane == SETTLERS:
            yield worker_with(s, w, pc="marks", lane=OWNERS)
        else:
            yield worker_with(s, w, pc="claimed", key=-1)
    elif r.pc == "swap":
        got = s.ticket[r.key].phase == READY
        if "claim-swap" in broken:
            yield worker_with(s, w, pc="store" if got else "pass")
        elif got:
            sleeps = 0 if "flag-kept" in broken else s.ticket[r.key].sleeps
            n = ticket_with(s, r.key, phase=CLAIMED, claimant=w, sleeps=sleeps)
            yield worker_with(n, w, pc="intend" if "intent-first" in broken else "step")
        else:
            yield worker_with(s, w, pc="pass")
    elif r.pc == "store":
        yield worker_with(ticket_with(s, r.key, phase=CLAIMED, claimant=w), w, pc="step")
    elif r.pc == "intend":
        yield worker_with(s, w, pc="step", intent=r.key)
    elif r.pc == "step":
        yield worker_with(lane_step(s, r.lane, r.head), w, pc="claimed")
    elif r.pc == "pass":
        yield worker_with(lane_step(s, r.lane, r.head), w, pc="first")
    elif r.pc == "claimed":
        found = r.key >= 0
        after = {"next": "run" if found else "searcher", "search": "searched",
                 "last": "woken" if found else "doze", "woken": "unslice"}[r.why]
        yield worker_with(s, w, pc=after)
        if r.why == "search" and not found:
            yield worker_with(s, w, pc="marks", lane=top(scene))


def worker_work(s, w, scene, broken):
    """many_table_work_. why: last (then it claims, or dozes) or next, woken (to call the next)."""
    r = s.worker[w]
    if r.pc == "work":
        if not s.mark[r.lane]:
            yield worker_with(s, w, pc="work+")
        elif lane_keys(s, r.lane) > 0:
            yield worker_with(s, w, pc="work!")
        else:
            yield worker_with(s, w, pc="clear")
    elif r.pc == "clear":
        after = "work+" if "mark-look" in broken else "again"
        yield worker_with(s._replace(mark=put(s.mark, r.lane, 0)), w, pc=after)
    elif r.pc == "again":
        yield worker_with(s, w, pc="set" if lane_keys(s, r.lane) > 0 else "work+")
    elif r.pc == "set":
        yield worker_with(s._replace(mark=put(s.mark, r.lane, 1)), w, pc="work!")
    elif r.pc == "work+":
        yield (worker_with(s, w, pc="work", lane=SETTLERS) if r.lane != top(scene) else
               worker_with(s, w, pc="doze" if r.why == "last" else "called"))
    elif r.pc == "work!":
        yield (worker_with(s, w, pc="marks", lane=top(scene)) if r.why == "last" else
               worker_with(s, w, pc="word?"))


def worker_rest(s, w, scene, broken):
    """Searching, going to sleep, and what is done for the next."""
    r = s.worker[w]
    if r.pc == "searcher":
        if scene.search and not s.searcher:
            yield worker_with(s._replace(searcher=w + 1), w, pc="marks", why="search", lane=top(scene))
        else:
            yield worker_with(s, w, pc="sleepy")
    elif r.pc == "searched":
        yield worker_with(s._replace(searcher=0), w, pc="searched+")
    elif r.pc == "searched+":
        n = s._replace(sleepy=1) if s.sleepers > 0 else s
        yield worker_with(n, w, pc="call" if r.key >= 0 else "sleepy", why="next")
    elif r.pc == "sleepy":
        # seen: the searcher whom it would call to account.
        yield worker_with(s._replace(sleepers=s.sleepers + 1), w, pc="bit",
                          seen=(s.searcher,) if scene.stops else None)
    elif r.pc == "bit":
        after = "doze" if "sleep-look" in broken else "work"
        n = s._replace(sleepy=1)
        yield worker_with(n, w, pc=after, why="last", lane=OWNERS, key=-1, same=1,
                          idle=IDLE_SLEEPS)
    elif r.pc == "doze":
        asleep = s.sleepy and r.same
        yield worker_with(s, w, pc=ASLEEP if asleep else "woken", same=0)
    elif r.pc == "remark":
        n = s if "remark" in broken else mark_all(s)
        yield worker_with(n, w, pc="woken")
    elif r.pc == "woken":
        yield worker_with(s, w, pc="up", idle=IDLE_NOT, same=0)
    elif r.pc == "up":
        n = s._replace(sleepers=s.sleepers - 1)
        yield (worker_with(n, w, pc="unslice") if r.key >= 0 else
               worker_with(n, w, pc="marks", why="woken", lane=top(scene)))
    elif r.pc == "unslice":
        n = s
        if r.key >= 0 and r.seen and r.seen[1:]:
            if r.seen[0] and s.searcher == r.seen[0]:
                n = s._replace(searcher=0)
        yield worker_with(n, w, pc="called" if "call-next" in broken else "call", why="next", seen=None)
    elif r.pc == "call":
        yield (worker_with(s._replace(sleepy=1), w, pc="work", lane=OWNERS) if s.sleepers > 0 else
               worker_with(s, w, pc="called"))
    elif r.pc == "called":
        yield (worker_with(s, w, pc="run", seen=None) if r.key >= 0 else
               worker_with(s, w, pc="marks", why="next", lane=top(scene), seen=None))


def worker_run(s, w, scene, broken):
    r = s.worker[w]
    t = r.key
    if r.pc == "run":
        after = "enter" if "running-first" in broken else "running"
        yield worker_with(s, w, pc=after, depth=1)
    elif r.pc == "running":
        n = ticket_with(s, t, progress=RUNNING)
        yield worker_with(n, w, pc="return" if "running-first" in broken else "enter")
    elif r.pc == "enter":
        n = ticket_with(s, t, entered=s.ticket[t].entered + 1)
        yield worker_with(n, w, pc="running" if "running-first" in broken else "return")
    elif r.pc == "return":
        # Two tasks that meet: neither returns before the other has begun.
        if not scene.meet or all(x.entered or x.phase == OVER for x in s.ticket):
            yield worker_with(ticket_with(s, t, progress=PASSED), w, pc="end")
    elif r.pc == "end":
        look = (s.ticket[t].sleeps,)
        yield worker_with(ended(s, t), w, pc="tell", seen=look)
    elif r.pc == "leave":
        yield worker_with(s, w, pc="marks", why="next", key=-1, lane=top(scene), depth=0, seen=None)


WORKER_PARTS = {}
for part, names in ((worker_claim, "marks first swap store intend step pass claimed"),
                    (worker_work, "work clear again set work+ work!"),
                    (worker_run, "run running enter return end leave")):
    WORKER_PARTS.update((name, part) for name in names.split())


CLAIMS = frozenset(("marks", "first", "swap", "store", "intend", "step", "pass", "claimed"))
WORKS = frozenset(("work", "clear", "again", "set", "work+", "work!"))
HEADS = frozenset(("swap", "store", "intend", "step", "pass"))
LOCAL = frozenset(("claimed", "work+", "work!", "unslice", "called", "run", "woken"))


def worker_forget(s, w):
    """Registers that are not needed any more make no states of their own."""
    r = s.worker[w]
    n = r._replace(why=r.why if r.pc in CLAIMS or r.pc in WORKS or r.pc in ANNOUNCES else "",
                   key=-1 if r.pc in ("marks", "first", "pass") else r.key,
                   lane=r.lane if r.pc in CLAIMS or r.pc in WORKS or r.pc in ANNOUNCES else 0,
                   head=r.head if r.pc in HEADS else 0)
    return s if n == r else s._replace(worker=put(s.worker, w, n))


def worker_steps(s, w, scene, broken):
    """A step, and what follows it without a look at what others change, or a change that they look at."""
    for n in worker_step(s, w, scene, broken):
        pc = n.worker[w].pc
        if (pc in LOCAL or (not scene.kills and pc in ("running", "leave")) and "running-first" not in broken):
            if pc == "unslice" and scene.stops:
                yield worker_forget(n, w)
            else:
                yield from worker_steps(n, w, scene, broken)
        else:
            yield worker_forget(n, w)


def worker_step(s, w, scene, broken):
    r = s.worker[w]
    if r.pc in TELLS:
        for n, pc, look in tell(s, r.pc, r.key, r.seen, scene, broken):
            yield worker_with(n, w, pc=pc or "leave", seen=look)
    elif r.pc in ANNOUNCES:
        for n, pc in announce(s, r.pc, 0, None, broken):
            yield worker_with(n, w, pc=pc or "called")
    elif r.pc == ASLEEP:
        if s.stopped >= 0:  # its slice is over
            yield worker_with(s, w, pc="remark", seen=(r.seen[0], 1))
    elif r.pc != DEAD:
        yield from WORKER_PARTS.get(r.pc, worker_rest)(s, w, scene, broken)


def owner_steps(s, scene, broken):
    """The submitter: its script; p0: publish ticket 0; c0: cancel it; t: tidy the lane."""
    o = s.owner
    script = scene.script.split()

    def go(n, **changes):
        return n._replace(owner=n.owner._replace(**changes))

    if o.pc == "":
        if o.at < len(script):
            key = int(script[o.at][1:] or 0)
            pc = {"p": "ready", "c": "cancel", "t": "out"}[script[o.at][0]]
            yield go(s, pc=pc, key=key, at=o.at + 1, look=lane_keys(s, OWNERS) if pc == "out" else None)
    elif o.pc == "ready":
        yield go(ticket_with(s, o.key, phase=READY), pc="early" if "fence" in broken else "tail")
    elif o.pc == "early":
        yield go(s, pc="tail", look=(s.mark[OWNERS], s.sleepy and not s.searcher))
    elif o.pc == "tail":
        yield go(lane_put(s, OWNERS, o.key), pc="mark?")
    elif o.pc in ANNOUNCES:
        for n, pc in announce(s, o.pc, OWNERS, o.look, broken):
            yield go(n, pc=pc, look=o.look if pc else None)
    elif o.pc == "cancel":
        if s.ticket[o.key].phase == READY:
            yield go(ended(s, o.key), pc="tell", look=(s.ticket[o.key].sleeps,))
        else:
            yield go(s, pc="")
    elif o.pc in TELLS:
        for n, pc, look in tell(s, o.pc, o.key, o.look, scene, broken):
            yield go(n, pc=pc, look=look)
    elif o.pc == "out":
        head, keys = s.lanes[OWNERS]
        yield (go(s, pc="left", look=None) if o.look == 0 or not keys else
               go(s, pc="out!", key=keys[0], look=(o.look, head)))
    elif o.pc == "out!":
        yield go(lane_step(s, OWNERS, o.look[1]), pc="in", look=o.look[0])
    elif o.pc == "in":
        n = lane_put(s, OWNERS, o.key) if s.ticket[o.key].phase == READY else s
        yield go(n, pc="out", look=o.look - 1)
    elif o.pc == "left":
        more = lane_keys(s, OWNERS) > 0 and "tidy-announce" not in broken
        yield go(s, pc="mark?" if more else "")


def settler_steps(s, scene, broken):
    """Who settles a death: recovery_ticket, mend, and the replacement."""
    a = s.settler
    w, t = a.at, a.key

    def go(n, pc, **changes):
        return n._replace(settler=n.settler._replace(pc=pc, **changes))

    if a.pc == "":
        for dead in range(len(s.worker)):
            r = s.worker[dead]
            if r.pc == DEAD:
                key = -1 if "intent-depth" in broken and not r.depth else r.intent
                yield go(s, "ticket" if key >= 0 else "mend", at=dead, key=key)
        return
    if a.pc == "ticket":
        x = s.ticket[t]
        if x.phase == OVER and "tell-again" not in broken:
            yield go(wake_waiter(s) if t == 0 else s, "lost")
        elif x.phase == READY and "requeue" not in broken:
            yield go(s, "tail")
        elif x.phase == CLAIMED and x.claimant == w:
            if x.progress == BETWEEN:
                yield go(s, "back")
            elif x.progress == PASSED:
                yield go(s, "settle")
            elif x.tries < scene.retries[t]:
                yield go(ticket_with(s, t, progress=BETWEEN, tries=x.tries + 1), "back")
            else:
                yield go(s, "settle")
        else:
            yield go(s, "mend")
    elif a.pc == "settle":
        yield go(ended(s, t), "tell", look=(s.ticket[t].sleeps,))
    elif a.pc in TELLS:
        for n, pc, look in tell(s, a.pc, t, a.look, scene, broken):
            yield go(n, pc or "mend", look=look)
    elif a.pc == "lost":
        yield go(s._replace(scan=1), "mend")
    elif a.pc == "back":
        yield go(ticket_with(s, t, phase=READY, claimant=-1), "mend" if "requeue" in broken else "tail")
    elif a.pc == "tail":
        yield go(lane_put(s, SETTLERS, t), "mark?")
    elif a.pc in ANNOUNCES:
        for n, pc in announce(s, a.pc, SETTLERS, None, broken):
            yield go(n, pc or "mend")
    elif a.pc == "mend":
        # idle is cleared before sleepers is counted down: killed between them, there are too many.
        slept = s.worker[w].idle == IDLE_SLEEPS
        n = worker_with(s, w, idle=IDLE_NOT)
        n = n._replace(sleepers=n.sleepers - slept)
        if n.searcher == w + 1 and "mend-searcher" not in broken:
            n = n._replace(searcher=0)
        yield go(n, "mend marks")
    elif a.pc == "mend marks":
        yield go(s if "mend-marks" in broken else mark_all(s), "mend wake")
    elif a.pc == "mend wake":
        s = woke(s)
        for k in range(len(s.worker)):
            if s.worker[k].pc == ASLEEP:
                s = worker_with(s, k, pc="woken")
        yield go(s, "ring")
    elif a.pc == "ring":
        n = s if "ring-again" in broken else s._replace(bell=1)
        n = n._replace(worker=put(n.worker, w, FRESH._replace(lane=top(scene))))
        yield go(n, "", at=0, key=-1, look=None)


def waiter_steps(s, broken):
    """Sleeps on the claim word of ticket 0."""
    pc, seen = s.waiter
    word = (s.ticket[0].phase, s.ticket[0].claimant, s.ticket[0].sleeps)
    if pc == "look":
        yield (s._replace(waiter=("done", None)) if word[0] == OVER else
               s._replace(waiter=("sleep" if word[2] else "flag", word)))
    elif pc == "flag":
        if word != seen and "flag-swap" not in broken:
            yield s._replace(waiter=("look", None))
        else:
            n = s if "flag-swap" in broken else ticket_with(s, 0, sleeps=1)
            yield n._replace(waiter=("sleep", (word[0], word[1], n.ticket[0].sleeps)))
    elif pc == "sleep":
        yield s._replace(waiter=(ASLEEP, None) if word == seen else ("look", None))


def hearer_steps(s):
    """Listens, looks at the news, and sleeps on the bell."""
    if s.hearer == "listen":
        yield s._replace(hearer="hear", bell=0, listens=1)
    elif s.hearer == "hear":
        over = s.news or (s.scan and s.ticket[0].phase == OVER)
        yield s._replace(hearer="done" if over else "poll")
    elif s.hearer == "poll" and s.bell:
        yield s._replace(hearer="listen")


def kill_steps(s):
    if s.worker[0].pc != DEAD:  # the first, as they are all alike
        yield killed(s, (0,))
    if s.settler.pc:
        yield killed(s, range(len(s.worker)))._replace(settler=QUIET)  # the kernel kills the workers with it


def killed(s, which):
    for w in which:
        r = s.worker[w]
        if r.pc != DEAD:
            s = worker_with(s, w, pc=DEAD, why="", key=-1, lane=0, head=0, same=0, seen=None)
    return s._replace(kills=s.kills + 1)


FRESH = Worker("marks", "next", -1, SETTLERS, 0, 0, None, -1, 0, IDLE_NOT)
QUIET = Actor("", 0, -1, None)
