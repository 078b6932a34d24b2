/* SPDX-License-Identifier: MIT */
/*
 * process.h - run a function in a process or a thread of its own
 *
 *   static int print_cube(void *argument)
 *   {
 *       long number = *(long *)argument;
 *       printf("Cube: %ld\n", number * number * number);
 *       return 0;                                      // the exit code, 0 to 255
 *   }
 *
 *   many_process *process = NULL;
 *   many_process_start(&process, print_cube, &number, .name = "cube");
 *   many_process_join(process, MANY_FOREVER);
 *   many_process_cause(process, &cause);
 *   printf("%s\n", cause.text);                        // "exited with 0", "died of SIGSEGV"
 *   many_process_close(process);
 *
 * many_thread has the same verbs. A process that was started by a fork has a copy of everything that
 * the parent had; one by the fork server or by a spawn starts from little, whatever the parent's size,
 * and gets its argument as bytes (see enum many_start_method).
 *
 *   timeouts   timeout_s is in seconds: 0 does not wait, MANY_FOREVER has no limit, other negative
 *              values and NaN are -EINVAL. Not in time is -ETIMEDOUT, also with 0.
 *   signals    a wait that a signal handler of the caller interrupted returns -EINTR.
 *   output     stdout and stderr are flushed before a fork, and by the child at its end; other
 *              streams are the caller's. Exit handlers are not run in children.
 *   the child  has the signals that the parent caught at their default, and the parent's mask.
 *   death      of a child is seen by its pidfd, whoever reaps it. Who ignores SIGCHLD, or reaps in a
 *              handler of his own, is told "unknown" where the kernel does not know either.
 *   fork       a handle belongs to the process that started it: in a child every function returns
 *              -MANY_EFORKED, and close does nothing.
 */
#ifndef MANY_PROCESS_H
#define MANY_PROCESS_H

#include <many/base.h>
#include <many/channel.h>
#include <many/task.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- process (multiprocessing.Process) ---- */

typedef struct many_process many_process;

/* What a process runs; what it returns is its exit code (the low 8 bits). */
typedef int many_process_fn(void *argument);

enum many_start_method {
    MANY_FORK = 0, /* a copy of this process, now: any function, any pointer. Costs 13 ms a GiB of
                        touched memory; with other threads running the child may do what POSIX allows
                        after fork. */
    MANY_FORKSERVER, /* a fork of a small, single-threaded server that is started at the first use (or by
                        many_forkserver_start(), early: it is small if the program is, or if main
                        begins with many_main()): costs the same however large the parent is */
    MANY_SPAWN       /* exec of the same program; main must begin with many_main() */
};

/* What a child of the fork server or of a spawn is to have besides its argument. */
typedef struct many_inherit {
    many_segment *segment; /* set one of the three */
    many_queue *queue;
    many_pipe *pipe;
} many_inherit;

typedef struct many_process_options {
    size_t size;                /* sizeof this struct; the macro fills it */
    many_process **process;     /* receives the handle; required, the macro's first argument */
    many_process_fn *fn;        /* required, the macro's second argument */
    void *argument;             /* for fn; required (NULL will do), the macro's third argument */
    struct many_named_ *named_; /* keeps options named; leave it alone */
    const char *name;           /* NULL: "Process-1", "Process-2", ... Copied, 63 bytes at most. */
    size_t argument_bytes; /* so many bytes at argument are copied, and fn gets the copy, aligned as
                                   by malloc; 0: the pointer itself, for MANY_FORK, and NULL */
    int method;            /* one of enum many_start_method */
    int daemon;            /* 1: killed when this process ends, however it ends; 0: left alone */
    many_queue
        *produces; /* the child is a registered producer of it, and finishes at its end, or when
                              it closes it */
    many_queue *consumes;         /* likewise, a consumer */
    const many_inherit *inherits; /* many_inherited(i) gives them in the child, with every method */
    size_t inherits_count;
} many_process_options;

