#include "service/reference.hpp"

#include <algorithm>
#include <array>
#include <cassert>

#include "service/completions.hpp"
#include "service/man_pages.hpp"
#include "service/metrics_table.hpp"
#include "service/settings_text.hpp"

namespace outboxd::service {
namespace {

struct page {
  std::string_view name;
  std::string (*print)();
};

constexpr std::array pages{
    page{"configuration", settings_reference},
    page{"metrics", metrics_reference},
    page{"example", settings_example},
    page{"man", man_page},
    page{"man-env", settings_man_page},
    page{"bash", bash_completion},
    page{"zsh", zsh_completion},
    page{"fish", fish_completion},
};

}  // namespace

std::vector<std::string> reference_names() {
  std::vector<std::string> names;
  names.reserve(pages.size());
  for (const auto& p : pages) names.emplace_back(p.name);
  return names;
}

std::string reference_page(std::string_view name) {
  const auto* found = std::ranges::find(pages, name, &page::name);
  assert(found != pages.end());
  return found->print();
}

}  // namespace outboxd::service
