#include "tests/support/rabbitmq_cluster.hpp"

#include <stdexcept>

#include "tests/support/amqp_probe.hpp"
#include "tests/support/child_process.hpp"
#include "tests/support/eventually.hpp"
#include "tests/support/scratch_directory.hpp"

namespace outboxd::tests {
namespace {

using namespace std::chrono_literals;

std::string servers_sh(const std::string& verb, const std::string& directory,
                       const std::vector<std::string>& arguments = {}) {
  command what{{servers_script(), verb, directory}};
  what.argv.insert(what.argv.end(), arguments.begin(), arguments.end());
  std::string out = run(what);
  while (!out.empty() && out.back() == '\n') out.pop_back();
  return out;
}

}  // namespace

rabbitmq_cluster::rabbitmq_cluster() {
  for (int node = 0; node < nodes; ++node) {
    urls_.at(static_cast<std::size_t>(node)) =
        servers_sh(node == 0 ? "rabbitmq-start" : "rabbitmq-join", directory(node));
  }
}

std::string rabbitmq_cluster::directory(int node) const {
  const auto& stack = scratch_directory();
  return node == 0 ? stack.string() : (stack / ("n" + std::to_string(node))).string();
}

std::string rabbitmq_cluster::urls() const {
  std::string all;
  for (const std::string& url : urls_) all += (all.empty() ? "" : ",") + url;
  return all;
}

std::string rabbitmq_cluster::name(int node) const {
  return node == 0 ? "outboxd@localhost" : "outboxd-n" + std::to_string(node) + "@localhost";
}

std::string rabbitmq_cluster::ctl(int node, const std::vector<std::string>& arguments) const {
  return servers_sh("rabbitmq-ctl", directory(node), arguments);
}

std::string rabbitmq_cluster::eval(int node, const std::string& erlang) const {
  return ctl(node, {"eval", erlang});
}

void rabbitmq_cluster::declare_quorum_queue(const std::string& queue) const {
  amqp_probe(url(0)).declare_queue(queue,
                                   {.arguments = {{"x-queue-type", amqp_value::text("quorum")}}});
  await_members(queue);  // the answer to the declaration comes before all of them run
  sync_declarations();
}

void rabbitmq_cluster::sync_declarations() const {
  for (int node = 0; node < nodes; ++node)
    eval(node, "mnesia:sync_log(), [dets:sync(T) || T <- dets:all()].");
}

namespace {

std::string record_of(const std::string& queue) {
  return "rabbit_misc:r(<<\"/\">>, queue, <<\"" + queue + "\">>)";
}

}  // namespace

void rabbitmq_cluster::await_members(const std::string& queue) const {
  for (int node = 0; node < nodes; ++node) {
    if (!eventually(60s, [&] { return has_member(queue, node); }))
      throw std::runtime_error(name(node) + " has no running member of " + queue);
  }
}

bool rabbitmq_cluster::has_member(const std::string& queue, int node) const {
  const std::string answer =
      eval(node, "case rabbit_amqqueue:lookup(" + record_of(queue) +
                     ") of {ok, Q} -> {Name, _} = amqqueue:get_pid(Q),"
                     " case {whereis(Name), ra:members({Name, node()})} of"
                     " {Pid, {ok, All, _}} when is_pid(Pid), length(All) =:= " +
                     std::to_string(nodes) + " -> runs; _ -> missing end; _ -> unknown end.");
  return answer.starts_with("runs");
}

int rabbitmq_cluster::leader_of(const std::string& queue, int asked) const {
  const std::string leader =
      eval(asked, "{ok, Q} = rabbit_amqqueue:lookup(" + record_of(queue) +
                      "), {_, Node} = amqqueue:get_pid(Q), io:format(\"~s\", [Node]).");
  for (int node = 0; node < nodes; ++node) {
    if (leader.starts_with(name(node))) return node;
  }
  return -1;
}

void rabbitmq_cluster::pretend_leader(const std::string& queue, int asked, int node) const {
  eval(asked, "rabbit_misc:execute_mnesia_transaction(fun() -> rabbit_amqqueue:update(" +
                  record_of(queue) +
                  ", fun(Q) -> {Name, _} = amqqueue:get_pid(Q), amqqueue:set_pid(Q, {Name, '" +
                  name(node) + "'}) end) end).");
}

void rabbitmq_cluster::move_leader(const std::string& queue, int to) const {
  eval(to, "{ok, Q} = rabbit_amqqueue:lookup(" + record_of(queue) +
               "), {Name, _} = amqqueue:get_pid(Q),"
               " ra:transfer_leadership(amqqueue:get_pid(Q), {Name, node()}).");
  if (!eventually(30s, [&] { return leader_of(queue, to) == to; }))
    throw std::runtime_error(name(to) + " does not come to lead " + queue);
}

void rabbitmq_cluster::move_leaders(int to) const {
  eval(to,
       "[begin {Name, _} = amqqueue:get_pid(Q),"
       " ra:transfer_leadership(amqqueue:get_pid(Q), {Name, node()}) end"
       " || Q <- rabbit_amqqueue:list(), amqqueue:is_quorum(Q)].");
}

void rabbitmq_cluster::stop(int node) {
  servers_sh("rabbitmq-stop", directory(node));
}

void rabbitmq_cluster::kill(int node) {
  servers_sh("rabbitmq-kill", directory(node));
}

void rabbitmq_cluster::start(int node) {
  servers_sh("rabbitmq-start", directory(node));
}

void rabbitmq_cluster::drain(int node) const {
  eval(node, "rabbit_maintenance:drain().");
}

void rabbitmq_cluster::revive(int node) const {
  eval(node, "rabbit_maintenance:revive().");
}

// Nodes that know each other by different cookies do not connect. (A firewall would do the same,
// and need rights that a test has not.)
void rabbitmq_cluster::isolate(int node) const {
  std::string cut;
  for (int other = 0; other < nodes; ++other) {
    if (other == node) continue;
    cut += "erlang:set_cookie('" + name(other) + "', cut), ";
  }
  for (int other = 0; other < nodes; ++other) {
    if (other != node) cut += "erlang:disconnect_node('" + name(other) + "'), ";
  }
  eval(node, cut + "ok.");
}

void rabbitmq_cluster::heal(int node) const {
  std::string mend;
  for (int other = 0; other < nodes; ++other) {
    if (other != node) mend += "erlang:set_cookie('" + name(other) + "', erlang:get_cookie()), ";
  }
  eval(node, mend + "ok.");
}

void rabbitmq_cluster::mend(int node) {
  start(node);
  heal(node);
  revive(node);
  if (!eventually(60s, [&] { return serves(node); }))
    throw std::runtime_error(name(node) + " does not serve again");
}

bool rabbitmq_cluster::serves(int node) const {
  try {
    amqp_probe probe(url(node));
    return true;
  } catch (const std::exception&) {
    return false;
  }
}

}  // namespace outboxd::tests
