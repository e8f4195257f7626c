#include "tests/chaos/topology.hpp"

#include <algorithm>
#include <map>

namespace outboxd::chaos {
namespace {

using tests::amqp_table;
using tests::amqp_value;

const std::map<std::string, std::string>& exchange_types() {
  static const std::map<std::string, std::string> all{{"chaos.topic", "topic"},
                                                      {"chaos.fanout", "fanout"},
                                                      {"chaos.direct", "direct"},
                                                      {headers_exchange, "headers"}};
  return all;
}

const std::vector<binding>& fanout_bindings() {
  static const std::vector<binding> all{{"fanout.a", "chaos.fanout", ""},
                                        {"fanout.b", "chaos.fanout", ""}};
  return all;
}

}  // namespace

const std::vector<destination>& destinations() {
  static const std::vector<destination> all{
      {"", "classic.a", "", {"classic.a"}},
      {"", "classic.b", "", {"classic.b"}},
      {"", "quorum", "", {"quorum"}},
      {"", full_queue, "", {full_queue}},
      {"", deleted_queue, "", {deleted_queue}},
      {"", deleted_quorum_queue, "", {deleted_quorum_queue}},
      {"chaos.topic", "order.placed", "", {"topic.orders"}},
      {"chaos.topic", "order.paid", "", {"topic.orders"}},
      {"chaos.topic", "user.renamed", "", {"topic.users"}},
      {"chaos.fanout", "", "", {"fanout.a", "fanout.b"}},
      {"chaos.direct", "d", "", {"direct"}},
      {headers_exchange, "", R"({"kind": "a"})", {"headers"}},
  };
  return all;
}

const std::vector<std::string>& queues() {
  static const std::vector<std::string> all = [] {
    std::set<std::string> names;
    for (const destination& d : destinations()) names.insert(d.queues.begin(), d.queues.end());
    return std::vector<std::string>(names.begin(), names.end());
  }();
  return all;
}

const std::set<std::string>& lossy_queues() {
  static const std::set<std::string> all{deleted_queue, deleted_quorum_queue};
  return all;
}

const std::vector<binding>& removable_bindings() {
  static const std::vector<binding> all{
      {"topic.orders", "chaos.topic", "order.*"},
      {"topic.users", "chaos.topic", "user.#"},
      {"direct", "chaos.direct", "d"},
      {"headers",
       headers_exchange,
       "",
       {{"x-match", amqp_value::text("all")}, {"kind", amqp_value::text("a")}}}};
  return all;
}

const binding& deletable_binding() {
  return *std::ranges::find(removable_bindings(), "chaos.direct", &binding::exchange);
}

void declare_everything(tests::amqp_probe& on, bool replicated) {
  for (const auto& [name, type] : exchange_types()) on.declare_exchange(name, type);
  for (const std::string& queue : queues()) declare_queue(on, queue, replicated);
  for (const auto* bindings : {&removable_bindings(), &fanout_bindings()}) {
    for (const binding& b : *bindings) bind(on, b);
  }
}

void declare_queue(tests::amqp_probe& on, const std::string& name, bool replicated) {
  amqp_table arguments;
  if (replicated || name == "quorum" || name == deleted_quorum_queue)
    arguments["x-queue-type"] = amqp_value::text("quorum");
  if (name == full_queue) {
    arguments["x-max-length"] = amqp_value::int64(20);
    arguments["x-overflow"] = amqp_value::text("reject-publish");
  }
  on.declare_queue(name, {.arguments = arguments});
}

void bind(tests::amqp_probe& on, const binding& what) {
  on.bind(what.queue, what.exchange, what.routing_key, what.arguments);
}

void unbind(tests::amqp_probe& on, const binding& what) {
  on.unbind(what.queue, what.exchange, what.routing_key, what.arguments);
}

void delete_exchange_of(tests::amqp_probe& on, const binding& what) {
  on.delete_exchange(what.exchange);
}

void declare_exchange_of(tests::amqp_probe& on, const binding& what) {
  on.declare_exchange(what.exchange, exchange_types().at(what.exchange));
  bind(on, what);
}

}  // namespace outboxd::chaos
