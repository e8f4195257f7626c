// OUTBOX_DATABASE_URL: what libpq takes is completed and still says the same; what it does not take
// is refused without being quoted.
#include <libpq-fe.h>

#include <map>
#include <memory>
#include <optional>
#include <stdexcept>

#include "outbox/conninfo.hpp"
#include "tests/fuzz/fuzz.hpp"

namespace {

using namespace outboxd;
using keywords = std::map<std::string, std::string>;

std::optional<keywords> parse(const std::string& text) {
  const std::unique_ptr<PQconninfoOption, decltype(&PQconninfoFree)> parsed(
      PQconninfoParse(text.c_str(), nullptr), &PQconninfoFree);
  if (!parsed) return std::nullopt;
  keywords found;
  for (const auto* o = parsed.get(); o->keyword != nullptr; ++o)
    if (o->val != nullptr) found[o->keyword] = o->val;
  return found;
}

std::string complete(const std::string& url) {
  try {
    return outbox::complete_conninfo(url, "outboxd");
  } catch (const std::invalid_argument& e) {
    const std::string_view message = e.what();
    fuzz::ensure(message ==
                     "the database URL is neither a valid postgresql:// URI nor a "
                     "key=value string",
                 "a refusal quotes nothing", message);
    return {};
  }
}

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string url = fuzz::input(data, size).rest();
  std::erase(url, '\0');  // an environment has none
  const auto given = parse(url);
  const std::string completed = complete(url);
  fuzz::ensure(given.has_value() == !completed.empty(), "refused: libpq does not take it", url);
  if (!given) return 0;

  const auto found = parse(completed);
  fuzz::ensure(found.has_value(), "what is completed can be read", completed);
  for (const auto& [keyword, value] : *given) {
    if (keyword == "client_encoding") continue;  // ours: bodies are sent byte for byte
    const auto it = found->find(keyword);
    fuzz::ensure(it != found->end() && it->second == value, "what is given is kept", completed);
  }
  fuzz::ensure(found->at("client_encoding") == "UTF8", "texts are UTF-8");
  return 0;
}
