/* SPDX-License-Identifier: MIT */
/* test_screen.c - what a bar writes to a terminal, byte by byte */
#include "test.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bar/bar.h"
#include "base/text.h"
#include "os/clock.h"

#define ERASE "\x1b[K"

/* So short that each addition that looks at the clock draws. */
#define AT_ONCE 1e-9

static many_bar *bar;
static char got[1 << 16];

/* Each write is one packet: the first end gets what is written to the second. */
static int packets[2];

static void open_packets(void)
{
    CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, packets) == 0);
}

static void close_packets(void)
{
    close(packets[0]);
    close(packets[1]);
}

/* The next write's bytes as a string, or NULL if there is none. */
static const char *next_packet(void)
{
    ssize_t bytes = recv(packets[0], got, sizeof got - 1, MSG_DONTWAIT);

    if (bytes < 0)
        return NULL;
    got[bytes] = '\0';
    return got;
}

static int ends_with(const char *text, const char *end)
{
    size_t bytes = strlen(text), wanted = strlen(end);

    return bytes >= wanted && strcmp(text + bytes - wanted, end) == 0;
}

TEST(each_redraw_is_one_write_of_one_line)
{
    int frames = 0;

    open_packets();
    CHECK_CODE(many_bar_open(&bar, .total = 50, .desc = "files", .unit = "file", .fd = packets[1],
                             .terminal = 1, .columns = 60, .interval_s = AT_ONCE),
               0);
    for (int i = 0; i < 50; i++)
        many_bar_add(bar, 1);
    for (const char *frame; (frame = next_packet()) != NULL; frames++) {
        CHECK_EQUAL(frame[0], '\r');
        CHECK(ends_with(frame, "file/s]" ERASE) || ends_with(frame, "s/file]" ERASE));
        CHECK(strncmp(frame + 1, "files: ", 7) == 0);
        CHECK(strpbrk(frame + 1, "\r\n") == NULL);
        CHECK_EQUAL(many_text_columns_(frame + 1) - strlen(ERASE), 59);
    }
    CHECK_EQUAL(frames, 51);
    many_bar_close(bar);
    CHECK(next_packet() != NULL);
    CHECK(ends_with(got, "file/s]" ERASE "\n"));
    CHECK_CONTAINS(got, "\rfiles: 100%|");
    CHECK_CONTAINS(got, "| 50/50 [0");
    CHECK(next_packet() == NULL);
    close_packets();
}

TEST(redraws_keep_their_distance)
{
    open_packets();
    CHECK_CODE(
        many_bar_open(&bar, .total = 1000000, .fd = packets[1], .terminal = 1, .interval_s = 3600),
        0);
    CHECK(next_packet() != NULL);
    for (int i = 0; i < 100000; i++)
        many_bar_add(bar, 1);
    many_bar_draw(bar);
    CHECK(next_packet() == NULL);
    many_bar_close(bar);
    CHECK(next_packet() != NULL);
    CHECK_CONTAINS(got, " 10%|");
    close_packets();
}

TEST(what_looks_the_same_is_not_written_again)
{
    open_packets();
    CHECK_CODE(
        many_bar_open(&bar, .total = 10, .fd = packets[1], .terminal = 1, .interval_s = AT_ONCE),
        0);
    CHECK(next_packet() != NULL);
    CHECK_CONTAINS(got, "<?, ?it/s]");
    many_bar_draw(bar);
    many_bar_draw(bar);
    if (next_packet() != NULL) /* a second is over since then, on a very slow machine */
        CHECK(strstr(got, "[00:00") == NULL);
    many_bar_close(bar);
    close_packets();
}

TEST(a_hidden_bar_is_wiped_and_comes_back)
{
    int64_t hidden;

    open_packets();
    CHECK_CODE(many_bar_open(&bar, .total = 10, .fd = packets[1], .terminal = 1, .interval_s = 50),
               0);
    CHECK(next_packet() != NULL);
    many_bar_hide(bar);
    hidden = many_clock_ns_();
    CHECK(next_packet() != NULL);
    CHECK_STRING(got, "\r" ERASE);
    many_bar_hide(bar);
    CHECK(next_packet() == NULL);
    CHECK(many_bar_due_ns_(bar) <= hidden + 50 * MANY_MILLISECOND_NS);
    UNTIL((many_bar_draw(bar), next_packet()) != NULL);
    CHECK_CONTAINS(got, "| 0/10 [");
    CHECK(many_bar_due_ns_(bar) > many_clock_ns_() + MANY_SECOND_NS);
    many_bar_close(bar);
    CHECK(next_packet() != NULL);
    close_packets();
}

