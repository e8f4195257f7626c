#include "outbox/lead_jobs.hpp"

#include <stdexcept>

#include "outbox/db_failure.hpp"
#include "outbox/schema.hpp"
#include "outbox/schema_probe.hpp"

namespace outboxd::outbox {
namespace {

void expect(const session& db, int pid) {
  if (db.pid() != pid) throw std::runtime_error("the session with the lead was replaced");
}

// A server that cannot read its queue of notifications refuses LISTEN (58P01), some releases with
// an error that says nothing of the session, others by ending it.
void listen_if_possible(session& db, const std::string& channel, lead_attempt& attempt) {
  try {
    db.listen(channel);
  } catch (...) {
    auto caught = describe_current_exception();
    attempt.listen_error = std::move(caught.failure.text);
    attempt.listen_ended_session = caught.session_lost;
  }
}

}  // namespace

lead_survey survey(session& db, const lead_statements& sql, const std::string& schema) {
  const auto probe = probe_schema(db, sql, schema);
  return {advice(probe, schema), db.pid(), probe.version};
}

lead_attempt try_lead(session& db, const lead_statements& sql, int pid, const std::string& instance,
                      const std::string& listen_on) {
  expect(db, pid);
  lead_attempt attempt;
  const auto answer = db.run(sql.try_lead, lead_lock)[0];
  attempt.holder = answer[1].c_str();
  attempt.table = answer[2].c_str();
  if (!answer[0].as<bool>()) return attempt;
  // Before the first read, so that nothing committed after it goes unheard.
  if (!listen_on.empty()) listen_if_possible(db, listen_on, attempt);
  if (!attempt.listen_ended_session)
    attempt.epoch = db.run(sql.take_epoch, instance)[0][0].as<std::int64_t>();
  return attempt;
}

bool ping(session& db, const lead_statements& sql, int pid, const std::string& table) {
  expect(db, pid);
  const auto answer = db.run(sql.ping)[0];
  if (answer[0].as<int>() != pid) {
    throw std::runtime_error("another backend answers: is there a connection pooler in between?");
  }
  if (answer[1].c_str() != table) {
    throw std::runtime_error("the schema was dropped or replaced");
  }
  return true;
}

bool try_wake(session& db, const lead_statements& sql, int pid) {
  expect(db, pid);
  return db.run(sql.try_lock, wake_lock)[0][0].as<bool>();
}

bool release_wake(session& db, const lead_statements& sql, int pid) {
  expect(db, pid);
  return db.run(sql.unlock, wake_lock)[0][0].as<bool>();
}

}  // namespace outboxd::outbox