/*
 * many_process_start - start a process that runs fn(argument)
 *
 *   process   receives the handle; close it with many_process_close(). NULL after a failure
 *   fn        any function; for the fork server and spawn one of the program, or of a library that
 *             the child can open by the same path
 *   argument  for fn
 *   options   by name: many_process_start(&process, fn, &argument, .name = "reader", .daemon = 1)
 *
 * returns   0         it runs, or has run
 *           -EINVAL   options make no sense; argument is neither NULL nor has .argument_bytes, and the
 *                     method is not MANY_FORK; the main thread never called many_main() and the method is
 *                     MANY_SPAWN; the message says which
 *           -E2BIG    an option is set that this library is too old for; or .argument_bytes is more than
 *                     1 GiB
 *           -ENOENT   fn lies in no file that another process could open
 *           -EAGAIN   no more processes allowed
 *           -ENOSPC   64 living ones are registered at .produces or .consumes
 *           -ENOMEM   not enough memory
 *           -EMFILE, -ENFILE  no descriptors to be had
 *           -EPIPE    the fork server is dead, and could not be started again
 * blocks    for the fork; with the other methods until the child has been made
 * threads   any
 * fork      a child may start its own
 * signals   not from a signal handler
 * death     if the caller is killed in this call, a daemon does not live on
 * source    Python multiprocessing.Process(target, name, args, daemon).start, set_start_method
 */
MANY_API int many_process_start_with(const many_process_options *options);

#ifndef __cplusplus
#define many_process_start(process_, fn_, ...)                                                     \
    many_process_start_with(&(many_process_options){.size = sizeof(many_process_options),          \
                                                    .process = (process_),                         \
                                                    .fn = (fn_),                                   \
                                                    .argument = __VA_ARGS__})
#endif

/*
 * many_process_join - wait for its end
 *
 * returns   0           it has ended; ask many_process_exit_code() or many_process_cause()
 *           -ETIMEDOUT  it runs still
 *           -EINTR      a signal handler ran on this thread
 *           -EDEADLK    it is the calling process itself (many_process_current())
 *           -EINVAL     process is NULL, or the timeout makes no sense
 *           -MANY_EFORKED  started by another process
 * blocks    at most timeout_s, or until its end
 * threads   any number
 * fork      -MANY_EFORKED in a child
 * signals   not from a signal handler
 * source    Python Process.join
 */
MANY_API int many_process_join(many_process *process, double timeout_s);

/*
 * many_process_wait - wait for the end of any of several processes
 *
 *   processes  n handles; a NULL among them never ends
 *   n          1 or more
 *   ended      n flags: 1 for each that has ended, else 0; may be NULL
 *   timeout_s  seconds to wait; 0: just look; MANY_FOREVER: no limit
 *
 * returns   1 .. n      so many have ended
 *           -ETIMEDOUT  none has
 *           -EINTR, -EINVAL, -MANY_EFORKED  as many_process_join()
 *           -ENOMEM     no memory for the poll
 * blocks    at most timeout_s
 * threads   any
 * fork      -MANY_EFORKED in a child
 * signals   not from a signal handler
 * source    Python multiprocessing.connection.wait(sentinels)
 */
MANY_API int many_process_wait(many_process *const *processes, size_t n, int *ended,
                               double timeout_s);

/*
 * many_process_is_alive - does it run?
 *
 * returns   1 or 0; -EINVAL for NULL; -MANY_EFORKED
 * blocks    never
 * threads   any
 * fork      -MANY_EFORKED in a child
 * signals   not from a signal handler
 * source    Python Process.is_alive
 */
MANY_API int many_process_is_alive(many_process *process);

/*
 * many_process_exit_code - what became of it, in a number
 *
 *   code  receives what fn returned (0 .. 255), or the negative number of the signal that killed it;
 *         MANY_EXIT_UNKNOWN if somebody else in the program took its status
 *
 * returns   0
 *           -EAGAIN   it runs still (Python's None)
 *           -EINVAL   an argument is NULL
 *           -MANY_EFORKED  started by another process
 * blocks    never
 * threads   any
 * fork      -MANY_EFORKED in a child
 * signals   not from a signal handler
 * source    Python Process.exitcode
 */
MANY_API int many_process_exit_code(many_process *process, int *code);

#define MANY_EXIT_UNKNOWN (-4096)

/*
 * many_process_cause - what became of it, in full and in words
 *
 *   cause  receives code (0; -MANY_EDIED if a signal killed it), signal, exit_status, pid, seconds,
 *          peak_bytes, and the text: "'cube' (pid 4711) exited with 0"
 *
 * As many_process_exit_code().
 */
MANY_API int many_process_cause(many_process *process, many_cause *cause);

/*
 * many_process_terminate - send it SIGTERM
 *
 * returns   0; also when it has ended already
 *           -EINVAL for NULL; -EPERM it runs as another user, or is the parent; -MANY_EFORKED
 * blocks    never
 * threads   any
 * fork      -MANY_EFORKED in a child
 * signals   not from a signal handler
 * source    Python Process.terminate
 */
MANY_API int many_process_terminate(many_process *process);

/*
 * many_process_kill - send it SIGKILL
 *
 * As many_process_terminate().
 *
 * source    Python Process.kill
 */
