/* SPDX-License-Identifier: MIT */
/*
 * sync.h - lock, rlock, semaphore, event, condition, barrier: for threads and for processes
 *
 * Every object is valid when zero (a semaphore and a barrier have one number to set), needs no
 * opening and no closing, and works the same in private memory, among threads, and in shared memory
 * (many_segment, or any MAP_SHARED mapping), among processes. Aligned to 8 bytes. The fields that
 * end in _ are the library's.
 *
 *   typedef struct account { many_lock lock; int64_t cents; } account;   // zero: unlocked
 *
 *   int code = many_lock_acquire(&account->lock, 2.0);
 *   if (code == -EOWNERDEAD) {                 // its owner was killed; it is ours now
 *       repair(account);
 *       many_lock_consistent(&account->lock);
 *   } else if (code < 0) {
 *       return code;
 *   }
 *   account->cents += 100;
 *   many_lock_release(&account->lock);
 *
 * What all waits have in common:
 *
 *   timeouts    timeout_s is in seconds: 0 does not wait, MANY_FOREVER has no limit, other negative
 *               values and NaN are -EINVAL. Not to be had in time is -ETIMEDOUT, also with 0.
 *   signals     a wait that a signal handler of the caller interrupted returns -EINTR, with nothing
 *               changed. No function may be called from a signal handler, unless it says so.
 *   death       the owner is a thread, known by its number and its start time, so that neither a
 *               thread nor a process that is killed, crashes or ends while it holds something is
 *               waited for: the next one gets -EOWNERDEAD, at the latest some 50 ms later. Both
 *               must be in the same PID and time namespace, and /proc should be mounted, and be
 *               that of this namespace (without it, a dead process is noticed when it has been
 *               reaped). exec ends the other threads, but not the one that calls it: what that one
 *               holds is held until the new program ends.
 *   fork        a forked child is another owner: it does not hold what its parent holds. An object
 *               in private memory is the child's own copy from then on.
 *   fairness    none is promised: who comes may be served before who waits.
 *
 * The memory is trusted: whoever can write to it can break it.
 */
#ifndef MANY_SYNC_H
#define MANY_SYNC_H

#include <many/base.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- lock ---- */

/* A lock that one thread at a time holds. 16 bytes; zero: nobody. */
typedef struct many_lock {
    uint64_t owner_;    /* thread id, two flags, start time; one word, so that it is always whole */
    uint64_t reserved_; /* zero; the debug mode's */
} many_lock;

/*
 * many_lock_acquire - get the lock, waiting for it
 *
 *   lock       a lock, zero at first
 *   timeout_s  seconds to wait; 0: do not wait; MANY_FOREVER: no limit
 *
 * returns   0            the caller holds it
 *           -EOWNERDEAD  the caller holds it, and its last owner died holding it: what it protects
 *                        may be half changed. Repair, then many_lock_consistent(). Released without
 *                        that, the next one is told again.
 *           -ETIMEDOUT   not to be had in time (also with 0, if the caller holds it itself)
 *           -EDEADLK     the caller holds it already, and so would wait for itself; or the debug
 *                        mode found a circle (many_lock_debug)
 *           -EINTR       a signal handler ran on this thread; it is not held
 *           -EINVAL      lock is NULL or not aligned, or the timeout makes no sense
 * blocks    at most timeout_s, or until the holder releases it or is dead
 * threads   any number, in any process that sees the memory
 * fork      usable in a forked child
 * signals   not from a signal handler
 * death     killed in this call: the lock is held by the dead (and so noticed), or not touched
 * source    Python threading.Lock.acquire, multiprocessing.Lock.acquire; POSIX
 *           pthread_mutex_timedlock with PTHREAD_MUTEX_ROBUST
 */
MANY_API int many_lock_acquire(many_lock *lock, double timeout_s);

/*
 * many_lock_release - give the lock back
 *
 * returns   0
 *           -EPERM   the calling thread does not hold it (Python's lock may be released by anyone;
 *                    this one has an owner, so that its death can be told)
 *           -EINVAL  lock is NULL or not aligned
 * blocks    never
 * threads   the one that holds it
 * fork      a forked child does not hold what its parent does
 * signals   not from a signal handler
 * source    Python Lock.release, POSIX pthread_mutex_unlock
 */
MANY_API int many_lock_release(many_lock *lock);

