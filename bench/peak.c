/* SPDX-License-Identifier: MIT */
/*
 * peak.c - the most memory that a command and its descendants hold at once: `peak COMMAND...`
 *
 * Counted are resident pages, those that several of them map only once (proportional set sizes of
 * /proc/PID/smaps), and all pages of anonymous files (memfd), mapped or not: they are memory, too.
 * Looked at once in a millisecond, which takes a part of a processor: time and memory are measured
 * by separate runs. Children are found if the first thread of their parent has forked them.
 */
#include "bench.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { PATH_BYTES = 300, FILES_MOST = 64, DEPTH_MOST = 8 };

static const char memfd_prefix[] = "/memfd:";

/* An anonymous file of the tree. */
typedef struct peak_file {
    unsigned long inode;
    uint64_t mapped_bytes; /* what its mappings add up to: they are looked at one after another */
    uint64_t bytes;        /* what it has; 0: nobody has it open */
} peak_file;

/* One look at the tree. */
typedef struct peak_look {
    uint64_t bytes; /* of mapped pages, but those of anonymous files */
    peak_file files[FILES_MOST];
    size_t files_count;
} peak_look;

static peak_file *peak_file_of(peak_look *look, unsigned long inode)
{
    peak_file *file = look->files;

    while (file < look->files + look->files_count && file->inode != inode)
        file++;
    if (file == look->files + FILES_MOST)
        bench_die("peak: more than %d anonymous files", (int)FILES_MOST);
    if (file == look->files + look->files_count) {
        look->files_count++;
        file->inode = inode;
    }
    return file;
}

/* A process may end while it is looked at: what is missing then is not counted. */
static void peak_mapped(peak_look *look, long pid)
{
    char path[PATH_BYTES];
    char line[4096];
    peak_file *file = NULL;
    FILE *smaps;

    snprintf(path, sizeof path, "/proc/%ld/smaps", pid);
    smaps = fopen(path, "re");
    if (smaps == NULL)
        return;
    while (fgets(line, sizeof line, smaps) != NULL) {
        unsigned long long kib;
        unsigned long inode;
        int at = 0;

        if (sscanf(line, "Pss: %llu kB", &kib) == 1) {
            *(file != NULL ? &file->mapped_bytes : &look->bytes) += kib * 1024;
        } else if (!isupper((unsigned char)line[0]) && /* the head of a mapping: its address */
                   sscanf(line, "%*x-%*x %*s %*x %*s %lu %n", &inode, &at) == 1) {
            int anonymous = strncmp(line + at, memfd_prefix, sizeof memfd_prefix - 1) == 0;

            file = anonymous ? peak_file_of(look, inode) : NULL;
        }
    }
    fclose(smaps);
}

static void peak_opened(peak_look *look, long pid)
{
    char folder[PATH_BYTES];
    struct dirent *entry;
    DIR *entries;

    snprintf(folder, sizeof folder, "/proc/%ld/fd", pid);
    entries = opendir(folder);
    if (entries == NULL)
        return;
    while ((entry = readdir(entries)) != NULL) {
        char target[PATH_BYTES] = "";
        struct stat status;

        if (readlinkat(dirfd(entries), entry->d_name, target, sizeof target - 1) > 0 &&
            strncmp(target, memfd_prefix, sizeof memfd_prefix - 1) == 0 &&
            fstatat(dirfd(entries), entry->d_name, &status, 0) == 0)
            peak_file_of(look, (unsigned long)status.st_ino)->bytes =
                (uint64_t)status.st_blocks * 512;
    }
    closedir(entries);
}

static void peak_tree(peak_look *look, long pid, int depth)
{
    char path[PATH_BYTES];
    long child;
    FILE *children;

    peak_mapped(look, pid);
    peak_opened(look, pid);
    snprintf(path, sizeof path, "/proc/%ld/task/%ld/children", pid, pid);
    children = fopen(path, "re");
    if (children == NULL)
        return;
    while (depth < DEPTH_MOST && fscanf(children, "%ld", &child) == 1)
        peak_tree(look, child, depth + 1);
    fclose(children);
}

static uint64_t peak_now(long pid)
{
    peak_look look = {0};

    peak_tree(&look, pid, 0);
    for (const peak_file *file = look.files; file < look.files + look.files_count; file++)
        look.bytes += file->bytes != 0 ? file->bytes : file->mapped_bytes;
    return look.bytes;
}

static void peak_run(char **command)
{
    int nothing = open("/dev/null", O_WRONLY | O_CLOEXEC);

    if (nothing < 0 || dup2(nothing, STDOUT_FILENO) < 0)
        bench_die("/dev/null: %s", strerror(errno));
    execvp(command[0], command);
    bench_die("%s: %s", command[0], strerror(errno));
}

int main(int argc, char **argv)
{
    const struct timespec pause = {.tv_nsec = 1000000};
    uint64_t most = 0;
    int status = 0;
    pid_t child;

    if (argc < 2)
        bench_die("usage: %s COMMAND...", argv[0]);
    /* Who loses its parent is still found, below this process. */
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    child = fork();
    if (child < 0)
        bench_die("fork: %s", strerror(errno));
    if (child == 0)
        peak_run(argv + 1);
    while (waitpid(child, &status, WNOHANG) == 0) {
        uint64_t now = peak_now(getpid()); /* with this process, which holds next to nothing */

        most = now > most ? now : most;
        nanosleep(&pause, NULL);
    }
    if (status != 0)
        bench_die("%s ended with status %#x", argv[1], (unsigned)status);
    bench_print((double)most / (1 << 20), "MiB peak");
    return 0;
}
