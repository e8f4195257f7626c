#include "tests/chaos/replicas.hpp"

#include <unistd.h>

#include <csignal>
#include <fstream>
#include <sstream>

namespace outboxd::chaos {
namespace {

using namespace std::chrono_literals;

std::size_t peak_resident_bytes(pid_t pid) {
  std::ifstream status("/proc/" + std::to_string(pid) + "/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("VmHWM:")) return std::stoul(line.substr(6)) * 1024;
  }
  return 0;
}

double cpu_seconds(pid_t pid) {
  std::ifstream stat("/proc/" + std::to_string(pid) + "/stat");
  std::string all;
  std::getline(stat, all);
  const auto after_name = all.rfind(')');
  if (after_name == std::string::npos) return 0;
  std::istringstream fields(all.substr(after_name + 1));
  std::string skipped;
  constexpr int before_user_time = 11;
  for (int i = 0; i < before_user_time; ++i) fields >> skipped;
  double user = 0, system = 0;
  fields >> user >> system;
  return (user + system) / static_cast<double>(::sysconf(_SC_CLK_TCK));
}

std::map<std::string, double> counters(const std::string& metrics) {
  std::map<std::string, double> sums;
  std::istringstream lines(metrics);
  for (std::string line; std::getline(lines, line);) {
    const std::string name = line.substr(0, line.find_first_of(" {"));
    if (!name.starts_with("outbox_") || !name.ends_with("_total")) continue;
    sums[name] += std::stod(line.substr(line.rfind(' ')));
  }
  return sums;
}

void add(usage& to, const usage& more) {
  to.peak_resident_bytes = std::max(to.peak_resident_bytes, more.peak_resident_bytes);
  to.cpu_seconds += more.cpu_seconds;
  for (const auto& [name, value] : more.counters) to.counters[name] += value;
}

}  // namespace

replicas::replicas(std::size_t count, std::string database_url, std::string amqp_url,
                   tests::sidecar::settings settings, std::filesystem::path logs)
    : database_url_(std::move(database_url)),
      amqp_url_(std::move(amqp_url)),
      settings_(std::move(settings)),
      logs_(std::move(logs)) {
  for (std::size_t i = 0; i < count; ++i) {
    slots_.push_back(std::make_unique<slot>());
    launch(*slots_.back());
  }
  watcher_ = std::thread([this] { watch(); });
}

replicas::~replicas() {
  life_.end();
  watcher_.join();
  for (std::size_t i = 0; i < count(); ++i) {
    if (slots_[i]->process) bury(i, *slots_[i]);
  }
}

std::size_t replicas::leader() {
  for (std::size_t i = 0; i < count(); ++i) {
    slot& at = *slots_[i];
    const std::lock_guard lock(at.mutex);
    if (at.process && !at.frozen &&
        at.process->get("/metrics").find("\noutbox_leader 1") != std::string::npos)
      return i;
  }
  return 0;
}

void replicas::kill(std::size_t which) {
  slot& at = *slots_[which];
  const std::lock_guard lock(at.mutex);
  if (!at.process) return;
  look(at);
  at.process->kill(SIGKILL);
  at.process->wait(10s);
  bury(which, at);
}

void replicas::freeze(std::size_t which) {
  slot& at = *slots_[which];
  const std::lock_guard lock(at.mutex);
  if (!at.process) return;
  at.process->kill(SIGSTOP);
  at.frozen = true;
}

void replicas::thaw(std::size_t which) {
  slot& at = *slots_[which];
  const std::lock_guard lock(at.mutex);
  if (!at.process) return;
  at.process->kill(SIGCONT);
  at.frozen = false;
}

void replicas::stop(std::size_t which) {
  slot& at = *slots_[which];
  const std::lock_guard lock(at.mutex);
  if (!at.process) return;
  look(at);
  at.process->kill(SIGTERM);
  const auto status = at.process->wait(60s);
  // 75: it could not bring its messages home, because a server was away. The signal itself ends it
  // before it has begun to speak, when main() has not been reached.
  const bool before_main = status && status->signal == SIGTERM && at.process->log().empty();
  const bool well = status && status->signal == 0 && (status->code == 0 || status->code == 75);
  if (!well && !before_main) {
    std::ostringstream what;
    what << "sidecar " << which << ", told to stop: ";
    status ? what << *status : what << "does not";
    const std::lock_guard own(mutex_);
    crashes_.push_back(what.str());
  }
  bury(which, at);
}

void replicas::start(std::size_t which) {
  slot& at = *slots_[which];
  const std::lock_guard lock(at.mutex);
  if (!at.process) launch(at);
}

std::string replicas::self_description() {
  slot& at = *slots_[leader()];
  const std::lock_guard lock(at.mutex);
  if (!at.process) return "no sidecar";
  std::ostringstream text;
  text << at.process->get("/readyz?verbose") << "\n";
  std::istringstream metrics(at.process->get("/metrics"));
  for (std::string line; std::getline(metrics, line);) {
    if (line.starts_with("outbox_") && line.find("_bucket") == std::string::npos)
      text << line << "\n";
  }
  return text.str();
}

usage replicas::used() {
  usage all;
  for (const auto& each : slots_) {
    const std::lock_guard lock(each->mutex);
    if (each->process && !each->frozen) look(*each);
    add(all, each->now);
  }
  const std::lock_guard lock(mutex_);
  add(all, of_the_dead_);
  return all;
}

std::vector<std::string> replicas::crashes() {
  const std::lock_guard lock(mutex_);
  return crashes_;
}

void replicas::watch() {
  while (life_.pause(1s)) {
    for (std::size_t i = 0; i < count(); ++i) {
      slot& at = *slots_[i];
      const std::lock_guard lock(at.mutex);
      if (!at.process || at.frozen) continue;
      if (at.process->running()) {
        look(at);
        continue;
      }
      std::ostringstream what;
      what << "sidecar " << i << " has ended by itself: " << *at.process->wait(0s);
      bury(i, at);
      launch(at);
      const std::lock_guard own(mutex_);
      crashes_.push_back(what.str());
    }
  }
}

// The counters of a process that does not answer stay as they were.
void replicas::look(slot& at) {
  const pid_t pid = at.process->pid();
  at.now.peak_resident_bytes = std::max(at.now.peak_resident_bytes, peak_resident_bytes(pid));
  at.now.cpu_seconds = std::max(at.now.cpu_seconds, cpu_seconds(pid));
  auto latest = counters(at.process->get("/metrics"));
  if (!latest.empty()) at.now.counters = std::move(latest);
}

void replicas::bury(std::size_t which, slot& at) {
  const auto file = "sidecar-" + std::to_string(which) + "." + std::to_string(at.life) + ".log";
  std::ofstream(logs_ / file) << at.process->log();
  at.process.reset();
  at.frozen = false;
  const std::lock_guard lock(mutex_);
  add(of_the_dead_, at.now);
  at.now = {};
}

void replicas::launch(slot& at) {
  ++at.life;
  at.process = std::make_unique<tests::sidecar>(database_url_, amqp_url_, settings_);
}

}  // namespace outboxd::chaos