/*
 * many_lock_consistent - after -EOWNERDEAD: what the lock protects is in order again
 *
 * returns   0
 *           -EPERM   the calling thread does not hold it
 *           -EINVAL  its last owner did not die, or lock is NULL or not aligned
 * blocks    never
 * threads   the one that holds it
 * fork      a forked child does not hold what its parent does
 * signals   not from a signal handler
 * source    POSIX pthread_mutex_consistent
 */
MANY_API int many_lock_consistent(many_lock *lock);

/*
 * many_lock_locked - does anyone hold it, just now?
 *
 * returns   1 or 0; a dead owner counts until the next one took it. 0 for NULL
 * blocks    never
 * threads   any
 * fork      usable in a forked child
 * signals   safe in a signal handler
 * source    Python Lock.locked
 */
MANY_API int many_lock_locked(const many_lock *lock);

/* ---- rlock ---- */

/* A lock that its owner may acquire again; it is free when it was released as often. 16 bytes. */
typedef struct many_rlock {
    uint64_t owner_;
    uint32_t depth_; /* how often the owner holds it beyond the first time; the owner's */
    uint32_t reserved_;
} many_rlock;

/*
 * many_rlock_acquire - get the lock, once more if the caller holds it already
 *
 * As many_lock_acquire(), but for -EDEADLK: only the debug mode's. After -EOWNERDEAD it is held
 * once.
 *
 * returns   0            held, once or once more
 *           -EOWNERDEAD  held once, and its last owner died holding it
 *           -EAGAIN      held 2^32 - 1 times already
 *           -ETIMEDOUT, -EDEADLK, -EINTR, -EINVAL  as many_lock_acquire()
 * source    Python threading.RLock.acquire, POSIX PTHREAD_MUTEX_RECURSIVE
 */
MANY_API int many_rlock_acquire(many_rlock *lock, double timeout_s);

/*
 * many_rlock_release - undo one acquire
 *
 * As many_lock_release().
 *
 * returns   0        released once; free if that was the last
 *           -EPERM   the calling thread does not hold it
 *           -EINVAL  lock is NULL or not aligned
 * source    Python RLock.release
 */
MANY_API int many_rlock_release(many_rlock *lock);

/*
 * many_rlock_consistent - after -EOWNERDEAD: what the lock protects is in order again
 *
 * As many_lock_consistent().
 */
MANY_API int many_rlock_consistent(many_rlock *lock);

/*
 * many_rlock_depth - how often the calling thread holds it
 *
 * returns   0: not at all
 * blocks    never
 * threads   any
 * fork      usable in a forked child
 * signals   safe in a signal handler
 * source    Python RLock._recursion_count
 */
MANY_API uint32_t many_rlock_depth(const many_rlock *lock);

/* ---- semaphore ---- */

#define MANY_SEMAPHORE_HOLDERS 32

/*
 * So many permits: `many_semaphore s = {.permits = 3};`. Each of the first 32 permits has a place
 * that holds the number of who has it: taking a permit and saying who took it are one write, so
 * that a permit never goes lost with a killed holder. Without permits at first (zero) it is a
 * signal: nobody holds it, and what release adds is a plain number. So where one takes and another
 * gives back (the free slots of a buffer, say), begin with zero and release() the first permits: a
 * permit that has a place is to be had again (-EOWNERDEAD) when the thread that took it ends, even
 * if it ends as planned and another works on. 280 bytes.
 */
typedef struct many_semaphore {
    uint32_t permits; /* at the beginning, 2^31 - 1 at most; do not change it later */
    uint32_t extra_;  /* permits that have no place: beyond 32, and those that release added */
    uint32_t changes_;
    uint32_t waiters_;
    uint64_t holders_[MANY_SEMAPHORE_HOLDERS];
    uint32_t looked_; /* when somebody looked last whether the holders live */
    uint32_t reserved_;
} many_semaphore;

/*
 * many_semaphore_acquire - take one permit, waiting for one
 *
 *   semaphore  zero but for .permits at first
 *   timeout_s  seconds to wait; 0: do not wait; MANY_FOREVER: no limit
 *
 * returns   0            the caller has a permit
 *           -EOWNERDEAD  the caller has a permit, which was that of a thread that died with it
 *           -ETIMEDOUT   none was to be had in time
 *           -EINTR       a signal handler ran on this thread; none was taken
 *           -EINVAL      semaphore is NULL or not aligned, or the timeout makes no sense
 * blocks    at most timeout_s, or until there is a permit, or one of the first 32 holders is dead
 * threads   any number, in any process that sees the memory
 * fork      usable in a forked child, which holds nothing at first
 * signals   not from a signal handler
 * death     killed in this call: a permit is the dead one's (and so is found), or was not taken. A
 *           permit without a place is lost with its holder.
 * source    Python threading.Semaphore.acquire, POSIX sem_timedwait
 */
