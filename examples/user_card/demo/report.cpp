#include "examples/user_card/demo/report.hpp"

#include <iomanip>
#include <sstream>

namespace user_card::demo {
namespace {

void row(std::ostream& out, const std::string& what, std::int64_t count, const std::string& note) {
  out << "  " << std::left << std::setw(22) << what << std::right << std::setw(8) << count;
  if (!note.empty()) out << "   " << note;
  out << '\n';
}

// A count that breaks the promise unless it is zero.
void zero(std::ostream& out, const std::string& what, std::int64_t count,
          const std::string& meaning) {
  row(out, what, count, (count == 0 ? "" : "<-- BROKEN: ") + meaning);
}

}  // namespace

std::string live_line(const progress& now, bool databases_reachable, const std::string& fault) {
  std::ostringstream line;
  line << "users " << now.users << "  cards " << now.cards_created << "  stored "
       << now.cards_stored << "  in outboxes " << now.waiting_users << "+" << now.waiting_cards;
  if (!databases_reachable) line << "  [database away]";
  if (!fault.empty()) line << "  " << fault;
  return line.str();
}

std::string table(const verdict& reached, bool held) {
  std::ostringstream out;
  out << '\n';
  row(out, "users committed", reached.users_committed, "");
  row(out, "cards stored", reached.cards_stored,
      reached.cards_stored == reached.users_committed ? "one for each" : "<-- BROKEN");
  zero(out, "lost", reached.lost, "users without their card or their latest event");
  zero(out, "phantom", reached.phantom,
       "of " + std::to_string(reached.rolled_back) + " transactions rolled back on purpose");
  row(out, "duplicates absorbed", reached.duplicates, "redelivered, dropped by message_id");
  zero(out, "handled twice", reached.handled_twice, "");
  zero(out, "out of order", reached.out_of_order, "events of one user");
  zero(out, "still waiting", reached.waiting, "rows in the outboxes");
  zero(out, "given up", reached.dead, "dead rows and dead letters");
  out << '\n' << (held ? "The promise held." : "THE DEMO FAILED.") << '\n';
  return out.str();
}

std::string addresses(const stage& on) {
  std::ostringstream out;
  out << "\nEverything is still running, until Ctrl-C.\n\n";
  for (const auto* each : {&on.users, &on.cards}) {
    out << "  " << each->service << '\n'
        << "    status    http://127.0.0.1:" << each->http_port << "/\n"
        << "    metrics   http://127.0.0.1:" << each->http_port << "/metrics\n"
        << "    database  psql '" << each->admin_database << "'\n";
  }
  out << "  broker      " << on.running.management_page() << "\n";
  return out.str();
}

}  // namespace user_card::demo
