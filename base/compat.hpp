// What the systems we build on have under different names. Only what differs; libpqxx stands behind
// a wall, and so does its part: outbox/pqxx_compat.hpp.
#pragma once

// rabbitmq-c: Debian 12 and Ubuntu 24.04 have 0.11. Debian 13 has 0.15, where the old names warn.
#if __has_include(<rabbitmq-c/amqp.h>)
#include <rabbitmq-c/amqp.h>
#include <rabbitmq-c/framing.h>
#include <rabbitmq-c/tcp_socket.h>
#else
#include <amqp.h>
#include <amqp_framing.h>
#include <amqp_tcp_socket.h>
#endif
