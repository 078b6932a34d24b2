/* SPDX-License-Identifier: MIT */
/* os.c - the one platform switch: which files know this system */

#if defined(__linux__)
#include "os/linux/cpu.c"
#include "os/linux/futex.c"
#include "os/linux/launch.c"
#include "os/linux/listen.c"
#include "os/linux/memory.c"
#include "os/linux/module.c"
#include "os/linux/peek.c"
#include "os/linux/process.c"
#include "os/linux/reach.c"
#include "os/linux/sealed.c"
#include "os/linux/self.c"
#include "os/posix/clock.c"
#include "os/posix/descriptors.c"
#include "os/posix/signal.c"
#include "os/posix/stream.c"
#include "os/posix/terminal.c"
#include "os/posix/thread.c"
#else
#error "many runs on Linux; for another system write the files that os/README.md names"
#endif