MANY_API int many_semaphore_acquire(many_semaphore *semaphore, double timeout_s);

/*
 * many_semaphore_release - give permits back, or add some
 *
 * A permit of the calling thread is freed first; else that of any other holder (permits may change
 * hands, as in Python); else the number grows: a semaphore counts as high as it is told to.
 *
 *   semaphore  zero but for .permits at first
 *   n          how many, 1 or more
 *
 * returns   0
 *           -EOVERFLOW  there would be more than 2^31 - 1; nothing was released
 *           -EINVAL     n is 0, semaphore is NULL or not aligned
 * blocks    never
 * threads   any, whether it has acquired or not
 * fork      usable in a forked child
 * signals   not from a signal handler
 * source    Python Semaphore.release(n), POSIX sem_post
 */
MANY_API int many_semaphore_release(many_semaphore *semaphore, uint32_t n);

/*
 * many_semaphore_value - how many permits are to be had just now
 *
 * returns   0 or more; 0 for NULL
 * blocks    never
 * threads   any
 * fork      usable in a forked child
 * signals   safe in a signal handler
 * source    Python multiprocessing.Semaphore.get_value, POSIX sem_getvalue
 */
MANY_API uint32_t many_semaphore_value(const many_semaphore *semaphore);

/* A semaphore that never has more permits than at first: a release too many is an error. */
typedef struct many_bounded_semaphore {
    many_semaphore semaphore;
} many_bounded_semaphore;

/*
 * many_bounded_semaphore_acquire - take one permit, waiting for one
 *
 * As many_semaphore_acquire(): `many_bounded_semaphore s = {{.permits = 3}};`.
 *
 * source    Python threading.BoundedSemaphore.acquire
 */
MANY_API int many_bounded_semaphore_acquire(many_bounded_semaphore *semaphore, double timeout_s);

/*
 * many_bounded_semaphore_release - give permits back; more than were taken are an error
 *
 * As many_semaphore_release().
 *
 * returns   0
 *           -EOVERFLOW  fewer than n are taken; nothing was released (Python raises ValueError)
 *           -EINVAL     n is 0, semaphore is NULL or not aligned
 * source    Python BoundedSemaphore.release(n)
 */
MANY_API int many_bounded_semaphore_release(many_bounded_semaphore *semaphore, uint32_t n);

/*
 * many_bounded_semaphore_value - how many permits are to be had just now
 *
 * As many_semaphore_value().
 */
MANY_API uint32_t many_bounded_semaphore_value(const many_bounded_semaphore *semaphore);

/* ---- event ---- */

/* A flag to wait for. 16 bytes; zero: not set. */
typedef struct many_event {
    uint32_t state_; /* lowest bit: set; above: how often it has been set */
    uint32_t waiters_;
    uint64_t reserved_;
} many_event;

/*
 * many_event_set - set the flag, and wake all that wait for it
 *
 * Who waits when it is set is woken, even if it is cleared at once.
 *
 * returns   0; -EINVAL if event is NULL or not aligned
 * blocks    never
 * threads   any, in any process that sees the memory
 * fork      usable in a forked child
 * signals   safe in a signal handler
 * death     killed in this call: it is set or not; if it is, who waits learns of it within 50 ms
 * source    Python threading.Event.set
 */
MANY_API int many_event_set(many_event *event);

/*
 * many_event_clear - clear the flag
 *
 * returns   0; -EINVAL if event is NULL or not aligned
 * blocks    never
 * threads   any
 * fork      usable in a forked child
 * signals   safe in a signal handler
 * source    Python Event.clear
 */
MANY_API int many_event_clear(many_event *event);