MANY_API int many_process_kill(many_process *process);

/*
 * many_process_pid, many_process_name - its process id; its name
 *
 * returns   the id, -EINVAL for NULL; the name, valid until close, "" for NULL
 * blocks    never
 * threads   any
 * fork      usable in a forked child
 * signals   safe in a signal handler
 * source    Python Process.pid, Process.name
 */
MANY_API pid_t many_process_pid(const many_process *process);
MANY_API const char *many_process_name(const many_process *process);

/*
 * many_process_descriptor - a descriptor that is readable once it has ended
 *
 * returns   a descriptor, the handle's own: poll it, do not read or close it
 *           -ENOSYS   this kernel has none (before Linux 5.3)
 *           -EINVAL for NULL; -MANY_EFORKED
 * blocks    never
 * threads   any
 * fork      -MANY_EFORKED in a child
 * signals   not from a signal handler
 * source    Python Process.sentinel
 */
MANY_API int many_process_descriptor(many_process *process);

/*
 * many_process_close - let go of the handle; a process that runs still is terminated and joined
 *
 * SIGTERM first; SIGKILL if it has not ended 5 s later. One that runs as another user by now, and cannot be
 * killed, is left alone.
 *
 * blocks    until it has ended
 * threads   the last one to use it; NULL does nothing
 * fork      in a forked child, only the child's copy of the handle is freed
 * signals   not from a signal handler
 * source    Python Process.terminate, join and close
 */
MANY_API void many_process_close(many_process *process);

/*
 * many_process_children - the children of this process that run
 *
 *   processes  receives up to room handles, the caller's own ones; may be NULL with room 0
 *   room       how many fit
 *
 * returns   how many there are, which may be more than room. One that another thread closes just now
 *           must not be used.
 * blocks    for moments
 * threads   any
 * fork      a child has none at first
 * signals   not from a signal handler
 * source    Python multiprocessing.active_children
 */
MANY_API ssize_t many_process_children(many_process **processes, size_t room);

/*
 * many_process_current - the process that runs, as a handle: its name and pid
 *
 * returns   a handle that needs no closing: name "MainProcess", or what its parent called it. Joining it is
 *           -EDEADLK, and it has no descriptor (-EINVAL)
 * blocks    never
 * threads   any
 * fork      a forked child's is its own
 * signals   not from a signal handler
 * source    Python multiprocessing.current_process
 */
MANY_API many_process *many_process_current(void);

/*
 * many_process_parent - the process that started this one by many_process_start()
 *
 * join, wait, is_alive, pid, name and descriptor work on it; its exit code is not ours to know
 * (MANY_EXIT_UNKNOWN), and it is not ours to end (-EPERM).
 *
 * returns   a handle that needs no closing; NULL in a process that was started otherwise
 * blocks    never
 * threads   any
 * fork      usable in a process started by many_process_start() only
 * signals   not from a signal handler
 * source    Python multiprocessing.parent_process
 */
MANY_API many_process *many_process_parent(void);

/*
 * many_inherited - inside a started process: one of .inherits
 *
 * Use the member that was set at the start; handles need no closing, and may be closed.
 *
 *   index  0 .. .inherits_count - 1
 *
 * returns   the handles as they are in this process; all NULL for an index beyond the last
 * blocks    never
 * threads   any
 * fork      a child of the child that was forked otherwise has them, too
 * signals   not from a signal handler
 */
MANY_API many_inherit many_inherited(size_t index);

/*
 * many_main - the first line of main() in a program that uses MANY_SPAWN: many_main(argc, argv);
 *
 * In a process that was spawned it runs the function and exits; in all others it returns at once. The
 * fork server too is small from the start with it, whatever the size of the program by then. It keeps
 * argv[0], which has to stay. A command line that only looks like that of a spawned process is not
 * touched. In a set-user-ID program, whose caller is not trusted, it does nothing: MANY_SPAWN is -EINVAL.
 *
 * blocks    in a spawned process: does not return
 * threads   the main thread, first of all
 * fork      not after a fork
 * signals   not from a signal handler
 * source    Python multiprocessing.freeze_support
 */
MANY_API void many_main(int argc, char **argv);

