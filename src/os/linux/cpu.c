/* SPDX-License-Identifier: MIT */
/*
 * cpu.c - usable CPUs = the least of affinity, cpuset and cgroup quota
 *
 * The affinity mask that the kernel reports is already narrowed by the cpuset. The quota is a
 * bandwidth, not a count: it is rounded up, and every cgroup on the way to the root may set one.
 * Sources: sched_getaffinity(2), cgroups(7), kernel Documentation/admin-guide/cgroup-v2.rst
 * (cpu.max).
 */
#include "os/cpu.h"

#include <errno.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <many/base.h>

#define CPU_PATH_BYTES 4096
#define CPU_MOST       (1 << 20) /* more than any machine has */

static int cpu_affinity(void)
{
    /* The kernel refuses a mask smaller than its own; grow until it fits. */
    for (int cpus = 1024; cpus <= CPU_MOST; cpus *= 4) {
        cpu_set_t *set = CPU_ALLOC((size_t)cpus);
        size_t bytes = CPU_ALLOC_SIZE((size_t)cpus);
        int count, code;

        if (set == NULL)
            return 1;
        code = sched_getaffinity(0, bytes, set);
        count = code == 0 ? CPU_COUNT_S(bytes, set) : 0;
        CPU_FREE(set);
        if (code == 0)
            return count;
        if (errno != EINVAL)
            break;
    }
    return (int)sysconf(_SC_NPROCESSORS_ONLN);
}

/* Read one short file; 0 or -1. */
static int cpu_read(const char *path, char *text, size_t bytes)
{
    FILE *file = fopen(path, "re");
    size_t got;

    if (file == NULL)
        return -1;
    got = fread(text, 1, bytes - 1, file);
    text[got] = '\0';
    fclose(file);
    return got > 0 ? 0 : -1;
}

static int cpu_from_quota(long long quota, long long period)
{
    long long cpus;

    if (quota <= 0 || period <= 0)
        return CPU_MOST;
    cpus = (quota + period - 1) / period;
    return cpus > CPU_MOST ? CPU_MOST : (int)cpus;
}

/* The quota of one cgroup folder, v2 or v1; CPU_MOST where there is none. */
static int cpu_quota_of(const char *folder)
{
    char path[CPU_PATH_BYTES + 64], text[128];
    long long quota, period;

    snprintf(path, sizeof path, "%s/cpu.max", folder);
    if (cpu_read(path, text, sizeof text) == 0) /* "max 100000" or "150000 100000" */
        return sscanf(text, "%lld %lld", &quota, &period) == 2 ? cpu_from_quota(quota, period)
                                                               : CPU_MOST;
    snprintf(path, sizeof path, "%s/cpu.cfs_quota_us", folder);
    if (cpu_read(path, text, sizeof text) != 0 || sscanf(text, "%lld", &quota) != 1)
        return CPU_MOST;
    snprintf(path, sizeof path, "%s/cpu.cfs_period_us", folder);
    if (cpu_read(path, text, sizeof text) != 0 || sscanf(text, "%lld", &period) != 1)
        return CPU_MOST;
    return cpu_from_quota(quota, period);
}

/* The least quota from the cgroup at mount + group up to the mount itself. */
static int cpu_quota_upward(const char *mount, const char *group)
{
    char folder[CPU_PATH_BYTES];
    size_t stop = strlen(mount);
    int least = CPU_MOST;

    if ((size_t)snprintf(folder, sizeof folder, "%s%s", mount, group) >= sizeof folder)
        return CPU_MOST;
    for (;;) {
        int here = cpu_quota_of(folder);
        char *slash;

        if (here < least)
            least = here;
        slash = strrchr(folder, '/');
        if (slash == NULL || (size_t)(slash - folder) < stop)
            return least;
        *slash = '\0';
    }
}

static int cpu_has_controller(const char *list, const char *name)
{
    size_t bytes = strlen(name);

    for (const char *at = list; (at = strstr(at, name)) != NULL; at += bytes)
        if ((at == list || at[-1] == ',') && (at[bytes] == '\0' || at[bytes] == ','))
            return 1;
    return 0;
}

/* Every line of /proc/self/cgroup is "id:controllers:path"; v2 has no controllers. */
static int cpu_quota(const char *root)
{
    static const char *const mounts_v1[] = {"/sys/fs/cgroup/cpu", "/sys/fs/cgroup/cpu,cpuacct"};
    char path[CPU_PATH_BYTES], mount[CPU_PATH_BYTES], line[CPU_PATH_BYTES];
    int least = CPU_MOST;
    FILE *file;

    snprintf(path, sizeof path, "%s/proc/self/cgroup", root);
    file = fopen(path, "re");
    if (file == NULL)
        return CPU_MOST;
    while (fgets(line, sizeof line, file) != NULL) {
        char *controllers = strchr(line, ':');
        char *group = controllers ? strchr(controllers + 1, ':') : NULL;
        int here = CPU_MOST;

        if (group == NULL)
            continue;
        *group++ = '\0';
        controllers++;
        group[strcspn(group, "\n")] = '\0';
        if (strcmp(group, "/") == 0)
            group = "";
        if (*controllers == '\0') {
            snprintf(mount, sizeof mount, "%s/sys/fs/cgroup", root);
            here = cpu_quota_upward(mount, group);
        } else if (cpu_has_controller(controllers, "cpu")) {
            for (size_t i = 0; i < sizeof mounts_v1 / sizeof mounts_v1[0]; i++) {
                int quota;

                snprintf(mount, sizeof mount, "%s%s", root, mounts_v1[i]);
                quota = cpu_quota_upward(mount, group);
                here = quota < here ? quota : here;
            }
        }
        least = here < least ? here : least;
    }
    fclose(file);
    return least;
}

int many_cpu_usable_(const char *root)
{
    int cpus = cpu_affinity();
    int quota = cpu_quota(root);

    if (quota < cpus)
        cpus = quota;
    return cpus < 1 ? 1 : cpus;
}

int many_usable_cpus(void)
{
    return many_cpu_usable_("");
}
