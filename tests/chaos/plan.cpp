#include "tests/chaos/plan.hpp"

#include <array>

namespace outboxd::chaos {
namespace {

enum class where { both, single, cluster };

struct description {
  std::string_view name;
  track on;
  // How long it lasts, in milliseconds. 0: it is over at once.
  int shortest, longest;
  where in = where::both;
};

// In the order of fault_kind.
constexpr std::array<description, fault_kinds> descriptions{{
    {"broker refused", track::network, 200, 8000},
    {"broker cut", track::network, 0, 0},
    {"broker stalled", track::network, 200, 8000},
    {"broker delayed", track::network, 1000, 8000},
    {"broker trickles", track::network, 1000, 8000},
    {"broker reset", track::network, 0, 0},
    {"database refused", track::network, 200, 8000},
    {"database cut", track::network, 0, 0},
    {"database stalled", track::network, 200, 8000},
    {"database delayed", track::network, 1000, 8000},
    {"database trickles", track::network, 1000, 8000},
    {"database reset", track::network, 0, 0},
    {"broker restarted", track::broker, 0, 3000, where::single},
    {"broker killed", track::broker, 0, 3000, where::single},
    {"memory alarm", track::broker, 1000, 8000},
    {"connections closed", track::broker, 0, 0},
    {"queue deleted", track::broker, 0, 5000, where::single},
    {"quorum queue deleted", track::broker, 0, 5000, where::single},
    {"binding removed", track::broker, 1000, 6000},
    {"exchange deleted", track::broker, 1000, 6000},
    {"permission removed", track::broker, 1000, 6000},
    {"queue full", track::broker, 1000, 8000},
    {"database restarted", track::database, 0, 3000, where::single},
    {"database stopped immediately", track::database, 0, 5000, where::single},
    {"database killed", track::database, 0, 5000, where::single},
    {"backends terminated", track::database, 0, 0},
    {"table locked", track::database, 200, 4000},
    {"sidecar killed", track::sidecars, 0, 2000},
    {"sidecar frozen", track::sidecars, 1000, 15000},
    {"sidecar replaced", track::sidecars, 0, 2000},
    {"node stopped", track::broker, 0, 3000, where::cluster},
    {"node killed", track::broker, 0, 3000, where::cluster},
    {"node drained", track::broker, 1000, 6000, where::cluster},
    {"node cut off", track::broker, 1000, 6000, where::cluster},
    {"leaders moved", track::broker, 0, 0, where::cluster},
    {"database promoted", track::database, 0, 2000, where::cluster},
    {"sidecars replaced in turn", track::sidecars, 0, 500, where::cluster},
}};

const description& of(fault_kind kind) {
  return descriptions[static_cast<std::size_t>(kind)];
}

// Between the end of a fault and the next one of its track, in milliseconds. Long enough for work
// to go on, most of the time; without the database nothing is written, so that is away more rarely.
constexpr int shortest_pause = 500;
constexpr int longest_pause(track on) {
  switch (on) {
    case track::network:
    case track::broker:
      return 8'000;
    case track::sidecars:
      return 12'000;
    case track::database:
      return 20'000;
  }
  return 0;
}

}  // namespace

std::string to_string(profile run) {
  return run == profile::cluster ? "cluster" : "single";
}

std::string_view to_string(fault_kind kind) {
  return of(kind).name;
}

track track_of(fault_kind kind) {
  return of(kind).on;
}

bool belongs_to(fault_kind kind, profile run) {
  const where in = of(kind).in;
  return in == where::both || (in == where::cluster) == (run == profile::cluster);
}

std::vector<fault> plan(track on, moment length, std::uint64_t seed, profile run) {
  luck chance(seed, static_cast<std::uint64_t>(on));
  std::vector<fault> all;
  std::vector<fault_kind> bag;
  moment now{chance.between(0, longest_pause(on))};
  while (now < length) {
    if (bag.empty()) {
      for (std::size_t i = 0; i < fault_kinds; ++i) {
        const auto kind = static_cast<fault_kind>(i);
        if (track_of(kind) == on && belongs_to(kind, run)) bag.push_back(kind);
      }
      chance.shuffle(bag);
    }
    const description& what = of(bag.back());
    const moment lasts{chance.between(what.shortest, what.longest)};
    all.push_back({bag.back(), now, lasts, chance.number()});
    bag.pop_back();
    now += lasts + moment(chance.between(shortest_pause, longest_pause(on)));
  }
  return all;
}

}  // namespace outboxd::chaos
