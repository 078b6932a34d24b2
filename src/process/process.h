/* SPDX-License-Identifier: MIT */
/*
 * process.h - the handle of a process, and what a start method has to fill in
 *
 * Promise    Exactly one thread reaps the child, and all learn how it ended. Nobody waits with the lock
 *            in hand: who waits sleeps on the descriptor, and takes the lock for the look afterwards.
 *            A signal goes to this child or to nobody, never to a stranger with its number.
 * Invariant  ended changes once, from 0 to 1, under the lock, when the child is reaped or found reaped;
 *            ending and end_ns are written before it, and never again. child and status_fd are
 *            constant between the start and the close.
 * Death      A handle lives in one process. When that is killed its children are left alone, but for
 *            daemons, which the server kills (server.h).
 */
#ifndef MANY_PROCESS_PROCESS_H
#define MANY_PROCESS_PROCESS_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/types.h>

#include <many/process.h>

#include "os/process.h"
#include "os/self.h"

#define MANY_PROCESS_NAME_BYTES_ 64 /* of a process or a thread, with the NUL */

/* Whose handle it is. */
enum {
    MANY_IS_CHILD_,   /* of a child that this process started; closed by the caller */
    MANY_IS_CURRENT_, /* of this process itself */
    MANY_IS_PARENT_   /* of the process that started this one */
};

struct many_process {
    uint64_t process; /* many_self_process_() of the process that the handle belongs to */
    char name[MANY_PROCESS_NAME_BYTES_];
    int kind;
    int method; /* enum many_start_method */
    int daemon;
    pid_t pid;               /* constant; child.pid may not be there (see below) */
    many_child_ child;       /* pid and pidfd; .fd is -1 where there are none */
    int status_fd;           /* how it ended, for a process that is not our own child; else -1 */
    many_identity_ identity; /* of its main thread; 0: not asked for yet */
    int64_t start_ns;
    many_queue *produces, *consumes; /* that it was registered for, or NULL */

    pthread_mutex_t lock; /* protects what follows, and that only one reaps */
    _Atomic int ended;    /* 1: it has ended, and the following says how; acquire */
    many_ending_ ending;
    int64_t end_ns; /* when that was seen */

    struct many_process *next, *before; /* list of live children; the list's lock protects them */
    int listed;
};

/*
 * ---- the contract of a start method ----
 *
 * many_process_start_with() has read and checked the options, and made the handle: name, method,
 * daemon, start_ns and lock are set, child is {0, -1}, status_fd is -1. The method starts the process
 * and fills in
 *
 *   pid, child   .pid and .fd; the pidfd is the handle's own (close-on-exec, above 2), or -1 where the
 *                system has none
 *   status_fd    -1 if it is a child of the calling process, who reaps it. Else a descriptor that is
 *                the handle's own, from which the end can be read once it has come: 4 bytes, the
 *                status word of wait(2), as an int; then, if it is known, 8 bytes, the peak resident
 *                size in bytes as a uint64_t; then the end of the file. The end of the file alone:
 *                nobody knows how it ended. All in one write.
 *
 * and returns 0; or a negative code with words (which begin with "many_process_start: "), with nothing
 * left behind. options is the local copy in the newest layout, its pointers are the caller's.
 * The child itself goes through many_child_enlist_(), and then many_child_run_() (child.h); with queues,
 * the method returns 0 only when the first is done, or the child dead.
 */
typedef int many_process_method_(many_process *process, const many_process_options *options);

int many_process_start_fork_(many_process *process, const many_process_options *options);
/* many_process_start_server_() is in process/server.h, many_process_start_spawn_() in
 * process/spawn.h. */

/*
 * ---- what a daemon of method fork asks of the server (process/server.h) ----
 *
 *   int many_server_line_(void);
 *       In the parent, before the fork: start the server if it does not run. The descriptor of the
 *       socket to it, which a child may use until its fork or exec; or a negative code with words.
 *
 *   int many_server_keep_(int line, pid_t owner);
 *       In the child, before fn: from its return on, the server kills this process when owner has
 *       ended, however it ends. 0; or a negative code: nobody does, and the child must not run. Also when
 *       the owner, or the server, dies in the middle of it. No allocation, no lock.
 */

/* Look whether it has ended, without waiting. 1: yes, process->ending says how; 0: it runs. */
int many_process_look_(many_process *process);

/* SIGKILL, and wait for its end. */
void many_process_put_down_(many_process *process);

/* The handle alone, out of any list; the process has ended, or is left alone. */
void many_process_free_(many_process *process);

/* 0, or -EINVAL (NULL) or -MANY_EFORKED with words. */
int many_process_check_(const many_process *process, const char *function);

#endif
