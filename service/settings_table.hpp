// The one table of settings. Parsing, `outboxd config`, `outboxd --help` and the reference in
// docs/reference/configuration.md are all made from it.
#pragma once

#include <chrono>
#include <cstdint>
#include <span>
#include <string_view>
#include <variant>

#include "service/settings.hpp"

namespace outboxd::service {

// Where the value goes; the kind of member decides how the text is read.
using target = std::variant<std::string settings::*, secret settings::*, std::size_t settings::*,
                            byte_size settings::*, std::chrono::milliseconds settings::*,
                            bool settings::*, listen_address settings::*>;

struct setting {
  std::string_view name{};
  target where{};
  std::string_view default_value{};  // as the user would write it; empty: none
  std::string_view fallback{};       // another variable that is read when this one is not set
  std::string_view choices{};        // text: "a|b|c", empty: any; an address: what else it may be
  std::uint64_t lowest = 0;          // counts, bytes, milliseconds
  std::uint64_t highest = 0;
  std::string_view group{};
  std::string_view sentence{};

  bool is_secret() const { return std::holds_alternative<secret settings::*>(where); }
};

std::span<const setting> settings_table();

// What may be written. In full, for errors: "a duration with its unit such as 500ms, …, from 1s to
// 1h"; briefly, for the reference: "a duration from 1s to 1h".
enum class wording { full, brief };
std::string accepted_forms(const setting& s, wording how = wording::full);

}  // namespace outboxd::service
