/* SPDX-License-Identifier: MIT */
/*
 * cpu.h - usable CPUs = the least of affinity, cpuset and cgroup quota
 */
#ifndef MANY_OS_CPU_H
#define MANY_OS_CPU_H

/* As many_usable_cpus(), with /proc and /sys looked for below root ("" for the real ones). */
int many_cpu_usable_(const char *root);

#endif
