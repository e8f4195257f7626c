#include "tests/chaos/director.hpp"

#include <stdexcept>

#include "tests/support/servers.hpp"

namespace outboxd::chaos {
namespace {

using tests::direction;
using tests::shared_postgres;
using tests::shared_rabbitmq;
using tests::stop_mode;

direction any_direction(std::uint64_t luck) {
  constexpr direction all[] = {direction::to_server, direction::to_client, direction::both};
  return all[luck % 3];
}

}  // namespace

director::director(stage& on, replicas& relays, consumers& readers, const timeline& clock,
                   under_way limits, std::function<void(const std::string&)> say)
    : stage_(on),
      relays_(relays),
      readers_(readers),
      clock_(clock),
      limits_(limits),
      say_(std::move(say)) {}

void director::play(moment length, std::uint64_t seed, profile run) {
  std::vector<std::thread> threads;
  for (std::size_t i = 0; i < tracks; ++i) {
    threads.emplace_back(
        [this, faults = plan(static_cast<track>(i), length, seed, run)] { play_track(faults); });
  }
  for (std::thread& each : threads) each.join();
  mend();
}

void director::play_track(const std::vector<fault>& faults) {
  for (const fault& f : faults) {
    if (!clock_.pause_until(f.at)) return;
    incident happened{.kind = std::string(to_string(f.kind)),
                      .from = clock_.now(),
                      .allowance = allowance(f.kind)};
    say_(happened.kind);
    std::string failure;
    try {
      commit(f);
    } catch (const std::exception& error) {
      failure = happened.kind + ": " + error.what();
    }
    happened.to = clock_.now();
    const std::lock_guard lock(mutex_);
    incidents_.push_back(happened);
    if (!failure.empty()) failures_.push_back(failure);
  }
}

void director::commit(const fault& f) {
  switch (track_of(f.kind)) {
    case track::network:
      return on_network(f);
    case track::broker:
      return f.kind >= fault_kind::node_stopped ? on_nodes(f) : on_broker(f);
    case track::database:
      return on_database(f);
    case track::sidecars:
      return on_sidecars(f);
  }
}

// Also what a fault has left behind that failed half-way.
void director::mend() {
  for (const auto& gates : {stage_.broker_gates(), stage_.database_gates()}) {
    for (tests::tcp_gate* gate : gates) gate->pass();
  }
  stage_.start_everything();
  stage_.set_alarm(false);
  stage_.allow_writing(".*");
  stage_.declare_everything();
  readers_.pause(full_queue, false);
  for (std::size_t i = 0; i < relays_.count(); ++i) {
    relays_.thaw(i);
    relays_.start(i);
  }
}

void director::lasting(const fault& f, const std::function<void()>& begin,
                       const std::function<void()>& end) {
  begin();
  clock_.pause(f.lasts);
  end();
}

void director::on_network(const fault& f) {
  const auto gates =
      f.kind < fault_kind::database_refused ? stage_.broker_gates() : stage_.database_gates();
  const auto at_each = [&gates](auto what) {
    return [&gates, what] {
      for (tests::tcp_gate* gate : gates) what(*gate);
    };
  };
  const auto pass = at_each([](auto& gate) { gate.pass(); });
  switch (f.kind) {
    case fault_kind::broker_refused:
    case fault_kind::database_refused:
      return lasting(f, at_each([](auto& gate) { gate.refuse(), gate.cut(); }), pass);
    case fault_kind::broker_cut:
    case fault_kind::database_cut:
      return at_each([](auto& gate) { gate.cut(); })();
    case fault_kind::broker_stalled:
    case fault_kind::database_stalled:
      return lasting(f, at_each([&](auto& gate) { gate.stall(any_direction(f.luck)); }), pass);
    case fault_kind::broker_delayed:
    case fault_kind::database_delayed:
      return lasting(f, at_each([&](auto& gate) {
                       gate.delay(any_direction(f.luck), moment(20 + f.luck / 3 % 500));
                     }),
                     pass);
    case fault_kind::broker_trickles:
    case fault_kind::database_trickles:
      return lasting(f, at_each([&](auto& gate) {
                       gate.trickle(any_direction(f.luck), 500 + f.luck / 3 % 20'000);
                     }),
                     pass);
    default:
      return at_each([](auto& gate) { gate.reset(); })();
  }
}

// A node that the seed chooses. The next fault comes when it serves again.
void director::on_nodes(const fault& f) {
  tests::rabbitmq_cluster& brokers = *stage_.cluster();
  const int node = static_cast<int>(f.luck % tests::rabbitmq_cluster::nodes);
  if (f.kind == fault_kind::leaders_moved) return brokers.move_leaders(node);
  const auto begin = [&] {
    switch (f.kind) {
      case fault_kind::node_stopped:
        return brokers.stop(node);
      case fault_kind::node_killed:
        return brokers.kill(node);
      case fault_kind::node_drained:
        return brokers.drain(node);
      default:  // node_cut_off
        return brokers.isolate(node);
    }
  };
  lasting(f, begin, [&] { brokers.mend(node); });
}

void director::on_broker(const fault& f) {
  const binding& route = removable_bindings()[f.luck % removable_bindings().size()];
  const auto declare = [&](const std::function<void(tests::amqp_probe&)>& what) {
    tests::amqp_probe broker = stage_.probe();
    what(broker);
    stage_.sync_declarations();
  };
  switch (f.kind) {
    case fault_kind::broker_restarted:
      return lasting(
          f, [] { shared_rabbitmq().stop(); }, [] { shared_rabbitmq().start(); });
    case fault_kind::broker_killed:
      return lasting(
          f, [] { shared_rabbitmq().kill(); }, [] { shared_rabbitmq().start(); });
    case fault_kind::memory_alarm:
      return lasting(
          f, [&] { stage_.set_alarm(true); }, [&] { stage_.set_alarm(false); });
    case fault_kind::connections_closed:
      return stage_.close_connections();
    case fault_kind::queue_deleted:
    case fault_kind::quorum_queue_deleted: {
      const std::string& queue =
          f.kind == fault_kind::queue_deleted ? deleted_queue : deleted_quorum_queue;
      return lasting(
          f, [&] { stage_.probe().delete_queue(queue); },
          [&] { declare([&](auto& broker) { declare_queue(broker, queue, false); }); });
    }
    case fault_kind::binding_removed:
      return lasting(
          f, [&] { declare([&](auto& broker) { unbind(broker, route); }); },
          [&] { declare([&](auto& broker) { bind(broker, route); }); });
    case fault_kind::exchange_deleted: {
      const binding& direct = deletable_binding();
      return lasting(
          f, [&] { declare([&](auto& broker) { delete_exchange_of(broker, direct); }); },
          [&] { declare([&](auto& broker) { declare_exchange_of(broker, direct); }); });
    }
    case fault_kind::permission_removed:
      return lasting(
          f,
          [&] {
            stage_.allow_writing(f.luck % 2 == 0 ? "^$" : "^(?!chaos\\.topic$)");
            if (f.luck % 4 < 2) stage_.close_connections();  // which forgets what it had allowed
          },
          [&] { stage_.allow_writing(".*"); });
    default:  // queue_full
      return lasting(
          f, [&] { readers_.pause(full_queue, true); }, [&] { readers_.pause(full_queue, false); });
  }
}

void director::on_database(const fault& f) {
  const auto start = [] { shared_postgres().start(); };
  switch (f.kind) {
    case fault_kind::database_restarted:
      return lasting(
          f, [] { shared_postgres().stop(); }, start);
    case fault_kind::database_stopped_immediately:
      return lasting(
          f, [] { shared_postgres().stop(stop_mode::immediate); }, start);
    case fault_kind::database_killed:
      return lasting(
          f, [] { shared_postgres().kill(); }, start);
    case fault_kind::backends_terminated:
      return stage_.terminate_backends();
    case fault_kind::database_promoted:
      return lasting(
          f, [&] { stage_.standby()->fail_over(); }, [&] { stage_.standby()->rejoin(); });
    default: {  // table_locked
      pqxx::connection connection(stage_.database_url());
      pqxx::work tx(connection);
      return lasting(
          f, [&] { tx.exec("LOCK TABLE outbox.messages IN ACCESS EXCLUSIVE MODE"); },
          [&] { tx.abort(); });
    }
  }
}

void director::on_sidecars(const fault& f) {
  const std::size_t which = f.luck % 3 != 0 ? relays_.leader() : f.luck / 3 % relays_.count();
  switch (f.kind) {
    case fault_kind::sidecar_killed:
      return lasting(
          f, [&] { relays_.kill(which); }, [&] { relays_.start(which); });
    case fault_kind::sidecar_frozen:
      return lasting(
          f, [&] { relays_.freeze(which); }, [&] { relays_.thaw(which); });
    case fault_kind::sidecars_replaced_in_turn:
      for (std::size_t i = 0; i < relays_.count(); ++i) {
        relays_.stop(i);
        relays_.start(i);
        clock_.pause(f.lasts);
      }
      return;
    default:  // sidecar_replaced
      return lasting(
          f, [&] { relays_.stop(which); }, [&] { relays_.start(which); });
  }
}

// A crash of the broker may cost what consumers had not acked; one of the database the marks of its
// last moments. While something is forbidden or missing, channels are closed over it again and
// again.
std::size_t director::allowance(fault_kind kind) const {
  constexpr std::size_t marks_of_last_second = 1'000;
  const std::size_t unacked = queues().size() * consumers::prefetch;
  switch (kind) {
    case fault_kind::memory_alarm:
    case fault_kind::queue_full:
    case fault_kind::binding_removed:
      return 0;
    case fault_kind::broker_restarted:
    case fault_kind::broker_killed:
    case fault_kind::node_stopped:
    case fault_kind::node_killed:
    case fault_kind::node_drained:
    case fault_kind::node_cut_off:
    case fault_kind::leaders_moved:
      return 2 * limits_.in_flight + unacked;
    case fault_kind::sidecars_replaced_in_turn:  // cleanly, unless a server is away
      return relays_.count() * (limits_.held + limits_.in_flight);
    case fault_kind::exchange_deleted:
      return 4 * limits_.in_flight;
    case fault_kind::permission_removed:
      return 20 * limits_.in_flight;
    case fault_kind::database_stopped_immediately:
    case fault_kind::database_killed:
    case fault_kind::database_promoted:
      return limits_.held + limits_.in_flight + marks_of_last_second;
    default:
      return track_of(kind) == track::network && kind < fault_kind::database_refused
                 ? 2 * limits_.in_flight
                 : limits_.held + limits_.in_flight;
  }
}

}  // namespace outboxd::chaos
