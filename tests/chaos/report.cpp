#include "tests/chaos/report.hpp"

#include <boost/json.hpp>

#include <iomanip>
#include <sstream>

namespace outboxd::chaos {
namespace {

template <typename T>
void line(std::ostream& out, std::string_view what, const T& value, const std::string& note = "") {
  out << "  " << std::left << std::setw(30) << what << std::right << std::setw(10) << value;
  if (!note.empty()) out << "   " << note;
  out << '\n';
}

double counter(const usage& used, const std::string& name) {
  const auto found = used.counters.find("outbox_" + name + "_total");
  return found == used.counters.end() ? 0 : found->second;
}

std::size_t megabytes(std::size_t bytes) {
  return bytes >> 20;
}

}  // namespace

std::string table(const summary& of) {
  std::ostringstream out;
  const verdict& v = of.reached;
  out << std::fixed << std::setprecision(1) << "\nfaults\n";
  for (const auto& [kind, count] : of.faults) {
    const auto after = v.duplicates_after.find(kind);
    line(out, kind, count,
         after == v.duplicates_after.end()
             ? ""
             : std::to_string(after->second) + " duplicates during or after it");
  }
  out << "\nrows\n";
  line(out, "written", of.rows_written);
  line(out, "committed", v.committed, std::to_string(v.poisoned) + " of them poison");
  line(out, "rolled back", v.rolled_back);
  line(out, "forgotten by the database", v.forgotten, "committed asynchronously, then a crash");
  line(out, "commits without an answer", of.commits_in_doubt);
  out << "\nmessages\n";
  line(out, "delivered", v.delivered);
  line(out, "duplicates", v.duplicates,
       "of at most " + std::to_string(v.duplicates_allowed) + " that the faults explain");
  line(out, "redelivered by the broker", v.redelivered);
  line(out, "drained after, seconds", of.drained_after_seconds);
  out << "\nsidecars\n";
  for (const auto& [setting, value] : of.settings) line(out, setting, value);
  line(out, "changes of the lead", counter(of.used, "leadership_changes"));
  line(out, "broker reconnects", counter(of.used, "broker_reconnects"));
  line(out, "database reconnects", counter(of.used, "db_reconnects"));
  line(out, "published", counter(of.used, "messages_published"));
  line(out, "outcome unknown", counter(of.used, "messages_unknown"));
  line(out, "peak resident, MiB", megabytes(of.used.peak_resident_bytes));
  line(out, "CPU seconds", of.used.cpu_seconds);
  out << "\npromises\n";
  for (std::size_t i = 0; i < promises; ++i) {
    const breach& b = v.breaches[i];
    line(out, to_string(static_cast<promise>(i)), b.count == 0 ? "held" : "BROKEN",
         b.count == 0 ? "" : std::to_string(b.count) + " times");
    for (const std::string& example : b.examples) out << "      " << example << '\n';
  }
  for (const std::string& why : of.unstaged) out << "  not staged: " << why << '\n';
  out << "\nprofile " << to_string(of.where) << ", seed " << of.seed << ", " << of.minutes
      << " minutes: " << (of.passed() ? "every promise held." : "FAILED.") << '\n';
  return out.str();
}

std::string json(const summary& of) {
  namespace js = boost::json;
  const verdict& v = of.reached;
  js::object broken;
  for (std::size_t i = 0; i < promises; ++i) {
    const breach& b = v.breaches[i];
    broken[to_string(static_cast<promise>(i))] = {{"count", b.count},
                                                  {"examples", js::value_from(b.examples)}};
  }
  const js::value all = {
      {"profile", to_string(of.where)},
      {"seed", of.seed},
      {"minutes", of.minutes},
      {"passed", of.passed()},
      {"settings", js::value_from(of.settings)},
      {"faults", js::value_from(of.faults)},
      {"not_staged", js::value_from(of.unstaged)},
      {"rows",
       {{"written", of.rows_written},
        {"committed", v.committed},
        {"poison", v.poisoned},
        {"rolled_back", v.rolled_back},
        {"forgotten", v.forgotten},
        {"commits_in_doubt", of.commits_in_doubt}}},
      {"delivered", v.delivered},
      {"duplicates", v.duplicates},
      {"duplicates_allowed", v.duplicates_allowed},
      {"duplicates_after", js::value_from(v.duplicates_after)},
      {"redelivered", v.redelivered},
      {"drained_after_seconds", of.drained_after_seconds},
      {"peak_resident_bytes", of.used.peak_resident_bytes},
      {"cpu_seconds", of.used.cpu_seconds},
      {"counters", js::value_from(of.used.counters)},
      {"breaches", broken},
  };
  return js::serialize(all);
}

}  // namespace outboxd::chaos
