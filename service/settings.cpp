#include "service/settings.hpp"

#include <boost/asio/ip/address.hpp>

#include <algorithm>
#include <limits>

#include "outbox/schema.hpp"
#include "service/broker_nodes.hpp"
#include "service/settings_names.hpp"
#include "service/settings_table.hpp"
#include "service/transport.hpp"
#include "service/units.hpp"

namespace outboxd::service {
namespace {

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view blanks = " \t\r\n";
  const auto first = text.find_first_not_of(blanks);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(blanks) - first + 1);
}

// A variable that is empty counts as not set: that is how templates leave one out.
std::optional<std::string> variable(const environment& env, std::string_view name) {
  const auto found = env.find(name);
  if (found == env.end() || trimmed(found->second).empty()) return std::nullopt;
  return found->second;
}

bool in_range(const setting& row, std::optional<std::uint64_t> value) {
  return value && *value >= row.lowest && *value <= row.highest;
}

bool is_choice(std::string_view choices, std::string_view text) {
  for (std::size_t at = 0; at <= choices.size();) {
    const auto end = std::min(choices.find('|', at), choices.size());
    if (choices.substr(at, end - at) == text) return true;
    at = end + 1;
  }
  return false;
}

bool is_name(std::string_view text, std::string_view allowed, std::size_t longest) {
  return !text.empty() && text.size() <= longest &&
         text.find_first_not_of(allowed) == std::string_view::npos;
}

bool is_instance(std::string_view text) {
  return is_name(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._:-", 63);
}

// Writes the value of one row into the settings; false when the text is not of the accepted form.
struct assign {
  const setting& row;
  std::string_view text;
  settings& out;

  bool operator()(std::string settings::*member) const {
    out.*member = text;
    if (!row.choices.empty()) return is_choice(row.choices, text);
    return member == &settings::schema ? outbox::validate_schema_name(text).has_value()
                                       : is_instance(text);
  }
  bool operator()(secret settings::*) const { return false; }  // read by load_secret
  bool operator()(std::size_t settings::*member) const {
    const auto value = parse_count(text);
    if (!in_range(row, value)) return false;
    out.*member = static_cast<std::size_t>(*value);
    return true;
  }
  bool operator()(byte_size settings::*member) const {
    const auto value = parse_size(text);
    if (!in_range(row, value)) return false;
    (out.*member).bytes = *value;
    return true;
  }
  bool operator()(std::chrono::milliseconds settings::*member) const {
    const auto value = parse_duration(text);
    if (!value || !in_range(row, static_cast<std::uint64_t>(value->count()))) return false;
    out.*member = *value;
    return true;
  }
  bool operator()(bool settings::*member) const {
    out.*member = text == "true";
    return text == "true" || text == "false";
  }
  bool operator()(listen_address settings::*member) const {
    const bool off = !row.choices.empty() && is_choice(row.choices, text);
    const auto value = off ? listen_address{} : parse_listen(text);
    if (value) out.*member = *value;
    return value.has_value();
  }
};

class loader {
 public:
  loader(const environment& env, loaded_settings& out) : env_(env), out_(out) {}

  void load(const setting& row) {
    if (row.is_secret())
      load_secret(row);
    else
      load_plain(row);
  }

 private:
  void load_plain(const setting& row) {
    const auto given = variable(env_, row.name);
    const std::string text(given ? trimmed(*given) : row.default_value);
    const bool is_default = text == row.default_value;
    out_.shown.push_back(
        {std::string(row.name), text, given ? std::string(row.name) : "default", is_default});
    if (text.empty()) return;  // not given, and no default
    if (!std::visit(assign{row, text, out_.values}, row.where)) {
      out_.errors.push_back(std::string(row.name) + "=" + text + " is not understood; write " +
                            accepted_forms(row));
      std::visit(assign{row, row.default_value, out_.values}, row.where);  // for check_together
    }
  }

  void load_secret(const setting& row) {
    const std::string name(row.name), file_name = name + "_FILE";
    const auto literal = variable(env_, name), path = variable(env_, file_name);
    auto& value = out_.values.*std::get<secret settings::*>(row.where);
    std::string origin = "default";
    if (literal && path) {
      out_.errors.push_back(name + " and " + file_name + " are both set; keep one of them");
      value = secret::literal(*literal);
    } else if (path) {
      value = secret::file(file_name, std::string(trimmed(*path)));
      origin = file_name;
      if (const auto content = value.value(); !content) out_.errors.push_back(content.error().text);
    } else if (literal) {
      value = secret::literal(*literal);
      origin = name;
    } else {
      origin = load_fallback(row, value);
    }
    const std::string shown = origin == "default" ? std::string(row.default_value) : "***";
    out_.shown.push_back({name, shown, origin, origin == "default"});
  }

  // The value of another variable or, where that is a setting itself, of that setting.
  std::string load_fallback(const setting& row, secret& value) {
    if (row.fallback == "OUTBOX_DATABASE_URL") {
      value = out_.values.database_url;
      return value.is_set() ? std::string(row.fallback) : "default";
    }
    if (!row.fallback.empty()) {
      if (const auto other = variable(env_, row.fallback)) {
        value = secret::literal(*other);
        return std::string(row.fallback);
      }
    }
    if (!row.default_value.empty()) value = secret::literal(std::string(row.default_value));
    return "default";
  }

  const environment& env_;
  loaded_settings& out_;
};

std::string in_words(const listen_address& a) {
  const bool v6 = a.host.find(':') != std::string::npos;
  return (v6 ? "[" + a.host + "]" : a.host) + ":" + std::to_string(a.port);
}

void check_together(loaded_settings& out) {
  const auto& v = out.values;
  const auto nodes = broker_nodes(v);
  const auto is_new = [&](const std::string& text) {
    return std::find(out.errors.begin(), out.errors.end(), text) == out.errors.end();
  };
  if (!nodes && is_new(nodes.error().text)) out.errors.push_back(nodes.error().text);
  if (v.retry_min > v.retry_max) {
    out.errors.push_back("OUTBOX_RETRY_MIN=" + format_duration(v.retry_min) +
                         " is longer than OUTBOX_RETRY_MAX=" + format_duration(v.retry_max) +
                         "; raise the latter or lower the former");
  }
  if (v.max_message_size.bytes > v.max_in_flight_bytes.bytes) {
    out.errors.push_back("OUTBOX_MAX_MESSAGE_SIZE=" + format_size(v.max_message_size.bytes) +
                         " does not fit into OUTBOX_MAX_IN_FLIGHT_BYTES=" +
                         format_size(v.max_in_flight_bytes.bytes) +
                         "; raise the latter or lower the former");
  }
  if (!v.admin_listen.is_off() && !is_loopback(v.admin_listen) && !v.admin_token.is_set()) {
    out.errors.push_back("OUTBOX_ADMIN_LISTEN=" + in_words(v.admin_listen) +
                         " is not a loopback address: others than this host could change things; "
                         "set OUTBOX_ADMIN_TOKEN or OUTBOX_ADMIN_TOKEN_FILE too");
  }
}

// What works, but hardly as it was meant.
void caution(loaded_settings& out) {
  const auto& v = out.values;
  std::chrono::seconds heartbeat{0};
  if (const auto nodes = broker_nodes(v)) {
    for (const auto& node : *nodes) heartbeat = std::max(heartbeat, node.heartbeat);
  }
  if (v.confirm_timeout < heartbeat) {
    out.cautions.push_back(
        "OUTBOX_CONFIRM_TIMEOUT=" + format_duration(v.confirm_timeout) +
        " is shorter than the heartbeat of OUTBOX_AMQP_URL (" + format_duration(heartbeat) +
        "): a connection that is only slow is given up, and its messages are sent twice, before "
        "the heartbeat could tell whether it is alive");
  }
  if (v.max_in_flight < v.connections) {
    out.cautions.push_back("OUTBOX_MAX_IN_FLIGHT=" + std::to_string(v.max_in_flight) +
                           " is less than OUTBOX_CONNECTIONS=" + std::to_string(v.connections) +
                           ": some connections have nothing to do");
  }
  if (v.give_up_after.count() > 0 && v.give_up_after < v.retry_max) {
    out.cautions.push_back(
        "OUTBOX_GIVE_UP_AFTER=" + format_duration(v.give_up_after) +
        " is shorter than one pause of OUTBOX_RETRY_MAX=" + format_duration(v.retry_max) +
        ": a row is dead with its tenth failed attempt");
  }
  for (auto& text : transport_cautions(v)) out.cautions.push_back(std::move(text));
  if (const auto token = v.admin_token.value(); token && !token->empty() && token->size() < 16) {
    out.cautions.push_back(
        "OUTBOX_ADMIN_TOKEN has fewer than 16 characters and might be guessed; `openssl rand -hex "
        "32` makes a good one");
  }
}

}  // namespace

