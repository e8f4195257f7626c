#include "service/check.hpp"

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

#include "base/text.hpp"
#include "outbox/exchanges_in_use.hpp"
#include "service/broker_check.hpp"
#include "service/broker_nodes.hpp"
#include "service/exchange_check.hpp"
#include "service/exchange_lines.hpp"
#include "service/options.hpp"

namespace outboxd::service {
namespace {

check_line failed(std::string what, const base::failure& why) {
  return {std::move(what), check_state::fail, why.text, why.kind};
}

check_line tried(std::string what, const broker_trial& trial) {
  if (trial.state == check_state::fail)
    return failed(std::move(what), {base::failure_kind::unavailable, trial.text});
  return {std::move(what), trial.state, trial.text};
}

void check_database(const settings& s, std::vector<check_line>& lines) {
  const auto options = database_check_options(s);
  if (!options) {
    lines.push_back(failed("database", options.error()));
    return;
  }
  for (const auto& line : outbox::check_database(*options)) {
    lines.push_back(line.state == check_state::fail
                        ? failed(line.name, {line.kind, line.detail})
                        : check_line{line.name, line.state, line.detail});
  }
}

// Answers with the first node that works.
std::optional<relay::amqp::endpoint> check_brokers(const settings& s,
                                                   std::vector<check_line>& lines) {
  const auto nodes = broker_nodes(s);
  if (!nodes) {
    lines.push_back(failed("broker", nodes.error()));
    return std::nullopt;
  }
  std::optional<relay::amqp::endpoint> works;
  for (const auto& node : *nodes) {
    const std::string what = "broker " + node.redacted();
    const auto answer = check_broker(node);
    if (!answer) {
      lines.push_back(failed(what, answer.error()));
      continue;
    }
    if (!works) works = node;
    lines.push_back({what, check_state::ok, "connected, confirms on"});
    lines.push_back(tried("round trip " + node.redacted(), answer->routed));
    lines.push_back(tried("unroutable " + node.redacted(), answer->unroutable));
  }
  return works;
}

base::result<std::vector<check_line>> ask_about_what_rows_name(const settings& s,
                                                               const relay::amqp::endpoint& node) {
  const auto database = database_check_options(s);
  if (!database) return database.error();
  const auto used = outbox::exchanges_in_use(*database);
  if (!used) return used.error();
  const auto names = names_to_ask_about(*used);
  if (names.empty()) return exchange_lines(*used, {});
  const auto answers = ask_about_exchanges(node, names);
  if (!answers) return answers.error();
  return exchange_lines(*used, *answers);
}

// What is in the way of it has failed on a line of its own.
void check_exchanges(const settings& s, const std::optional<relay::amqp::endpoint>& node,
                     std::vector<check_line>& lines) {
  const auto not_tested = [&](const std::string& why) {
    lines.push_back({"exchanges", check_state::warn, "not tested: " + why});
  };
  if (!node) return not_tested("no node of the broker can be used");
  const auto found = ask_about_what_rows_name(s, *node);
  if (!found) return not_tested(found.error().text);
  lines.insert(lines.end(), found->begin(), found->end());
}

std::string_view to_string(check_state state) {
  switch (state) {
    case check_state::ok:
      return "ok";
    case check_state::warn:
      return "warn";
    case check_state::fail:
      return "FAIL";
  }
  return "?";
}

}  // namespace

std::vector<check_line> run_checks(const settings& s) {
  std::vector<check_line> lines{{"settings", check_state::ok, "all understood"}};
  check_database(s, lines);
  const auto node = check_brokers(s, lines);
  check_exchanges(s, node, lines);
  return lines;
}

std::string render_checks(const std::vector<check_line>& lines, output_format format) {
  if (format == output_format::json) {
    boost::json::array all;
    for (const auto& line : lines) {
      all.push_back(boost::json::object{{"check", line.what},
                                        {"state", to_string(line.state)},
                                        {"text", base::as_text(line.text)}});
    }
    return boost::json::serialize(all) + "\n";
  }
  std::string out;
  for (const auto& line : lines) {
    const auto state = to_string(line.state);
    out.append(state).append(6 - state.size(), ' ').append(line.what);
    if (!line.text.empty()) out.append(": ").append(line.text);
    out += '\n';
  }
  return out;
}

exit_code judge(const std::vector<check_line>& lines) {
  for (const auto& line : lines) {
    if (line.state == check_state::fail)
      return to_exit_code(line.why.value_or(base::failure_kind::bad_input));
  }
  return exit_code::done;
}

exit_code to_exit_code(base::failure_kind kind) {
  switch (kind) {
    case base::failure_kind::unavailable:
    case base::failure_kind::cancelled:
      return exit_code::unavailable;
    case base::failure_kind::forbidden:
      return exit_code::forbidden;
    case base::failure_kind::not_ready:
    case base::failure_kind::rejected:
    case base::failure_kind::bad_input:
      return exit_code::configuration;
  }
  return exit_code::bug;
}

}  // namespace outboxd::service