/*
 * many_forkserver_start - start the fork server now, and not at the first use
 *
 * It ends with this process, and is a child of it: a wait(2) for all children waits for it, too. What it
 * makes has its user, working directory, umask, environment and limits, which are those of its own start
 * (so give up rights before that); the mask of signals is that of the starting thread. Of descriptors these
 * processes have 0, 1 and 2 and what they inherit, and so have those that are spawned.
 *
 * returns   0; also when it runs already
 *           -EAGAIN, -ENOMEM, -EMFILE, -ENFILE  as many_process_start()
 *           -EPIPE  it ended before it was ready
 * blocks    for one fork
 * threads   any; best before there are several, while the program is small
 * fork      a child has its own
 * signals   not from a signal handler
 * death     a server that was stopped is told to go on after a second, one that was killed is replaced
 *           at the next start. The daemons that it made die with it; others live on, and how they end
 *           is unknown. Daemons by MANY_FORK and MANY_SPAWN live on, and are kept by the next server.
 * source    Python multiprocessing.forkserver.ensure_running
 */
MANY_API int many_forkserver_start(void);

/* ---- thread (threading.Thread) ---- */

typedef struct many_thread many_thread;

typedef struct many_thread_options {
    size_t size;                /* sizeof this struct; the macro fills it */
    many_thread **thread;       /* receives the handle; required, the macro's first argument */
    many_process_fn *fn;        /* required, the macro's second argument */
    void *argument;             /* for fn; required (NULL will do), the macro's third argument */
    struct many_named_ *named_; /* keeps options named; leave it alone */
    const char *name;   /* NULL: "Thread-1", ... Copied, 63 bytes at most; the system shows 15 */
    size_t stack_bytes; /* 0: the system's default */
    int daemon;         /* 1: close does not wait for it, but leaves it alone */
    int signals;        /* 0: no handler of the program runs in it (all but those of a fault
                                   are blocked); 1: it has the caller's mask */
    many_queue
        *produces; /* it is a registered producer of it, and finishes at its end; it stays open
                                   until then */
    many_queue *consumes; /* likewise, a consumer */
} many_thread_options;

/*
 * many_thread_start - start a thread that runs fn(argument)
 *
 *   thread    receives the handle; close it with many_thread_close(). NULL after a failure
 *   fn        what it returns is its exit code; many_cancelled() in it is 1 after
 *             many_thread_terminate()
 *   argument  for fn; alive as long as fn uses it
 *   options   by name: many_thread_start(&thread, fn, &argument, .name = "reader")
 *
 * returns   0
 *           -EINVAL  options make no sense
 *           -E2BIG   an option is set that this library is too old for
 *           -EAGAIN  no more threads allowed
 *           -ENOSPC  64 living ones are registered at .produces or .consumes
 *           -ENOMEM  not enough memory
 * blocks    never; with queues until it is registered
 * threads   any
 * fork      the thread is not in a forked child; its handle says -MANY_EFORKED there
 * signals   not from a signal handler
 * source    Python threading.Thread(target, name, args, daemon).start
 */
MANY_API int many_thread_start_with(const many_thread_options *options);

#ifndef __cplusplus
#define many_thread_start(thread_, fn_, ...)                                                       \
    many_thread_start_with(&(many_thread_options){.size = sizeof(many_thread_options),             \
                                                  .thread = (thread_),                             \
                                                  .fn = (fn_),                                     \
                                                  .argument = __VA_ARGS__})
#endif

/*
 * many_thread_join - wait for its end
 *
 * returns   0           it has ended
 *           -ETIMEDOUT  it runs still
 *           -EINTR      a signal handler ran on this thread
 *           -EDEADLK    it is the calling thread (Python raises RuntimeError)
 *           -EINVAL     thread is NULL, or the timeout makes no sense
 *           -MANY_EFORKED  started by another process
 * blocks    at most timeout_s, or until its end
 * threads   any number
 * fork      -MANY_EFORKED in a child
 * signals   not from a signal handler
 * source    Python Thread.join
 */
MANY_API int many_thread_join(many_thread *thread, double timeout_s);

/*
 * many_thread_is_alive - does it run?
 *
 * returns   1 or 0; -EINVAL for NULL; -MANY_EFORKED
 * blocks    never
 * threads   any
 * fork      -MANY_EFORKED in a child
 * signals   not from a signal handler
 * source    Python Thread.is_alive
 */
MANY_API int many_thread_is_alive(const many_thread *thread);

/*
 * many_thread_exit_code - what fn returned
 *
 *   code  receives it, whole; MANY_EXIT_UNKNOWN if it left by pthread_exit() or pthread_cancel()
 *
 * returns   0
 *           -EAGAIN   it runs still
 *           -EINVAL   an argument is NULL
 *           -MANY_EFORKED  started by another process
 * blocks    never
 * threads   any
 * fork      -MANY_EFORKED in a child
 * signals   not from a signal handler
 */