/*
 * many_event_wait - wait until the flag is set
 *
 * returns   0           it is set, or was while we waited
 *           -ETIMEDOUT  not in time
 *           -EINTR      a signal handler ran on this thread
 *           -EINVAL     event is NULL or not aligned, or the timeout makes no sense
 * blocks    at most timeout_s, or until it is set. Who would set it is not recorded: its death does
 *           not end the wait.
 * threads   any number, in any process that sees the memory
 * fork      usable in a forked child
 * signals   not from a signal handler
 * source    Python Event.wait
 */
MANY_API int many_event_wait(many_event *event, double timeout_s);

/*
 * many_event_is_set - is the flag set?
 *
 * returns   1 or 0; 0 for NULL
 * blocks    never
 * threads   any
 * fork      usable in a forked child
 * signals   safe in a signal handler
 * source    Python Event.is_set
 */
MANY_API int many_event_is_set(const many_event *event);

/* ---- condition ---- */

/*
 * A condition variable: wait for something to become true of what a lock protects. 16 bytes; zero
 * is valid. Always used with the same lock, which the caller holds; the *_rlock forms are for a
 * many_rlock, which is released whole and is held as often as before afterwards.
 */
typedef struct many_condition {
    uint32_t changes_; /* how often it was notified */
    uint32_t waiters_;
    uint32_t granted_; /* wakes that were given, and nobody has come back with yet */
    uint32_t overtaken_;
} many_condition;

/*
 * many_condition_wait - release the lock, wait to be notified, acquire the lock again
 *
 *   condition  zero at first
 *   lock       held by the caller
 *   timeout_s  seconds to wait for the notification; getting the lock back may take longer
 *
 * returns   0            notified; now and then for no reason, so look at what you wait for again
 *           -EOWNERDEAD  the lock is held, and another owner died while it held it, whatever else
 *                        may have happened: see many_lock_acquire()
 *           -ETIMEDOUT   not notified in time; the lock is held
 *           -EINTR       a signal handler ran on this thread; the lock is held
 *           -EPERM       the caller does not hold the lock
 *           -EINVAL      an argument is NULL or not aligned, or the timeout makes no sense
 * blocks    at most timeout_s, and for the lock
 * threads   any number, in any process that sees the memory
 * fork      usable in a forked child
 * signals   not from a signal handler
 * death     an owner of the lock that dies ends one of the waits, within a second, with
 *           -EOWNERDEAD, if nobody else acquires the lock before. What it would have notified never
 *           comes: so who is told repairs, and then notifies all. A notification that woke somebody
 *           who is killed then is lost; many_condition_wait_for() finds it out within a second or
 *           two.
 * source    Python threading.Condition.wait, POSIX pthread_cond_timedwait
 */
MANY_API int many_condition_wait(many_condition *condition, many_lock *lock, double timeout_s);

/*
 * many_condition_wait_rlock - the same, with a lock that may be held several times
 *
 * As many_condition_wait().
 *
 * source    Python Condition(RLock()).wait
 */
MANY_API int many_condition_wait_rlock(many_condition *condition, many_rlock *lock,
                                       double timeout_s);

/*
 * many_condition_wait_for - wait until predicate(argument) is not 0
 *
 *   condition  zero at first
 *   lock       held by the caller, and whenever predicate is called
 *   predicate  called first, after each notification, and each second, so that a notification that
 *              was lost with somebody who was killed ends no wait for ever
 *   argument   for it
 *   timeout_s  seconds, all in all
 *
 * returns   what predicate returned, more than 0
 *           negative: what predicate returned, or as many_condition_wait(); after a timeout
 *           predicate is asked a last time
 * blocks    at most timeout_s, and for the lock
 * threads   any number, in any process that sees the memory
 * fork      usable in a forked child
 * signals   not from a signal handler
 * source    Python Condition.wait_for
 */
MANY_API int many_condition_wait_for(many_condition *condition, many_lock *lock,
                                     int (*predicate)(void *argument), void *argument,
                                     double timeout_s);

/*
 * many_condition_wait_for_rlock - the same, with a lock that may be held several times
 *
 * As many_condition_wait_for().
 */
MANY_API int many_condition_wait_for_rlock(many_condition *condition, many_rlock *lock,
                                           int (*predicate)(void *argument), void *argument,
                                           double timeout_s);

/*
 * many_condition_notify - wake some of those who wait
 *
 *   condition  zero at first
 *   n          how many, 1 or more; more than wait are no error, and none is woken in advance
 *
 * returns   0; -EINVAL if condition is NULL or not aligned, or n < 1
 * blocks    never
 * threads   any; it should hold the lock, which is not checked (Python insists on it)
 * fork      usable in a forked child
 * signals   not from a signal handler
 * source    Python Condition.notify(n), POSIX pthread_cond_signal
 */