loaded_settings load(const environment& env) {
  loaded_settings out;
  loader loads(env, out);
  for (const auto& row : settings_table()) loads.load(row);
  check_together(out);
  if (out.errors.empty()) caution(out);
  out.warnings = unknown_names(env);
  return out;
}

std::optional<listen_address> parse_listen(std::string_view text) {
  const auto colon = text.rfind(':');
  if (colon == std::string_view::npos) return std::nullopt;
  auto host = text.substr(0, colon);
  const bool bracketed = host.starts_with('[') && host.ends_with(']');
  if (bracketed) host = host.substr(1, host.size() - 2);
  const auto port = parse_count(text.substr(colon + 1));
  if (!port || *port > std::numeric_limits<std::uint16_t>::max()) return std::nullopt;
  boost::system::error_code error;
  const auto address = boost::asio::ip::make_address(std::string(host), error);
  if (error || address.is_v6() != bracketed) return std::nullopt;
  return listen_address{std::string(host), static_cast<std::uint16_t>(*port)};
}

bool is_loopback(const listen_address& where) {
  boost::system::error_code error;
  const auto address = boost::asio::ip::make_address(where.host, error);
  return !error && address.is_loopback();
}

std::string default_instance(const environment& env, std::string_view host, std::uint16_t random) {
  if (const auto pod = variable(env, "POD_NAME"); pod && is_instance(trimmed(*pod))) {
    return std::string(trimmed(*pod));
  }
  constexpr std::string_view digits = "0123456789abcdef";
  std::string name(host.substr(0, 58));  // 63 in all: what PostgreSQL's application_name keeps
  if (!is_instance(name)) name = "outboxd";
  name += '-';
  for (const int shift : {12, 8, 4, 0}) name += digits[(random >> shift) & 0xfu];
  return name;
}

}  // namespace outboxd::service
