// Where rows go: exchanges, queues and bindings of a run, and which queues a row must reach. Each
// routing has exactly one binding, except the fanout: while several bindings are put back one after
// the other, a message would count as routed that reaches only some of its queues.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "tests/support/amqp_probe.hpp"

namespace outboxd::chaos {

struct destination {
  std::string exchange, routing_key;
  std::string headers;              // JSON, or empty
  std::vector<std::string> queues;  // that get what is sent there
};

struct binding {
  std::string queue, exchange, routing_key;
  tests::amqp_table arguments = {};
};

// All of them keep what they have confirmed, except those that the plan deletes.
const std::vector<destination>& destinations();
const std::vector<std::string>& queues();
const std::set<std::string>& lossy_queues();

// Bindings that the plan removes and restores, one at a time.
const std::vector<binding>& removable_bindings();
// The one that is deleted and declared again with its exchange.
const binding& deletable_binding();

inline const std::string deleted_queue = "gone.classic";
inline const std::string deleted_quorum_queue = "gone.quorum";
inline const std::string full_queue = "full";
inline const std::string missing_exchange = "chaos.missing";
inline const std::string headers_exchange = "chaos.headers";

// replicated: all queues are quorum queues, as in a cluster that is to lose none.
void declare_everything(tests::amqp_probe& on, bool replicated);
void declare_queue(tests::amqp_probe& on, const std::string& name, bool replicated);
void bind(tests::amqp_probe& on, const binding& what);
void unbind(tests::amqp_probe& on, const binding& what);
// The exchange of the binding, with the binding.
void delete_exchange_of(tests::amqp_probe& on, const binding& what);
void declare_exchange_of(tests::amqp_probe& on, const binding& what);

}  // namespace outboxd::chaos
