#include "tests/chaos/stage.hpp"

#include <fstream>
#include <sstream>

#include "tests/support/scratch_directory.hpp"
#include "tests/support/servers.hpp"

namespace outboxd::chaos {
namespace {

using tests::shared_postgres;
using tests::shared_rabbitmq;

// The sidecars' login, whose permissions come and go.
constexpr const char* user = "relay";

std::string replaced(std::string text, const std::string& what, const std::string& by) {
  return text.replace(text.find(what), what.size(), by);
}

int port_in(const std::string& url) {
  return std::stoi(url.substr(url.rfind(':') + 1));
}

std::unique_ptr<tests::rabbitmq_cluster> three_brokers(profile run) {
  if (run == profile::single) return nullptr;
  return std::make_unique<tests::rabbitmq_cluster>();
}

}  // namespace

stage::stage(profile run) : cluster_(three_brokers(run)), database_("outbox") {
  database_url_ = database_.url();
  std::vector<int> database_ports{shared_postgres().port()};
  if (cluster_) {
    standby_ = std::make_unique<tests::postgres_standby>(true);
    database_ports.push_back(standby_->port());
    const std::string name = database_url_.substr(database_url_.rfind('/') + 1);
    database_url_ = standby_->uri_of_both(name) + "?target_session_attrs=read-write";
    for (int node = 0; node < nodes(); ++node) amqp_urls_.push_back(cluster_->url(node));
  } else {
    amqp_urls_.push_back(shared_rabbitmq().url("/"));
  }
  limit_messages(brokers_limit);
  ctl({"add_user", user, user});
  allow_writing(".*");
  declare_everything();
  sync_declarations();
  build_gates(database_ports);
}

void stage::build_gates(const std::vector<int>& database_ports) {
  gated_database_url_ = database_url_;
  for (const int server : database_ports) {
    const auto& gate = database_gates_.emplace_back(std::make_unique<tests::tcp_gate>(server));
    gated_database_url_ = replaced(gated_database_url_, ":" + std::to_string(server),
                                   ":" + std::to_string(gate->port()));
  }
  for (const std::string& url : amqp_urls_) {
    const auto& gate = broker_gates_.emplace_back(std::make_unique<tests::tcp_gate>(port_in(url)));
    gated_amqp_url_ += (gated_amqp_url_.empty() ? "" : ",") + std::string("amqp://") + user + ":" +
                       user + "@127.0.0.1:" + std::to_string(gate->port()) + "/%2f";
  }
}

std::vector<tests::tcp_gate*> stage::all(const gates& of) {
  std::vector<tests::tcp_gate*> each;
  for (const auto& gate : of) each.push_back(gate.get());
  return each;
}

std::string stage::ctl(int node, const std::vector<std::string>& arguments) const {
  return cluster_ ? cluster_->ctl(node, arguments) : shared_rabbitmq().ctl(arguments);
}

// Now for connections to come, and in a file for the broker's next life.
void stage::limit_messages(std::size_t bytes) {
  for (int node = 0; node < nodes(); ++node) {
    const auto home = cluster_ ? cluster_->directory(node) : tests::scratch_directory().string();
    std::ofstream(home + "/rabbitmq/conf.d/10-chaos.conf")
        << "max_message_size = " << bytes << "\n";
    ctl(node, {"eval", tests::message_size_limit(bytes)});
  }
}

void stage::start_everything() {
  if (!cluster_) {
    shared_postgres().start();
    shared_rabbitmq().start();
    return;
  }
  standby_->rejoin();
  for (int node = 0; node < nodes(); ++node) cluster_->mend(node);
}

void stage::declare_everything() {
  tests::amqp_probe declaring = probe();
  chaos::declare_everything(declaring, cluster_ != nullptr);
}

tests::amqp_probe stage::probe() const {
  for (std::size_t i = 0; i + 1 < amqp_urls_.size(); ++i) {
    try {
      return tests::amqp_probe(amqp_urls_[i]);
    } catch (const tests::amqp_error&) {
      // The next one may answer.
    }
  }
  return tests::amqp_probe(amqp_urls_.back());
}

void stage::sync_declarations() {
  for (int node = 0; node < nodes(); ++node)
    ctl(node, {"eval", "mnesia:sync_log(), [dets:sync(T) || T <- dets:all()]."});
}

void stage::set_alarm(bool on) {
  ctl({"set_vm_memory_high_watermark", on ? "0.00000001" : "0.4"});
}

void stage::allow_writing(const std::string& pattern) {
  ctl({"set_permissions", "-p", "/", user, ".*", pattern, ".*"});
}

void stage::close_connections() {
  ctl({"close_all_user_connections", user, "chaos"});
}

std::size_t stage::queued() const {
  std::istringstream counts(ctl({"list_queues", "-p", "/", "messages", "--no-table-headers"}));
  std::size_t all = 0;
  for (std::size_t n = 0; counts >> n;) all += n;
  return all;
}

std::string stage::value(const std::string& sql) const {
  pqxx::connection connection(database_url_);
  const auto rows = pqxx::nontransaction(connection).exec(sql);
  return rows.empty() || rows[0][0].is_null() ? "" : rows[0][0].c_str();
}

void stage::terminate_backends() {
  value(
      "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
      "WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()");
}

}  // namespace outboxd::chaos