MANY_API int many_condition_notify(many_condition *condition, int n);

/*
 * many_condition_notify_all - wake all who wait
 *
 * As many_condition_notify().
 *
 * source    Python Condition.notify_all, POSIX pthread_cond_broadcast
 */
MANY_API int many_condition_notify_all(many_condition *condition);

/* ---- barrier ---- */

#define MANY_BARRIER_HOLDERS 32

/*
 * A place where .parties threads wait for each other: `many_barrier b = {.parties = 4};`. Reusable.
 * It breaks when a wait of one of them ends otherwise (a timeout, a signal, death), or by
 * many_barrier_abort(); then every wait returns -MANY_EBROKEN until many_barrier_reset(). Of more
 * than 32 parties only the first 32 to arrive are recorded, so that their death is seen.
 */
typedef struct many_barrier {
    uint32_t parties; /* do not change it later */
    uint32_t state_;  /* which round; filling, emptying, broken */
    uint32_t arrived_;
    uint32_t leaving_;
    many_lock lock_;
    uint32_t spoiled_;
    uint32_t looked_; /* when somebody looked last whether those who came live */
    uint64_t holders_[MANY_BARRIER_HOLDERS];
} many_barrier;

/*
 * many_barrier_wait - wait until all parties have arrived
 *
 *   barrier    zero but for .parties at first
 *   timeout_s  seconds to wait for the others; when they are over, the barrier breaks for all
 *
 * returns   0 .. parties-1  all have come; each gets another number, the last to come gets 0
 *           -MANY_EBROKEN   it is broken, was broken or reset while we waited, or one who had
 *                           arrived is dead; the message says which
 *           -ETIMEDOUT      not all came, or the last one's action was not over, in time; this wait
 *                           broke the barrier
 *           -EINTR          a signal handler ran on this thread; this wait broke the barrier
 *           -EINVAL         barrier is NULL or not aligned, .parties is 0, or the timeout makes no
 *                           sense
 * blocks    at most timeout_s, or until all have come, or one that has arrived is dead
 * threads   any number, in any process that sees the memory
 * fork      usable in a forked child
 * signals   not from a signal handler
 * death     killed in this call: the barrier breaks, within some 100 ms
 * source    Python threading.Barrier.wait, POSIX pthread_barrier_wait
 */
MANY_API int many_barrier_wait(many_barrier *barrier, double timeout_s);

/*
 * many_barrier_wait_and - the same; the last to come calls action before the others go on
 *
 * As many_barrier_wait().
 *
 *   action    called by the last to arrive, with nothing locked; a negative return breaks the
 *             barrier, and is what the caller returns
 *   argument  for it
 *
 * source    Python Barrier(parties, action)
 */
MANY_API int many_barrier_wait_and(many_barrier *barrier, int (*action)(void *argument),
                                   void *argument, double timeout_s);

/*
 * many_barrier_reset - empty it, and make it whole; who waits gets -MANY_EBROKEN
 *
 * returns   0; -EINVAL if barrier is NULL or not aligned
 * blocks    for moments
 * threads   any
 * fork      usable in a forked child
 * signals   not from a signal handler
 * source    Python Barrier.reset
 */
MANY_API int many_barrier_reset(many_barrier *barrier);

/*
 * many_barrier_abort - break it: who waits, and who comes, gets -MANY_EBROKEN
 *
 * As many_barrier_reset().
 *
 * source    Python Barrier.abort
 */
MANY_API int many_barrier_abort(many_barrier *barrier);

/*
 * many_barrier_waiting - how many have arrived, and wait
 *
 * returns   0 .. parties; 0 for NULL
 * blocks    never
 * threads   any
 * fork      usable in a forked child
 * signals   not from a signal handler
 * source    Python Barrier.n_waiting
 */
MANY_API uint32_t many_barrier_waiting(const many_barrier *barrier);

/*
 * many_barrier_is_broken - is it broken?
 *
 * As many_barrier_waiting().
 *
 * returns   1 or 0; 0 for NULL
 * source    Python Barrier.broken
 */
MANY_API int many_barrier_is_broken(const many_barrier *barrier);

#ifdef __cplusplus
}
#endif

#endif
