#include "tests/chaos/evidence.hpp"

#include <fstream>

namespace outboxd::chaos {
namespace {

const char* name(fate f) {
  switch (f) {
    case fate::committed:
      return "committed";
    case fate::rolled_back:
      return "rolled_back";
    case fate::forgotten:
      return "forgotten";
  }
  return "?";
}

std::string joined(const std::vector<std::string>& all) {
  std::string text;
  for (const std::string& each : all) text += (text.empty() ? "" : ",") + each;
  return text;
}

}  // namespace

void write_evidence(const facts& found, const std::filesystem::path& folder) {
  std::ofstream rows(folder / "rows.tsv");
  rows << "at\tid\tmessage_id\tkey\tfate\tpoison\tbytes\tnot_before\tqueues\n";
  for (const written_row& r : found.written) {
    rows << r.at.count() << '\t' << r.id << '\t' << r.message_id << '\t' << r.key.value_or("")
         << '\t' << name(r.outcome) << '\t' << static_cast<int>(r.bad) << '\t' << r.body_size
         << '\t' << (r.not_before ? std::to_string(r.not_before->count()) : "") << '\t'
         << joined(r.queues) << '\n';
  }
  std::ofstream deliveries(folder / "deliveries.tsv");
  deliveries << "at\tqueue\tid\tmessage_id\tkey\tredelivered\n";
  for (const delivery& d : found.deliveries) {
    deliveries << d.at.count() << '\t' << d.queue << '\t' << d.id << '\t' << d.message_id << '\t'
               << d.key.value_or("") << '\t' << d.redelivered << '\n';
  }
  std::ofstream table(folder / "table.tsv");
  table << "id\tmessage_id\tstatus\tlast_error\n";
  for (const table_row& t : found.table)
    table << t.id << '\t' << t.message_id << '\t' << t.status << '\t' << t.last_error << '\n';
  std::ofstream incidents(folder / "incidents.tsv");
  incidents << "from\tto\tkind\n";
  for (const incident& i : found.incidents)
    incidents << i.from.count() << '\t' << i.to.count() << '\t' << i.kind << '\n';
}

}  // namespace outboxd::chaos
