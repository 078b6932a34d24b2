/* SPDX-License-Identifier: MIT */
/* test_cpu.c - usable CPUs, in a /proc and a /sys of our own making */
#include "test.h"

#include <sched.h>
#include <stdio.h>
#include <string.h>

#include <many/base.h>

#include "os/cpu.h"

static int affinity(void)
{
    cpu_set_t set;

    CHECK(sched_getaffinity(0, sizeof set, &set) == 0);
    return CPU_COUNT(&set);
}

/* A quota of so many CPUs, on a machine that may have fewer. */
static void check_usable(const char *root, int quota)
{
    int own = affinity();

    CHECK_EQUAL(many_cpu_usable_(root), quota < own ? quota : own);
}

TEST(without_cgroups_it_is_the_affinity)
{
    const char *root = test_directory();

    CHECK_EQUAL(many_cpu_usable_(root), affinity());
    test_write_file(root, "proc/self/cgroup", "");
    CHECK_EQUAL(many_cpu_usable_(root), affinity());
}

TEST(the_public_call_is_between_one_and_the_affinity)
{
    CHECK(many_usable_cpus() >= 1);
    CHECK(many_usable_cpus() <= affinity());
}

static void narrow_and_look(void *argument)
{
    cpu_set_t set;
    int cpu = sched_getcpu();

    CPU_ZERO(&set);
    CPU_SET((size_t)cpu, &set);
    CHECK(sched_setaffinity(0, sizeof set, &set) == 0);
    CHECK_EQUAL(many_cpu_usable_(argument), 1);
    CHECK_EQUAL(many_usable_cpus(), 1);
}

TEST(a_narrow_affinity_mask_counts)
{
    CHECK_EQUAL(test_in_child(narrow_and_look, (void *)test_directory()), 0);
}

TEST(a_quota_of_version_2_is_rounded_up)
{
    static const struct {
        const char *max;
        int cpus;
    } cases[] = {
        {"max 100000\n", 1 << 20}, {"100000 100000\n", 1},  {"1000 100000\n", 1},
        {"100001 100000\n", 2},    {"150000 100000\n", 2},  {"200000 100000\n", 2},
        {"50000 20000\n", 3},      {"0 100000\n", 1 << 20}, {"nonsense\n", 1 << 20},
        {"100000 0\n", 1 << 20},
    };
    const char *root = test_directory();

    test_write_file(root, "proc/self/cgroup", "0::/\n");
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        test_write_file(root, "sys/fs/cgroup/cpu.max", cases[i].max);
        check_usable(root, cases[i].cpus);
    }
}

TEST(the_least_quota_on_the_way_to_the_root_counts)
{
    const char *levels[] = {"sys/fs/cgroup/cpu.max", "sys/fs/cgroup/a/cpu.max",
                            "sys/fs/cgroup/a/b.slice/cpu.max"};
    const char *root = test_directory();

    test_write_file(root, "proc/self/cgroup", "0::/a/b.slice\n");
    for (int narrow = 0; narrow < 3; narrow++) {
        for (int i = 0; i < 3; i++)
            test_write_file(root, levels[i], i == narrow ? "90000 100000\n" : "max 100000\n");
        CHECK_EQUAL(many_cpu_usable_(root), 1);
    }
    for (int i = 0; i < 3; i++)
        test_write_file(root, levels[i], "max 100000\n");
    CHECK_EQUAL(many_cpu_usable_(root), affinity());
}

TEST(a_quota_beside_the_way_does_not_count)
{
    const char *root = test_directory();

    test_write_file(root, "proc/self/cgroup", "0::/a/b\n");
    test_write_file(root, "sys/fs/cgroup/a/c/cpu.max", "10000 100000\n");
    test_write_file(root, "sys/fs/cgroup/a/b/c/cpu.max", "10000 100000\n");
    test_write_file(root, "cpu.max", "10000 100000\n"); /* above the mount */
    CHECK_EQUAL(many_cpu_usable_(root), affinity());
}

TEST(a_group_that_this_container_does_not_see_leaves_what_it_does_see)
{
    const char *root = test_directory();

    test_write_file(root, "proc/self/cgroup", "0::/outside/of/this/container\n");
    test_write_file(root, "sys/fs/cgroup/cpu.max", "10000 100000\n");
    CHECK_EQUAL(many_cpu_usable_(root), 1);
}

TEST(a_quota_of_version_1_counts_under_either_name_of_the_mount)
{
    const char *mounts[] = {"cpu", "cpu,cpuacct"};

    for (int i = 0; i < 2; i++) {
        const char *root = test_directory();
        char path[256];

        test_write_file(root, "proc/self/cgroup", "12:memory:/m\n4:cpu,cpuacct:/a/b\n1:name=x:/\n");
        snprintf(path, sizeof path, "sys/fs/cgroup/%s/a/cpu.cfs_quota_us", mounts[i]);
        test_write_file(root, path, "-1\n");
        snprintf(path, sizeof path, "sys/fs/cgroup/%s/a/cpu.cfs_period_us", mounts[i]);
        test_write_file(root, path, "100000\n");
        CHECK_EQUAL(many_cpu_usable_(root), affinity());
        snprintf(path, sizeof path, "sys/fs/cgroup/%s/a/cpu.cfs_quota_us", mounts[i]);
        test_write_file(root, path, "60000\n");
        CHECK_EQUAL(many_cpu_usable_(root), 1);
    }
}

TEST(the_cpuset_controller_is_not_taken_for_the_cpu_controller)
{
    const char *root = test_directory();

    test_write_file(root, "proc/self/cgroup", "4:cpuset:/a\n5:cpuacct:/a\n6:mycpu,x:/a\n");
    test_write_file(root, "sys/fs/cgroup/cpu/a/cpu.cfs_quota_us", "10000\n");
    test_write_file(root, "sys/fs/cgroup/cpu/a/cpu.cfs_period_us", "100000\n");
    CHECK_EQUAL(many_cpu_usable_(root), affinity());
}

TEST(with_both_versions_the_least_counts)
{
    const char *root = test_directory();

    test_write_file(root, "proc/self/cgroup", "5:cpu:/a\n0::/a\n");
    test_write_file(root, "sys/fs/cgroup/a/cpu.max", "max 100000\n");
    test_write_file(root, "sys/fs/cgroup/cpu/a/cpu.cfs_quota_us", "10000\n");
    test_write_file(root, "sys/fs/cgroup/cpu/a/cpu.cfs_period_us", "100000\n");
    CHECK_EQUAL(many_cpu_usable_(root), 1);
}

TEST(odd_lines_are_passed_over)
{
    const char *root = test_directory();
    static char line[20000];

    memset(line, 'x', sizeof line - 2);
    strcpy(line, "0::");
    line[3] = '/'; /* in place of the NUL: the line goes on */
    line[sizeof line - 2] = '\n';
    test_write_file(root, "proc/self/cgroup", line);
    CHECK_EQUAL(many_cpu_usable_(root), affinity());
    test_write_file(root, "proc/self/cgroup", "no colon\n1:one\n\n0::/a");
    test_write_file(root, "sys/fs/cgroup/a/cpu.max", "10000 100000");
    CHECK_EQUAL(many_cpu_usable_(root), 1);
}
