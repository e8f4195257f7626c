// The environment, as lines NAME=value: every mistake is an error with a text, nothing else gets
// through, and no secret is shown.
#include "service/settings.hpp"

#include "service/settings_table.hpp"
#include "service/units.hpp"
#include "tests/fuzz/fuzz.hpp"

namespace {

using namespace outboxd;
using namespace outboxd::service;

constexpr std::string_view secret_text = "hunter2";

// Names that are no settings are compared, letter by letter, with all we know: one is enough.
constexpr std::size_t longest_name = 40;
constexpr int most_unknown = 1;

bool is_known(std::string_view name) {
  for (const setting& row : settings_table())
    if (row.name == name) return true;
  return false;
}

bool is_secret(std::string_view name) {
  for (const setting& row : settings_table())
    if (row.is_secret() && (row.name == name || row.fallback == name)) return true;
  return false;
}

// Files are left out: the fuzzer would read any file of this machine, and wait for its terminals.
environment read_environment(fuzz::input& in) {
  environment env;
  int unknown = 0;
  while (!in.empty()) {
    const std::string line = in.line();
    const auto equals = line.find('=');
    if (equals == std::string::npos) continue;
    const std::string name = line.substr(0, equals);
    std::string value = line.substr(equals + 1);
    if (name.ends_with("_FILE") || name.size() > longest_name) continue;
    if (!is_known(name) && ++unknown > most_unknown) continue;
    if (is_secret(name)) {
      const auto at = std::min(value.find("://"), value.size());
      value.insert(at < value.size() ? at + 3 : 0, "user:" + std::string(secret_text) + "@");
    } else if (value.find(secret_text) != std::string::npos ||
               name.find(secret_text) != std::string::npos) {
      continue;  // it would be no secret
    }
    env[name] = value;
  }
  return env;
}

void hides_secrets(const std::vector<std::string>& lines) {
  for (const std::string& line : lines) {
    fuzz::ensure(!line.empty(), "a message says something");
    fuzz::ensure(line.find(secret_text) == std::string::npos, "no message shows a secret", line);
  }
}

void is_sound(const settings& s) {
  fuzz::ensure(s.connections > 0 && s.batch_size > 0 && s.max_in_flight > 0, "counts");
  fuzz::ensure(s.max_message_size.bytes <= s.max_in_flight_bytes.bytes, "a message fits");
  fuzz::ensure(s.retry_min.count() > 0 && s.retry_min <= s.retry_max, "a back-off");
  fuzz::ensure(s.confirm_timeout.count() > 0 && s.poll_interval.count() > 0, "deadlines");
  fuzz::ensure(s.retention.count() >= 0 && s.max_delay.count() >= 0, "durations");
  fuzz::ensure(!s.schema.empty() && s.schema.size() <= 63, "a schema PostgreSQL can name");
}

void units_go_there_and_back(const std::string& text) {
  if (const auto d = parse_duration(text)) {
    fuzz::ensure(d->count() >= 0, "no duration is negative", text);
    fuzz::ensure(parse_duration(format_duration(*d)) == *d, "a duration is kept", text);
  }
  if (const auto size = parse_size(text))
    fuzz::ensure(parse_size(format_size(*size)) == *size, "a size is kept", text);
  parse_count(text);
  parse_listen(text);
}

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::input in(data, size);
  const environment env = read_environment(in);
  for (const auto& [name, value] : env) units_go_there_and_back(value);

  const loaded_settings loaded = load(env);
  hides_secrets(loaded.errors);
  hides_secrets(loaded.warnings);
  for (const shown_setting& s : loaded.shown) hides_secrets({s.name + "=" + s.value});
  if (loaded.errors.empty()) is_sound(loaded.values);
  const std::string host = env.empty() ? "" : env.begin()->second;
  const std::string instance = default_instance(env, host, 0xbeef);
  fuzz::ensure(!instance.empty() && instance.size() <= 63, "an instance has a name", instance);
  return 0;
}