TEST(a_bar_that_does_not_stay_is_wiped_at_the_end)
{
    open_packets();
    CHECK_CODE(many_bar_open(&bar, .total = 3, .fd = packets[1], .terminal = 1, .leave = -1,
                             .interval_s = 3600),
               0);
    CHECK(next_packet() != NULL);
    many_bar_add(bar, 3);
    many_bar_close(bar);
    CHECK(next_packet() != NULL);
    CHECK_STRING(got, "\r" ERASE);
    CHECK(next_packet() == NULL);
    CHECK_CODE(many_bar_open(&bar, .total = 3, .fd = packets[1], .terminal = 1, .leave = -1), 0);
    many_bar_hide(bar);
    CHECK(next_packet() != NULL && next_packet() != NULL);
    many_bar_close(bar);
    CHECK(next_packet() == NULL); /* nothing there to wipe */
    close_packets();
}

TEST(words_cannot_break_the_line)
{
    open_packets();
    CHECK_CODE(many_bar_open(&bar, .total = 3, .desc = "a\nb\r\x1b[2J\xFF日本: ", .unit = "f\tg\n",
                             .fd = packets[1], .terminal = 1, .columns = 200),
               0);
    CHECK(next_packet() != NULL);
    CHECK(strncmp(got, "\ra b ?[2J?日本:   0%|", strlen("\ra b ?[2J?日本:   0%|")) == 0);
    CHECK_CONTAINS(got, "?f g /s]" ERASE);
    CHECK_EQUAL(many_text_columns_(got + 1) - strlen(ERASE), 199);
    many_bar_close(bar);
    close_packets();
}

TEST(the_environment_or_the_option_chooses_what_bars_are_made_of)
{
    open_packets();
    setenv("LC_ALL", "C.UTF-8", 1);
    for (int ascii = 0; ascii <= 1; ascii++) {
        CHECK_CODE(many_bar_open(&bar, .total = 2, .fd = packets[1], .terminal = 1, .ascii = ascii,
                                 .interval_s = 3600),
                   0);
        many_bar_add(bar, 1);
        many_bar_close(bar);
        CHECK(next_packet() != NULL && next_packet() != NULL);
        CHECK_CONTAINS(got, ascii ? " 50%|##" : " 50%|██");
    }
    setenv("LC_ALL", "C", 1);
    CHECK_CODE(many_bar_open(&bar, .total = 2, .fd = packets[1], .terminal = 1, .interval_s = 3600),
               0);
    many_bar_add(bar, 1);
    many_bar_close(bar);
    CHECK(next_packet() != NULL && next_packet() != NULL);
    CHECK_CONTAINS(got, " 50%|##");
    close_packets();
}

/* ---- a real terminal ---- */

static int master, slave;
static size_t held; /* bytes in got of a piece whose end has not come yet */

static void resize(unsigned short columns)
{
    struct winsize size = {.ws_row = 24, .ws_col = columns};

    CHECK(ioctl(master, TIOCSWINSZ, &size) == 0);
}

static void open_terminal(void)
{
    master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    CHECK(master >= 0 && grantpt(master) == 0 && unlockpt(master) == 0);
    slave = open(ptsname(master), O_RDWR | O_NOCTTY | O_CLOEXEC);
    CHECK(slave >= 0);
}

static void close_terminal(void)
{
    close(slave);
    close(master);
}

/* One piece between two "\r": a whole line that ends in ERASE, or the "\n" at the end. Its columns.
 */
static size_t check_piece(char *piece)
{
    if (strcmp(piece, "\n") == 0)
        return 0;
    CHECK(ends_with(piece, ERASE));
    piece[strlen(piece) - strlen(ERASE)] = '\0';
    CHECK(strpbrk(piece, "\n\x1b") == NULL);
    return many_text_columns_(piece);
}

/* Take what is on its way to the screen; the columns of the widest line. all: nothing more comes.
 */
