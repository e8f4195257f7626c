#include "examples/user_card/demo/verdict.hpp"

#include <algorithm>

namespace user_card::demo {
namespace {

std::map<std::int64_t, std::vector<std::int64_t>> by_user(const std::vector<card>& cards) {
  std::map<std::int64_t, std::vector<std::int64_t>> ids;
  for (const auto& each : cards) ids[each.user_id].push_back(each.id);
  return ids;
}

using versions_by_user = std::map<std::int64_t, std::set<int>>;

// Every event of a committed user was heard, and its card stands once on either side.
std::int64_t count_lost(const facts& found, const versions_by_user& heard_versions) {
  const auto created = by_user(found.created_cards);
  const auto saved = by_user(found.saved_cards);
  const auto arrived = [&](std::int64_t id, const user& committed) {
    const auto copy = found.copies.find(id);
    const auto versions = heard_versions.find(id);
    const auto created_card = created.find(id);
    const auto saved_card = saved.find(id);
    return copy != found.copies.end() && copy->second.version == committed.version &&
           copy->second.name == committed.name && versions != heard_versions.end() &&
           std::ssize(versions->second) == committed.version && created_card != created.end() &&
           created_card->second.size() == 1 && saved_card != saved.end() &&
           saved_card->second == created_card->second;
  };
  return std::ranges::count_if(found.users,
                               [&](const auto& each) { return !arrived(each.first, each.second); });
}

std::int64_t count_phantoms(const facts& found) {
  std::set<std::int64_t> strangers;
  const auto meet = [&](std::int64_t id) {
    if (!found.users.contains(id)) strangers.insert(id);
  };
  std::set<std::string> ghosts;
  const auto call = [&](const std::string& name) {
    if (found.rolled_back.contains(name)) ghosts.insert(name);
  };
  for (const auto& each : found.history) meet(each.user_id), call(each.name);
  for (const auto& [id, copy] : found.copies) meet(id), call(copy.name);
  for (const auto& each : found.created_cards) meet(each.user_id);
  for (const auto& each : found.saved_cards) meet(each.user_id);
  return std::ssize(strangers) + std::ssize(ghosts);
}

}  // namespace

bool verdict::holds() const {
  return users_committed > 0 && cards_stored == users_committed && lost == 0 && phantom == 0 &&
         handled_twice == 0 && out_of_order == 0 && waiting == 0 && dead == 0;
}

verdict judge(const facts& found) {
  verdict result;
  result.users_committed = std::ssize(found.users);
  result.rolled_back = std::ssize(found.rolled_back);
  result.cards_stored = std::ssize(found.saved_cards);
  result.phantom = count_phantoms(found);
  result.duplicates = found.duplicates;
  result.waiting = found.waiting;
  result.dead = found.dead_rows + found.dead_letters;

  versions_by_user versions;
  for (const auto& each : found.history) {
    auto& before = versions[each.user_id];
    if (before.contains(each.version)) ++result.handled_twice;
    if (!before.empty() && each.version < *before.rbegin()) ++result.out_of_order;
    before.insert(each.version);
  }
  result.lost = count_lost(found, versions);
  return result;
}

}  // namespace user_card::demo
