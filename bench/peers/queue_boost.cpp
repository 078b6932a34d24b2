// SPDX-License-Identifier: MIT
//
// queue_boost.cpp - Boost.Interprocess's message_queue: a heap of fixed places behind a mutex
//
#include "queue.h"

#include <boost/interprocess/ipc/message_queue.hpp>

#include <memory>
#include <string>
#include <unistd.h>

namespace ipc = boost::interprocess;

static std::unique_ptr<ipc::message_queue> boost_queues[2];

// As much room as many's queue would take: 1 MiB, and sixteen of the large messages.
static size_t boost_places(size_t bytes)
{
    size_t places = (size_t(1) << 20) / bytes;

    return places < 16 ? 16 : places;
}

// The name is gone at once; both processes have the memory.
static void boost_open(size_t bytes)
{
    for (int i = 0; i < 2; i++) {
        std::string name = "bench_" + std::to_string(getpid()) + "_" + std::to_string(i);

        try {
            boost_queues[i].reset(
                new ipc::message_queue(ipc::create_only, name.c_str(), boost_places(bytes), bytes));
        } catch (const ipc::interprocess_exception &failure) {
            bench_die("message_queue: %s", failure.what());
        }
        ipc::message_queue::remove(name.c_str());
    }
}

static void boost_send(int direction, const void *message, size_t bytes)
{
    boost_queues[direction]->send(message, bytes, 0);
}

static void boost_receive(int direction, void *message, size_t bytes)
{
    ipc::message_queue::size_type got = 0;
    unsigned priority = 0;

    boost_queues[direction]->receive(message, bytes, got, priority);
    if (got != bytes)
        bench_die("a message of %zu bytes came, not of %zu", size_t(got), bytes);
}

int main(int argc, char **argv)
{
    bench_passage boost = {};

    boost.name = "boost-mq";
    boost.open = boost_open;
    boost.send = boost_send;
    boost.receive = boost_receive;
    return bench_queue_main(argc, argv, &boost, 1);
}
