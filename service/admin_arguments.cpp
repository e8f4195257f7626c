#include "service/admin_arguments.hpp"

#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <boost/url/params_view.hpp>
#include <boost/url/parse.hpp>
#include <boost/url/url_view.hpp>

#include "base/text.hpp"
#include "service/units.hpp"

namespace outboxd::service {
namespace {

namespace json = boost::json;

std::optional<std::int64_t> to_number(const json::value& value, bool text_allowed) {
  if (value.is_int64()) return value.get_int64();
  if (!text_allowed || !value.is_string()) return std::nullopt;
  const auto& text = value.get_string();
  const auto parsed = parse_count({text.data(), text.size()});
  if (!parsed || *parsed > static_cast<std::uint64_t>(INT64_MAX)) return std::nullopt;
  return static_cast<std::int64_t>(*parsed);
}

}  // namespace

arguments arguments::of_query(std::string_view query) {
  arguments all;
  all.query_ = true;
  const std::string target = "/?" + std::string(query);
  const auto parsed = boost::urls::parse_origin_form(target);
  if (!parsed) {
    all.mistake_ = "the query is not percent-encoded as it should be";
    return all;
  }
  boost::urls::encoding_opts as_forms_do;
  as_forms_do.space_as_plus = true;
  for (const auto& param : parsed->params(as_forms_do)) {
    if (query.empty()) break;  // what is left is one parameter without a name
    if (!all.values_.emplace(param.key, param.value).second)
      all.complain(param.key, "is there twice");
  }
  return all;
}

arguments arguments::of_body(std::string_view body) {
  arguments all;
  boost::system::error_code error;
  json::value value = json::parse(body, error);
  if (error || !value.is_object())
    all.mistake_ = "the body is not a JSON object";
  else
    all.values_ = std::move(value.get_object());
  return all;
}

std::optional<json::value> arguments::take(std::string_view name) {
  const auto found = values_.find(name);
  if (found == values_.end()) return std::nullopt;
  json::value value = found->value();
  values_.erase(found);
  if (value.is_null()) return std::nullopt;
  return value;
}

void arguments::complain(std::string_view name, std::string_view what) {
  if (mistake_.empty()) mistake_ = std::string(name) + " " + std::string(what);
}

std::optional<std::string> arguments::text(std::string_view name, std::size_t longest) {
  const auto value = take(name);
  if (!value) return std::nullopt;
  if (!value->is_string()) {
    complain(name, "is not a string");
    return std::nullopt;
  }
  std::string text(value->get_string().data(), value->get_string().size());
  if (base::as_text(text) != text) complain(name, "is not UTF-8 without NUL");
  if (text.size() > longest) complain(name, "has more than " + std::to_string(longest) + " bytes");
  return text;
}

std::optional<std::string> arguments::line(std::string_view name, std::size_t longest) {
  const auto written = text(name, longest);
  if (written && base::has_control(*written)) complain(name, "has control characters");
  return written;
}

std::optional<std::int64_t> arguments::number(std::string_view name, std::int64_t lowest,
                                              std::int64_t highest) {
  const auto value = take(name);
  if (!value) return std::nullopt;
  const auto number = to_number(*value, query_);
  if (!number || *number < lowest || *number > highest) {
    complain(name, "is not a whole number from " + std::to_string(lowest) + " to " +
                       std::to_string(highest));
  }
  return number;
}

std::optional<std::chrono::seconds> arguments::duration(std::string_view name) {
  const auto written = text(name);
  if (!written) return std::nullopt;
  const auto value = parse_duration(*written);
  if (!value || value->count() <= 0) {
    complain(name, "is not a duration with its unit, such as " + std::string(duration_forms));
    return std::nullopt;
  }
  return std::chrono::ceil<std::chrono::seconds>(*value);
}

bool arguments::flag(std::string_view name) {
  const auto value = take(name);
  if (!value) return false;
  if (!value->is_bool()) complain(name, "is not true or false");
  return value->is_bool() && value->get_bool();
}

std::string arguments::mistake() const {
  if (!mistake_.empty() || values_.empty()) return mistake_;
  return "there is no " + json::serialize(values_.begin()->key()) + " here";
}

}  // namespace outboxd::service
