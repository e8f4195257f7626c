// Three brokers on loopback, one cluster, as rabbitmq_server is one broker: gone when the process
// ends. Nodes have the numbers 0, 1, 2. A node that is alone pauses (pause_minority). Everything
// throws when a node does not obey. One thread at a time.
#pragma once

#include <array>
#include <string>
#include <vector>

namespace outboxd::tests {

class rabbitmq_cluster {
 public:
  static constexpr int nodes = 3;

  rabbitmq_cluster();

  // What OUTBOX_AMQP_URL wants: every node, of vhost /.
  std::string urls() const;
  const std::string& url(int node) const { return urls_.at(static_cast<std::size_t>(node)); }
  // As its peers call it: "outboxd@localhost".
  std::string name(int node) const;
  std::string ctl(int node, const std::vector<std::string>& arguments) const;
  // What was declared just now survives a kill -9 from here on; else RabbitMQ 3.10 may forget it.
  void sync_declarations() const;

  // A durable quorum queue with a member on every node, which a kill -9 of all of them leaves.
  void declare_quorum_queue(const std::string& queue) const;
  // Until the queue has a running member on every node. Before that, two that are left when one is
  // stopped are no majority, and RabbitMQ nacks everything for a minute.
  void await_members(const std::string& queue) const;
  // Does the queue's member on this node run, and know all the others?
  bool has_member(const std::string& queue, int node) const;
  // The node that leads the queue, asked of a node that is up; -1: none does.
  int leader_of(const std::string& queue, int asked) const;
  // Says so in the cluster's tables, whoever leads in fact: as in the moment after an election. The
  // leader puts it right within 5 s.
  void pretend_leader(const std::string& queue, int asked, int node) const;
  // Lets that node lead the queue.
  void move_leader(const std::string& queue, int to) const;
  // The same for all queues, as far as they can; not waited for.
  void move_leaders(int to) const;

  void stop(int node);
  void kill(int node);
  void start(int node);  // until it serves again

  // What an operator does before an upgrade: leaders move away, listeners close.
  void drain(int node) const;
  void revive(int node) const;

  // Cuts the node off from both others, which stay together.
  void isolate(int node) const;
  void heal(int node) const;
  bool serves(int node) const;
  // Whatever was done to it is undone; returns when it serves.
  void mend(int node);

  // Its own, as servers.sh knows it.
  std::string directory(int node) const;

 private:
  std::string eval(int node, const std::string& erlang) const;

  std::array<std::string, nodes> urls_;
};

}  // namespace outboxd::tests
