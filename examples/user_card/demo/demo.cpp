// user_card_demo: users sign up, cards come back, everything in between fails in turn, and at the
// end the databases are asked whether anything was lost. Exit status 0 only if nothing was.

#include "examples/user_card/demo/director.hpp"
#include "examples/user_card/demo/ledger.hpp"
#include "examples/user_card/demo/options.hpp"
#include "examples/user_card/demo/report.hpp"
#include "examples/user_card/demo/screen.hpp"
#include "examples/user_card/demo/stage.hpp"

#include "tests/support/scratch_directory.hpp"

#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <iostream>
#include <system_error>
#include <thread>

namespace {

using namespace user_card::demo;
using namespace std::chrono_literals;
using std::chrono::steady_clock;

constexpr auto between_looks = 200ms;
constexpr auto patience = 45s;       // without any change, before it counts as stuck
constexpr auto time_to_drain = 15s;  // for late duplicates in the queues
constexpr int interrupted_status = 130;

std::atomic<int> signals = 0;

// The second signal ends the process at once; a guard process then takes the servers down.
extern "C" void on_signal(int) {
  if (signals.fetch_add(1) > 0) std::_Exit(interrupted_status);
}

void catch_signals() {
  for (const int each : {SIGINT, SIGTERM, SIGHUP}) std::signal(each, on_signal);
}

bool interrupted() {
  return signals > 0;
}

// In the scratch directory, which goes with us, even by kill -9.
std::filesystem::path make_log_directory() {
  auto logs = outboxd::tests::scratch_directory() / "logs";
  std::filesystem::create_directory(logs);
  return logs;
}

// What explains a failure shall stay.
void save_logs(const std::filesystem::path& logs) {
  // mkdtemp(3) makes a name of its own of the last six characters, which have to be these.
  const std::string six_to_replace(6, 'X');
  auto saved =
      (std::filesystem::temp_directory_path() / ("outboxd-demo-" + six_to_replace)).string();
  std::error_code error;
  if (::mkdtemp(saved.data()) == nullptr)
    error.assign(errno, std::generic_category());
  else
    std::filesystem::copy(logs, saved, error);
  if (error)
    std::cerr << "cannot save the logs in " << saved << ": " << error.message() << '\n';
  else
    std::cerr << "The logs of all programs are in " << saved << '\n';
}

// A program that ended although no fault struck it; empty while there is none.
std::string first_crash(stage& on) {
  for (auto* each : on.everybody())
    if (auto crash = each->crash(); !crash.empty()) return crash;
  return "";
}

// Shows the progress until everything has arrived. Empty when it has; else what is wrong.
std::string watch(stage& on, ledger& books, director& faults, screen& out, long users) {
  auto before = books.now();
  auto last_change = steady_clock::now();
  while (!interrupted()) {
    const bool reachable = books.refresh();
    const auto& now = books.now();
    out.show(live_line(now, reachable, faults.current()));
    faults.signed_up(static_cast<double>(now.users) / static_cast<double>(users));
    if (auto failure = faults.failure(); !failure.empty()) return failure;
    if (auto crash = first_crash(on); !crash.empty()) return crash;
    if (faults.done() && reachable && now.users >= users && now.arrived()) return "";

    if (!(now == before)) last_change = steady_clock::now();
    if (steady_clock::now() - last_change > patience)
      return "nothing has moved for " + std::to_string(patience.count()) + " seconds";
    before = now;
    std::this_thread::sleep_for(between_looks);
  }
  return "interrupted";
}

// Messages in the dead-letter queues, once the others are empty.
std::int64_t drain(const servers& running) {
  const auto deadline = steady_clock::now() + time_to_drain;
  auto lengths = running.queue_lengths();
  while (lengths["user_queue"] + lengths["card_queue"] > 0 && steady_clock::now() < deadline)
    lengths = running.queue_lengths();
  return lengths["user_queue.dead"] + lengths["card_queue.dead"];
}

void linger(ledger& books, screen& out) {
  while (!interrupted()) {
    const bool reachable = books.refresh();
    out.show(live_line(books.now(), reachable, ""));
    std::this_thread::sleep_for(between_looks);
  }
}

enum class outcome { held, broken, interrupted };

outcome perform(const options& chosen, const std::filesystem::path& logs, screen& out) {
  const narrator say = [&out](const std::string& text) { out.announce(text); };
  stage on(chosen, logs, say);
  ledger books(on.users.admin_database, on.cards.admin_database);
  std::string problem;
  {
    director faults(all_faults(on, chosen.seed, say), say);
    say(std::to_string(chosen.users) + " users sign up, and faults strike");
    problem = watch(on, books, faults, out, chosen.users);
    out.leave();
    if (interrupted()) say("interrupted, taking everything down");
  }
  if (interrupted()) return outcome::interrupted;
  if (!problem.empty()) say("FAILED: " + problem);
  const auto dead_letters = drain(on.running);
  auto found = books.all_facts(on.user_service.log());
  found.dead_letters = dead_letters;
  const auto reached = judge(found);
  const bool held = problem.empty() && reached.holds();
  std::cout << table(reached, held) << std::flush;
  if (chosen.keep) {
    std::cout << addresses(on) << "  logs        " << logs.string() << "\n\n" << std::flush;
    linger(books, out);
    out.leave();
  }
  if (!held) on.running.copy_logs(logs);
  say("taking everything down");
  return held ? outcome::held : outcome::broken;
}

}  // namespace

int main(int argc, char** argv) {
  int status = EXIT_SUCCESS;
  const auto chosen = parse(argc, argv, status);
  if (!chosen) return status;
  catch_signals();
  screen out;
  std::filesystem::path logs;
  auto ended = outcome::broken;
  try {
    logs = make_log_directory();
    ended = perform(*chosen, logs, out);
  } catch (const std::exception& error) {
    out.leave();
    std::cerr << "user_card_demo: " << error.what() << '\n';
  }
  if (ended == outcome::broken) {
    if (!logs.empty()) save_logs(logs);
    return EXIT_FAILURE;
  }
  return ended == outcome::held ? EXIT_SUCCESS : interrupted_status;
}
