#include "tests/chaos/row_maker.hpp"

#include "tests/chaos/topology.hpp"

namespace outboxd::chaos {
namespace {

// Most messages are small, a few are not.
std::size_t choose_size(luck& chance) {
  if (chance.one_in(150)) return static_cast<std::size_t>(chance.between(100'000, 1'000'000));
  if (chance.one_in(12)) return static_cast<std::size_t>(chance.between(1'000, 20'000));
  return static_cast<std::size_t>(chance.between(0, 500));
}

void fill(std::string& body, std::size_t size, bool binary) {
  while (body.size() < size) {
    const std::size_t n = body.size();
    body += binary ? static_cast<char>(n * 7 % 256) : static_cast<char>('a' + n % 26);
  }
}

constexpr const char* any_headers = R"({"n": 1, "nested": {"list": [1, 2.5, null, true, "x"]}})";

// An outer 1e400 is a number to PostgreSQL and none that AMQP could carry.
constexpr const char* invalid_headers[] = {R"({"CC": "no array"})", R"({"far": 1e400})",
                                           R"({"far": 9223372036854775808})"};

}  // namespace

new_row row_maker::make(luck& chance, const std::string& shared_key, const std::string& name) {
  const auto& all = destinations();
  const destination& to = all[chance.number() % all.size()];
  new_row row{.exchange = to.exchange,
              .routing_key = to.routing_key,
              .headers = to.headers,
              .queues = to.queues,
              .body = name + " "};
  if (row.headers.empty() && chance.one_in(3)) row.headers = any_headers;
  row.binary = chance.one_in(4);
  fill(row.body, choose_size(chance), row.binary);

  if (chance.one_in(3) && !shared_key.empty()) {
    row.key = shared_key;
    row.serialize = true;
  } else if (!chance.one_in(4)) {
    row.key = "w" + std::to_string(writer_) + "-" + std::to_string(chance.between(0, 19));
  }
  if (chance.one_in(30)) row.scheduled_in = moment(chance.between(0, 5'000));
  if (chance.one_in(60)) {
    row.bad = choose_poison(chance);
    if (row.bad == poison::invalid) row.headers = invalid_headers[chance.number() % 3];
    spoil(row, name);
  }
  return row;
}

// A row that waits for ever is tried for ever: there may be some, not more and more.
poison row_maker::choose_poison(luck& chance) {
  const auto chosen = static_cast<poison>(chance.between(1, 5));
  if (!ends_dead(chosen) && ++waiting_poison_ > limits_.most_waiting_poison) return poison::invalid;
  return chosen;
}

void row_maker::spoil(new_row& row, const std::string& name) {
  row.queues.clear();
  switch (row.bad) {
    case poison::refused:
      fill(row.body, limits_.over_the_brokers_limit, row.binary);
      break;
    case poison::too_large:
      fill(row.body, limits_.over_our_limit, row.binary);
      break;
    case poison::no_exchange:
      row.exchange = missing_exchange;
      break;
    case poison::unroutable:
      row.exchange = headers_exchange;
      row.routing_key = "";
      row.headers = R"({"kind": "never"})";
      break;
    case poison::none:
    case poison::invalid:
      break;
  }
  if (!ends_dead(row.bad) && row.key) {  // it holds its key for ever
    row.key = "alone-" + name;
    row.serialize = false;
  }
}

}  // namespace outboxd::chaos
