#include "service/exchange_lines.hpp"

#include <algorithm>
#include <array>
#include <functional>
#include <span>
#include <utility>

#include "base/text.hpp"

namespace outboxd::service {
namespace {

using base::failure_kind;

constexpr std::size_t most_lines = 40;
constexpr const char* together = "exchanges";

struct remedy {
  int code;
  failure_kind kind;
  const char* text;
};

constexpr std::array remedies{
    remedy{404, failure_kind::not_ready, "create it, or mend its name where it is written"},
    remedy{403, failure_kind::forbidden,
           "give this user the permission `write` on it (rabbitmqctl set_permissions)"},
};

constexpr remedy no_remedy{0, failure_kind::unavailable, "ask those who run the broker"};

const remedy& remedy_for(int code) {
  const auto found = std::ranges::find(remedies, code, &remedy::code);
  return found == remedies.end() ? no_remedy : *found;
}

bool is_awaited(const std::vector<outbox::exchange_in_use>& used, const std::string& name) {
  const auto found = std::ranges::find(used, name, &outbox::exchange_in_use::name);
  return found != used.end() && found->awaited;
}

check_line line_of(const exchange_answer& answer, bool awaited) {
  const std::string what = "exchange " + base::one_line(answer.name);
  if (answer.code == 0) return {what, check_state::ok, "exists, and this user may publish to it"};
  const auto& mend = remedy_for(answer.code);
  const std::string text = std::to_string(answer.code) + " " + answer.text;
  if (awaited)
    return {what, check_state::fail, text + "; rows for it wait in the table: " + mend.text,
            mend.kind};
  return {what, check_state::warn,
          text + "; no row waits for it, but some were sent: " + mend.text};
}

// As bad as the first of them, the lines being sorted.
check_line summary_of(std::span<const check_line> lines) {
  const auto wrong = std::ranges::count_if(
      lines, [](const check_line& line) { return line.state != check_state::ok; });
  check_line all = lines.front();
  all.what = together;
  all.text = std::to_string(lines.size()) + " more" +
             (wrong == 0 ? " exist, and this user may publish to them"
                         : ", " + std::to_string(wrong) + " of them missing or not to be used");
  return all;
}

void sum_up(std::vector<check_line>& lines) {
  std::ranges::stable_sort(lines, std::ranges::greater{}, &check_line::state);
  if (lines.size() <= most_lines) return;
  const auto rest = summary_of(std::span(lines).subspan(most_lines));
  lines.resize(most_lines);
  lines.push_back(rest);
}

}  // namespace

std::vector<std::string> names_to_ask_about(const std::vector<outbox::exchange_in_use>& used) {
  std::vector<std::string> names;
  for (const auto& exchange : used) {
    if (!exchange.name.empty()) names.push_back(exchange.name);
  }
  return names;
}

std::vector<check_line> exchange_lines(const std::vector<outbox::exchange_in_use>& used,
                                       const exchange_answers& answers) {
  if (used.empty()) return {{together, check_state::ok, "no row waits, and none was sent lately"}};
  const std::size_t asked = names_to_ask_about(used).size();
  if (asked == 0)
    return {
        {together, check_state::ok, "rows are for the default one only, which is always there"}};
  std::vector<check_line> lines;
  for (const auto& answer : answers.given)
    lines.push_back(line_of(answer, is_awaited(used, answer.name)));
  sum_up(lines);
  if (const std::size_t silent = asked - answers.given.size(); silent > 0) {
    lines.push_back({together, check_state::warn,
                     std::to_string(silent) + " not asked about: " + answers.silence});
  }
  return lines;
}

}  // namespace outboxd::service
