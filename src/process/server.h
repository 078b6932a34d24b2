/* SPDX-License-Identifier: MIT */
/*
 * server.h - the fork server: a small process that makes others, and ends the daemons of its owner
 *
 * One for each process that asks for one, a child of it, made at the first use. It has one thread, and
 * does nothing but wait: for requests on the line, for the end of its owner, for the ends of those it
 * made or keeps. The protocol stands in server_loop.c.
 *
 * Being a child, it is one of those that wait(2) waits for, and waitpid(-1) may report.
 */
#ifndef MANY_PROCESS_SERVER_H
#define MANY_PROCESS_SERVER_H

#include <stdint.h>
#include <sys/types.h>

#include <many/process.h>

/* Start a process by the fork server: a start method (process/process.h). */
int many_process_start_server_(many_process *process, const many_process_options *options);

/*
 * The line to the server of this process, which is started if it does not run: a socket, the server's
 * own, that this process and what it forks may send requests on. Or a negative code with words.
 */
int many_server_line_(void);

/*
 * In a child of owner, before fn: from its return on the server that line leads to kills the calling
 * process when owner has ended, however it ends. 0; or a negative code: nobody does, and the child must
 * not run. Also when the owner, or the server, dies in the middle of it. No allocation, no lock.
 */
int many_server_keep_(int line, pid_t owner);

/*
 * Who waits for what the server is to do calls this each time around. Once *due_ns has come, and every second
 * from then on, the server is told to go on (SIGCONT), should somebody have stopped it: so no wait of the
 * owner lasts for ever. 0 becomes a second from now. Takes no time, also where another thread just starts a
 * server.
 */
void many_server_rouse_(int64_t *due_ns);

#endif
