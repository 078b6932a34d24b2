/* SPDX-License-Identifier: MIT */
/*
 * exit_at_once.c - the job of cli.static: a static program that exits, with no C library around it
 *
 * glibc's static start-up asks the processor for its features, which a virtual machine answers
 * slowly: a third of a millisecond a job, more than all that the runners of jobs differ by.
 */
#include <sys/syscall.h>

_Noreturn void _start(void);

_Noreturn void _start(void)
{
#if defined(__x86_64__)
    __asm__ volatile("syscall" : : "a"(SYS_exit_group), "D"(0) : "rcx", "r11", "memory");
#elif defined(__aarch64__)
    register long call __asm__("x8") = SYS_exit_group;
    register long status __asm__("x0") = 0;

    __asm__ volatile("svc 0" : : "r"(call), "r"(status) : "memory");
#else
#error "exit_group is not written for this processor"
#endif
    __builtin_unreachable();
}