static size_t take_lines(int all)
{
    size_t widest = 0;
    ssize_t bytes;

    CHECK(fcntl(master, F_SETFL, O_NONBLOCK) == 0);
    while ((bytes = read(master, got + held, sizeof got - 1 - held)) > 0 || (all && held > 0)) {
        char *piece = got, *next;

        held += bytes > 0 ? (size_t)bytes : 0;
        got[held] = '\0';
        CHECK_EQUAL(got[0], '\r');
        while ((next = strchr(piece + 1, '\r')) != NULL || (bytes <= 0 && *piece != '\0')) {
            size_t columns;

            if (next != NULL)
                *next = '\0';
            columns = check_piece(piece + 1);
            widest = columns > widest ? columns : widest;
            if (next == NULL) {
                held = 0;
                return widest;
            }
            *next = '\r';
            piece = next;
        }
        held -= (size_t)(piece - got);
        memmove(got, piece, held);
    }
    return widest;
}

TEST(a_resize_is_followed_at_the_next_redraw)
{
    static const unsigned short widths[] = {100, 40, 20, 9, 3, 1, 200, 80, 500};

    open_terminal();
    resize(120);
    CHECK_CODE(many_bar_open(&bar, .total = 10000, .desc = "files", .unit = "file", .fd = slave,
                             .interval_s = AT_ONCE),
               0);
    CHECK_EQUAL(take_lines(1), 119);
    for (size_t i = 0; i < sizeof widths / sizeof widths[0]; i++) {
        size_t widest;

        resize(widths[i]);
        for (int n = 0; n < 5; n++)
            many_bar_add(bar, 100);
        widest = take_lines(1);
        CHECK(widest < widths[i]);
        if (widths[i] >= 80)
            CHECK_EQUAL(widest, widths[i] - 1);
    }
    resize(0); /* a terminal that does not say */
    many_bar_add(bar, 1);
    CHECK_EQUAL(take_lines(1), 79);
    many_bar_close(bar);
    CHECK_EQUAL(take_lines(1), 79);
    close_terminal();
}

static void *add_draw_and_hide(void *argument)
{
    const uint64_t *items = argument;

    for (uint64_t i = 1; i <= *items; i++) {
        many_bar_add(bar, 1);
        if (i % 1000 == 0)
            many_bar_hide(bar);
        if (i % 100 == 0)
            many_bar_draw(bar);
    }
    return NULL;
}

TEST(threads_that_add_draw_and_hide_never_tear_a_line)
{
    enum { THREADS = 4 };
    uint64_t items = 40000 / (uint64_t)test_slowness() + 1000;
    pthread_t threads[THREADS];
    unsigned short width = 60;

    open_terminal();
    resize(90);
    CHECK_CODE(many_bar_open(&bar, .total = THREADS * items, .fd = slave, .interval_s = AT_ONCE),
               0);
    for (int i = 0; i < THREADS; i++)
        CHECK(pthread_create(&threads[i], NULL, add_draw_and_hide, &items) == 0);
    UNTIL((resize(width), width = (unsigned short)(150 - width), CHECK(take_lines(0) < 90),
           many_bar_count(bar)) == THREADS * items);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    many_bar_close(bar);
    CHECK(take_lines(1) < 90);
    close_terminal();
}

TEST(a_terminal_that_nobody_reads_stops_neither_adding_nor_closing)
{
    double begin = test_seconds();

    open_terminal();
    resize(200);
    CHECK_CODE(many_bar_open(&bar, .total = 20000, .fd = slave, .interval_s = AT_ONCE), 0);
    for (int i = 0; i < 20000; i++)
        many_bar_add(bar, 1);
    many_bar_hide(bar);
    CHECK_EQUAL(many_bar_count(bar), 20000);
    many_bar_close(bar);
    CHECK(test_seconds() - begin < 60.0 * test_slowness());
    close_terminal();
}

TEST(a_terminal_that_hangs_up_is_no_error)
{
    open_terminal();
    resize(80);
    CHECK_CODE(many_bar_open(&bar, .total = 100, .fd = slave, .interval_s = AT_ONCE), 0);
    close(master);
    for (int i = 0; i < 100; i++)
        many_bar_add(bar, 1);
    many_bar_hide(bar);
    CHECK_EQUAL(many_bar_count(bar), 100);
    many_bar_close(bar);
    close(slave);
}
