/* SPDX-License-Identifier: MIT */
/*
 * queue_mpi.c - Open MPI between two ranks of one machine: mpirun -n 2 queue_mpi CASE openmpi
 *
 * mpirun starts the two processes, and is told to tie them to nothing: that is done as for all others.
 */
#include "queue.h"

#include <mpi.h>

#include <string.h>

static int mpi_other; /* the other rank */

/* Errors end the program: MPI's own way. */
static void mpi_send(int direction, const void *message, size_t bytes)
{
    MPI_Send(message, (int)bytes, MPI_BYTE, mpi_other, direction, MPI_COMM_WORLD);
}

static void mpi_receive(int direction, void *message, size_t bytes)
{
    MPI_Status status;
    int got = 0;

    MPI_Recv(message, (int)bytes, MPI_BYTE, mpi_other, direction, MPI_COMM_WORLD, &status);
    MPI_Get_count(&status, MPI_BYTE, &got);
    if (got != (int)bytes)
        bench_die("a message of %d bytes came, not of %zu", got, bytes);
}

int main(int argc, char **argv)
{
    static const bench_passage mpi = {.name = "openmpi", .send = mpi_send, .receive = mpi_receive};
    int ranks = 0;
    int rank = 0;

    MPI_Init(&argc, &argv);
    MPI_Comm_size(MPI_COMM_WORLD, &ranks);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    if (argc != 3 || strcmp(argv[2], mpi.name) != 0 || ranks != 2)
        bench_die("usage: mpirun -n 2 %s CASE openmpi", argv[0]);
    mpi_other = 1 - rank;
    bench_queue_process(argv[1], &mpi, rank);
    MPI_Finalize();
    return 0;
}
