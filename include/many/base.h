/* SPDX-License-Identifier: MIT */
/*
 * base.h - error codes and messages, version, usable CPUs
 *
 * Every call that can fail returns an int (or ssize_t): 0 or a count on success, a negative code on
 * failure. The codes are POSIX's errno numbers where POSIX has the word (-ETIMEDOUT, -ECANCELED,
 * -ENOMEM), and the few of enum many_error. many_error_message() says the same in a sentence.
 * The library never prints uninvited, never exits, never aborts.
 */
#ifndef MANY_BASE_H
#define MANY_BASE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define MANY_API                __attribute__((visibility("default")))
#define MANY_PRINTF_(at, first) __attribute__((format(printf, at, first)))
#else
#define MANY_API
#define MANY_PRINTF_(at, first)
#endif

#define MANY_VERSION_MAJOR 0
#define MANY_VERSION_MINOR 1
#define MANY_VERSION_PATCH 0
#define MANY_VERSION       "0.1.0"

/* The timeout of a wait that no clock ends. Other negative timeouts, and NaN, are -EINVAL. */
#define MANY_FOREVER (-1.0)

/* Codes that POSIX has no word for; returned negative. */
enum many_error {
    MANY_EDIED = 4097,   /* the worker process died while it ran the item */
    MANY_ETASK = 4098,   /* the task returned a code of its own; codes[] and the cause hold it */
    MANY_EFORKED = 4099, /* the handle belongs to the process that opened it, not to this child */
    MANY_EBROKEN = 4100  /* a barrier: one of its parties left, died, or broke it; a pool: no worker
                            can be made, or is of any use */
};

/* Never defined: a positional value where an option belongs meets this pointer, and the compiler
 * warns. */
struct many_named_;

/*
 * many_version - the version of the library that runs, as "major.minor.patch"
 *
 * Compare with MANY_VERSION, the version of the header that was compiled.
 *
 * returns   a constant string
 * blocks    never
 * threads   any
 * fork      usable in a forked child
 * signals   safe in a signal handler
 */
MANY_API const char *many_version(void);

/*
 * many_error_message - this thread's last failure in words
 *
 * A sentence that names the function, the argument, its value and the remedy. A call that succeeds
 * leaves it alone, so ask only after a negative return; but tasks of a thread map may run in this
 * thread, and their words are its words.
 *
 * returns   a string, owned by the library, valid until this thread's next failing call; "" if none
 * blocks    never
 * threads   each thread has its own
 * fork      the child starts with the forking thread's
 * signals   not from a signal handler
 * source    POSIX strerror(errno), dlerror
 */
MANY_API const char *many_error_message(void);

/*
 * many_error_name - the name of a code: "ETIMEDOUT", "MANY_EDIED"
 *
 *   code  a code as returned, negative, or its positive number
 *
 * returns   a constant string; "0" for 0, "unknown" for what is no code
 * blocks    never
 * threads   any
 * fork      usable in a forked child
 * signals   safe in a signal handler
 * source    glibc strerrorname_np
 */
MANY_API const char *many_error_name(int code);

/*
 * many_strerror - what a code means, in general
 *
 *   code  a code as returned, negative, or its positive number
 *
 * returns   a constant string; nothing to free, nothing that leaks
 * blocks    never
 * threads   any
 * fork      usable in a forked child
 * signals   safe in a signal handler
 * source    POSIX strerror
 */
MANY_API const char *many_strerror(int code);

/*
 * many_fail - give a failure its words
 *
 * For tasks: `return many_fail(-EIO, "%s: short read", path);`. The words become the text of the
 * item's cause. For any other caller: they become many_error_message() of this thread.
 *
 *   code    the code to return, not 0
 *   format  as for printf; what exceeds 255 bytes is cut at a character's end
 *
 * returns   code
 * blocks    never
 * threads   each thread has its own message
 * fork      usable in a forked child
 * signals   not from a signal handler
 */
MANY_API int many_fail(int code, const char *format, ...) MANY_PRINTF_(2, 3);

/*
 * many_usable_cpus - how many CPUs this process may keep busy
 *
 * The least of: the affinity mask (which a cpuset narrows), and the CPU quota of the cgroup (v2 or
 * v1, any level), rounded up. It is the default number of workers everywhere.
 *
 * returns   1 or more
 * blocks    reads a few files under /proc and /sys
 * threads   any; the affinity is the calling thread's
 * fork      usable in a forked child
 * signals   not from a signal handler
 * source    Python os.process_cpu_count, OpenMP omp_get_num_procs
 */
MANY_API int many_usable_cpus(void);

#ifdef __cplusplus
}
#endif

#endif
