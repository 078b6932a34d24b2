/* SPDX-License-Identifier: MIT */
/* census.c - what a call leaves behind: descriptors, threads, children, mappings, signals */
#include "test.h"

#include <dirent.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static int census_entries(const char *path)
{
    DIR *folder = opendir(path);
    int count = 0;

    CHECK(folder != NULL);
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;)
        count += entry->d_name[0] != '.';
    closedir(folder);
    return count;
}

/* A thread that was joined stays listed until the kernel has taken it apart; it does not count. Its
 * flags, the 9th field, have PF_EXITING then (proc(5), linux/sched.h). */
static int census_threads(void)
{
    DIR *folder = opendir("/proc/self/task");
    int count = 0;

    CHECK(folder != NULL);
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        char path[512], text[1024] = "";
        unsigned flags = 0;
        char *name_end;
        FILE *file;

        if (entry->d_name[0] == '.')
            continue;
        snprintf(path, sizeof path, "/proc/self/task/%s/stat", entry->d_name);
        file = fopen(path, "re");
        if (file == NULL)
            continue; /* gone meanwhile */
        name_end = fgets(text, sizeof text, file) != NULL ? strrchr(text, ')') : NULL;
        fclose(file);
        count += name_end != NULL &&
                 sscanf(name_end + 1, " %*c %*d %*d %*d %*d %*d %u", &flags) == 1 &&
                 (flags & 0x4) == 0;
    }
    closedir(folder);
    return count;
}

/* Children of all threads, zombies included. Where the kernel has no list: 1 if there are any. */
static int census_children(void)
{
    DIR *folder = opendir("/proc/self/task");
    int count = 0, listed = 0, child;
    siginfo_t info;

    CHECK(folder != NULL);
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        char path[512];
        FILE *file;

        if (entry->d_name[0] == '.')
            continue;
        snprintf(path, sizeof path, "/proc/self/task/%s/children", entry->d_name);
        file = fopen(path, "re");
        if (file == NULL)
            continue;
        listed = 1;
        while (fscanf(file, "%d", &child) == 1)
            count++;
        fclose(file);
    }
    closedir(folder);
    if (!listed)
        count = waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0;
    return count;
}

test_census test_census_take(void)
{
    test_census census = {0, 0, 0, 0, 0};
    char line[4096], mode[8];
    FILE *maps;

    census.descriptors = census_entries("/proc/self/fd") - 1; /* the folder's own */
    census.threads = census_threads();
    census.children = census_children();
    maps = fopen("/proc/self/maps", "re");
    CHECK(maps != NULL);
    while (fgets(line, sizeof line, maps) != NULL) {
        if (sscanf(line, "%*s %7s", mode) != 1)
            continue;
        if (mode[3] == 's')
            census.shared_mappings++;
        else
            census.private_mappings++;
    }
    fclose(maps);
    census.shared_mappings -= test_shared_count_(); /* they are the test's, and go with it */
    return census;
}

static int census_same(const test_census *before, const test_census *now)
{
    /* A sanitizer maps for its own needs. */
    int slack = TEST_ASAN || TEST_TSAN ? 100000 : TEST_MAPPINGS_SLACK;

    return now->descriptors == before->descriptors && now->threads == before->threads &&
           now->children == before->children && now->shared_mappings == before->shared_mappings &&
           now->private_mappings <= before->private_mappings + slack;
}

/* For the reader of a failure: what is open, and what is shared. */
static void census_print(void)
{
    DIR *folder = opendir("/proc/self/fd");
    char path[512], text[4096];
    FILE *maps;

    for (struct dirent *entry; folder != NULL && (entry = readdir(folder)) != NULL;) {
        ssize_t got;

        if (atoi(entry->d_name) == dirfd(folder))
            continue;
        snprintf(path, sizeof path, "/proc/self/fd/%s", entry->d_name);
        got = readlink(path, text, sizeof text - 1);
        if (got > 0)
            fprintf(stderr, "  descriptor %s: %.*s\n", entry->d_name, (int)got, text);
    }
    if (folder != NULL)
        closedir(folder);
    maps = fopen("/proc/self/maps", "re");
    while (maps != NULL && fgets(text, sizeof text, maps) != NULL)
        if (sscanf(text, "%*s %7s", path) == 1 && path[3] == 's')
            fprintf(stderr, "  shared %s", text);
    if (maps != NULL)
        fclose(maps);
}

void test_census_check_(const char *file, int line, const test_census *before)
{
    /* A busy kernel may take a while over an end. */
    double end = test_seconds() + 30.0 * test_slowness();
    test_census now = test_census_take();

    for (int looks = 0; !census_same(before, &now) && test_seconds() < end; looks++) {
        test_pause_(looks);
        now = test_census_take();
    }
    if (census_same(before, &now))
        return;
    census_print();
    test_fail_(file, line,
               "left behind: descriptors %d, were %d; threads %d, were %d; children %d, were %d; "
               "shared mappings %d, were %d; private mappings %d, were %d",
               now.descriptors, before->descriptors, now.threads, before->threads, now.children,
               before->children, now.shared_mappings, before->shared_mappings, now.private_mappings,
               before->private_mappings);
}

void test_signals_take(test_signals *signals)
{
    memset(signals, 0, sizeof *signals);
    for (int signal = 1; signal < NSIG; signal++)
        sigaction(signal, NULL, &signals->action[signal]);
    pthread_sigmask(SIG_SETMASK, NULL, &signals->mask);
}

void test_signals_check_(const char *file, int line, const test_signals *before)
{
    static test_signals now; /* 10 KB: not for the stack of a small thread */

    test_signals_take(&now);
    for (int signal = 1; signal < NSIG; signal++) {
        const struct sigaction *was = &before->action[signal], *is = &now.action[signal];

        if (was->sa_handler != is->sa_handler || was->sa_flags != is->sa_flags)
            test_fail_(file, line, "the disposition of signal %d has changed", signal);
        for (int other = 1; other < NSIG; other++)
            if (sigismember(&was->sa_mask, other) != sigismember(&is->sa_mask, other))
                test_fail_(file, line, "the mask of signal %d's handler has changed", signal);
        if (sigismember(&before->mask, signal) != sigismember(&now.mask, signal))
            test_fail_(file, line, "signal %d is %s now", signal,
                       sigismember(&now.mask, signal) ? "blocked" : "not blocked");
    }
}