MANY_API int many_thread_exit_code(const many_thread *thread, int *code);

/*
 * many_thread_terminate - ask it to end: many_cancelled() in it is 1 from now on
 *
 * A thread cannot be killed: what it holds would stay locked, what it was writing half written. It has
 * to ask. A wait of many that it sits in is not ended.
 *
 * returns   0; also when it has ended already; -EINVAL for NULL; -MANY_EFORKED
 * blocks    never
 * threads   any
 * fork      -MANY_EFORKED in a child
 * signals   not from a signal handler
 */
MANY_API int many_thread_terminate(many_thread *thread);

/*
 * many_thread_id, many_thread_name - its id as the system shows it (top, gdb); its name
 *
 * returns   the id, -EINVAL for NULL; the name, valid until close, "" for NULL
 * blocks    never
 * threads   any
 * fork      usable in a forked child
 * signals   safe in a signal handler
 * source    Python Thread.native_id, Thread.name
 */
MANY_API pid_t many_thread_id(const many_thread *thread);
MANY_API const char *many_thread_name(const many_thread *thread);

/*
 * many_thread_descriptor - a descriptor that is readable once it has ended
 *
 * Made at the first call.
 *
 * returns   a descriptor, the handle's own: poll it, do not read or close it
 *           -EINVAL for NULL; -EMFILE, -ENFILE; -MANY_EFORKED
 * blocks    never
 * threads   any
 * fork      -MANY_EFORKED in a child
 * signals   not from a signal handler
 */
MANY_API int many_thread_descriptor(many_thread *thread);

/*
 * many_thread_close - let go of the handle; a thread that runs still is asked to end, and waited for
 *
 * A daemon is asked to end, and left alone.
 *
 * blocks    until it has ended; never for a daemon, or from the thread itself (which is left alone)
 * threads   the last one to use it; NULL does nothing
 * fork      in a forked child, nothing happens
 * signals   not from a signal handler
 */
MANY_API void many_thread_close(many_thread *thread);

/*
 * many_thread_list - the threads of this process that many_thread_start() made, and that run
 *
 *   threads  receives up to room handles, the caller's own ones; may be NULL with room 0
 *   room     how many fit
 *
 * returns   how many there are, which may be more than room
 * blocks    for moments
 * threads   any
 * fork      a child has none at first
 * signals   not from a signal handler
 * source    Python threading.enumerate, threading.active_count
 */
MANY_API ssize_t many_thread_list(many_thread **threads, size_t room);

/*
 * many_thread_current - the thread that runs, as a handle
 *
 * returns   its handle; NULL in a thread that many_thread_start() did not make
 * blocks    never
 * threads   any
 * fork      NULL in a forked child
 * signals   safe in a signal handler
 * source    Python threading.current_thread
 */
MANY_API many_thread *many_thread_current(void);

/* ---- timer (threading.Timer) ---- */

typedef struct many_timer many_timer;

/*
 * many_timer_start - call fn(argument) in a thread of its own, some time from now
 *
 *   timer    receives the handle; close it with many_timer_close(). NULL after a failure
 *   delay_s  seconds from now, 0 or more
 *   fn       what it returns is not looked at
 *
 * returns   0
 *           -EINVAL  timer or fn is NULL, delay_s is negative or NaN
 *           -EAGAIN  no more threads allowed
 *           -ENOMEM  not enough memory
 * blocks    never
 * threads   any
 * fork      the timer is not in a forked child
 * signals   not from a signal handler
 * source    Python threading.Timer(interval, function).start
 */
MANY_API int many_timer_start(many_timer **timer, double delay_s, many_process_fn *fn,
                              void *argument);

/*
 * many_timer_cancel - do not call fn, if it has not been called yet
 *
 * returns   1         it will not be called
 *           0         it has been called, or cancelled before
 *           -EINVAL   timer is NULL
 *           -MANY_EFORKED  started by another process
 * blocks    never
 * threads   any, also fn itself
 * fork      -MANY_EFORKED in a child
 * signals   not from a signal handler
 * source    Python Timer.cancel
 */
MANY_API int many_timer_cancel(many_timer *timer);

/*
 * many_timer_join - wait until fn has returned, or the timer was cancelled
 *
 * As many_thread_join().
 */
MANY_API int many_timer_join(many_timer *timer, double timeout_s);

/*
 * many_timer_close - cancel it if it has not fired; if fn runs, wait for it
 *
 * As many_thread_close().
 */
MANY_API void many_timer_close(many_timer *timer);

#ifdef __cplusplus
}
#endif

#endif
