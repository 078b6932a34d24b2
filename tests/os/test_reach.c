/* SPDX-License-Identifier: MIT */
/* test_reach.c - writing into another process: what arrives, and what each refusal is called */
#include "test.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "os/reach.h"

#define REACH_BYTES ((size_t)5000000) /* many pages, and no whole number of them */

typedef struct shared {
    pid_t parent;
    char *there; /* in the parent's private memory */
    int code;
    _Atomic int ready;
    _Atomic int done;
} shared;

/* May a child write to its parent here? Yama and sandboxes say no. */
static void write_word(void *argument)
{
    shared *area = argument;
    char byte = 'x';

    area->code = many_reach_write_(area->parent, area->there, &byte, 1);
}

static void skip_unless_permitted(shared *area, char *there)
{
    area->parent = getpid();
    area->there = there;
    CHECK_EQUAL(test_in_child(write_word, area), 0);
    if (area->code == -EPERM || area->code == -ENOSYS || area->code == -EACCES)
        test_skip("a child may not write to its parent here");
    CHECK_CODE(area->code, 0);
    CHECK_EQUAL(*there, 'x');
}

static void write_block(void *argument)
{
    shared *area = argument;
    char *mine = malloc(REACH_BYTES);

    CHECK(mine != NULL);
    for (size_t i = 0; i < REACH_BYTES; i++)
        mine[i] = (char)(i * 7 + i / 4096);
    CHECK_CODE(many_reach_write_(area->parent, area->there, mine, REACH_BYTES), 0);
    CHECK_CODE(many_reach_write_(area->parent, area->there, mine, 0), 0);
    free(mine);
}

TEST(a_child_writes_into_its_parents_private_memory)
{
    shared *area = test_shared(sizeof *area);
    char *memory = calloc(1, REACH_BYTES + 1);

    CHECK(memory != NULL);
    skip_unless_permitted(area, memory);
    CHECK_EQUAL(test_in_child(write_block, area), 0);
    for (size_t i = 0; i < REACH_BYTES; i++)
        if (memory[i] != (char)(i * 7 + i / 4096))
            CHECK_EQUAL(i, REACH_BYTES);
    CHECK_EQUAL(memory[REACH_BYTES], 0);
    free(memory);
}

static void wait_for_writing(void *argument)
{
    shared *area = argument;

    UNTIL(atomic_load(&area->done));
    CHECK_STRING(area->there, "from the parent");
}

TEST(a_parent_writes_into_its_child)
{
    shared *area = test_shared(sizeof *area);
    char private[16] = "";
    pid_t child;
    int code;

    area->there = private;
    child = test_child_start(wait_for_writing, area);
    code = many_reach_write_(child, private, "from the parent", 16);
    if (code == 0)
        atomic_store(&area->done, 1);
    else
        kill(child, SIGKILL);
    CHECK_EQUAL(test_child_wait(child), code == 0 ? 0 : SIGKILL);
    CHECK_STRING(private, "");
    if (code == -EPERM || code == -ENOSYS)
        test_skip("a parent may not write to its child here");
    CHECK_CODE(code, 0);
}

static void leave(void *argument)
{
    (void)argument;
}

TEST(a_process_that_is_gone_is_esrch)
{
    pid_t gone = test_child_start(leave, NULL);
    char byte = 0;
    int code;

    CHECK_EQUAL(test_child_wait(gone), 0);
    code = many_reach_write_(gone, &byte, &byte, 1);
    if (code == -ENOSYS || code == -EPERM)
        test_skip("no process may write to another here");
    CHECK_CODE(code, -ESRCH);
}

static void write_to_nowhere(void *argument)
{
    shared *area = argument;
    char bytes[64] = {0};

    CHECK_CODE(many_reach_write_(area->parent, area->there, bytes, sizeof bytes), -EFAULT);
}

TEST(an_address_that_is_not_there_is_efault)
{
    shared *area = test_shared(sizeof *area);
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    char byte = 0;
    char *pages = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    CHECK(pages != MAP_FAILED);
    skip_unless_permitted(area, &byte);
    munmap(pages + page, page);
    area->there = pages + page; /* nothing of it */
    CHECK_EQUAL(test_in_child(write_to_nowhere, area), 0);
    area->there = pages + page - 32; /* the first half only */
    CHECK_EQUAL(test_in_child(write_to_nowhere, area), 0);
    munmap(pages, page);
}

static void write_as_nobody(void *argument)
{
    shared *area = argument;
    char byte = 1;

    CHECK(setuid(65534) == 0);
    CHECK_CODE(many_reach_write_(area->parent, area->there, &byte, 1), -EPERM);
}

TEST(a_worker_that_has_changed_its_user_is_refused)
{
    shared *area = test_shared(sizeof *area);
    char byte = 0;

    if (geteuid() != 0)
        test_skip("only root can become another user");
    skip_unless_permitted(area, &byte);
    byte = 0;
    CHECK_EQUAL(test_in_child(write_as_nobody, area), 0);
    CHECK_EQUAL(byte, 0);
}
