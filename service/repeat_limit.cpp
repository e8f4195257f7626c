#include "service/repeat_limit.hpp"

#include <algorithm>
#include <array>
#include <utility>

namespace outboxd::service {
namespace {

using namespace std::chrono_literals;

constexpr auto interval = 10s;
constexpr std::size_t subjects_told_apart = 32;  // for each event

// What a line is about. Each has few values, but for the exchange, which comes from rows.
constexpr std::array<std::string_view, 6> subject_fields{"lane",   "node", "exchange",
                                                         "reason", "code", "state"};

std::string value_of(std::string_view key, std::span<const base::field> fields) {
  const auto found =
      std::find_if(fields.begin(), fields.end(), [&](const auto& f) { return f.key == key; });
  return found == fields.end() ? std::string() : found->value;
}

std::string subject(std::span<const base::field> fields) {
  std::string all;
  for (const auto key : subject_fields) all += value_of(key, fields) + '\n';
  return all;
}

// "database" of "database.failed".
std::string_view part(std::string_view event) {
  return event.substr(0, event.find('.'));
}

}  // namespace

repeat_limit::repeat_limit(base::logger& to, std::function<clock::time_point()> now)
    : to_(to), now_(std::move(now)) {}

void repeat_limit::write(base::severity level, std::string_view event,
                         std::span<const base::field> fields) {
  if (level == base::severity::debug) return to_.write(level, event, fields);
  const std::lock_guard lock(mutex_);
  const auto now = now_();
  entry& e = entry_of(event, fields);
  if (now < e.next) {
    ++e.left_out;
    e.position = ++lines_;
    e.level = level;
    e.fields.clear();
    for (const auto& f : fields) e.fields.push_back({std::string(f.key), f.value, f.bare});
    return;
  }
  if (level == base::severity::info) {
    catch_up(
        [&](const entry& other) {
          return &other != &e && part(other.event) == part(event) && other.lane == e.lane;
        },
        now);
  }
  std::vector<base::field> all(fields.begin(), fields.end());
  if (e.left_out > 0) all.emplace_back("left_out", std::exchange(e.left_out, 0u));
  to_.write(level, event, std::span<const base::field>(all));
  e.next = now + interval;
}

// All together and in their order, so that the last line of a part says how it is.
void repeat_limit::tick() {
  const std::lock_guard lock(mutex_);
  const auto now = now_();
  bool due = false;
  for (auto& [event, subjects] : events_) {
    std::erase_if(subjects, [&](const auto& item) {
      return item.second.left_out == 0 && item.second.next <= now;
    });
    for (const auto& [about, e] : subjects) due = due || (e.left_out > 0 && e.next <= now);
  }
  if (due) catch_up([](const entry&) { return true; }, now);
}

void repeat_limit::finish() {
  const std::lock_guard lock(mutex_);
  catch_up([](const entry&) { return true; }, now_());
}

repeat_limit::entry& repeat_limit::entry_of(std::string_view event,
                                            std::span<const base::field> fields) {
  auto& subjects = events_[std::string(event)];
  auto about = subject(fields);
  if (subjects.size() >= subjects_told_apart && !subjects.contains(about)) about = "others";
  entry& e = subjects[about];
  if (e.event.empty()) {
    e.event = event;
    e.lane = value_of("lane", fields);
  }
  return e;
}

void repeat_limit::catch_up(const std::function<bool(const entry&)>& wanted,
                            clock::time_point now) {
  std::vector<entry*> left;
  for (auto& [event, subjects] : events_) {
    for (auto& [about, e] : subjects) {
      if (e.left_out > 0 && wanted(e)) left.push_back(&e);
    }
  }
  std::sort(left.begin(), left.end(),
            [](const entry* a, const entry* b) { return a->position < b->position; });
  for (entry* e : left) write_left_out(*e, now);
}

void repeat_limit::write_left_out(entry& e, clock::time_point now) {
  std::vector<base::field> fields;
  for (const auto& f : e.fields) {
    fields.emplace_back(f.key, f.value);
    fields.back().bare = f.bare;
  }
  const auto others = std::exchange(e.left_out, 0u) - 1;
  if (others > 0) fields.emplace_back("left_out", others);
  to_.write(e.level, e.event, std::span<const base::field>(fields));
  e.next = now + interval;
}

}  // namespace outboxd::service
