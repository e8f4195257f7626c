#include "service/exit_code.hpp"

#include <array>

namespace outboxd::service {
namespace {

constexpr std::array meanings{
    exit_meaning{exit_code::done, "done, or drained cleanly after a signal"},
    exit_meaning{exit_code::unhealthy,
                 "`healthcheck`, `status`: not healthy; `dead show`: no such row"},
    exit_meaning{exit_code::usage,
                 "usage: no such verb or option; `dead retry`, `dead discard`, `replay` without a "
                 "filter, `purge` without an age"},
    exit_meaning{exit_code::unavailable,
                 "a dependency is unavailable (one-shot verbs; `run` waits instead)"},
    exit_meaning{exit_code::bug, "a bug in outboxd; also when its io thread hangs for 30 s"},
    exit_meaning{exit_code::unconfirmed,
                 "the shutdown timeout passed with unconfirmed messages, which the next leader "
                 "sends again, or something did not answer; `replay`, `purge`, `dead retry`, `dead "
                 "discard`: a signal came before the end"},
    exit_meaning{exit_code::forbidden, "a login or a grant is missing"},
    exit_meaning{exit_code::configuration,
                 "bad configuration, a schema that does not fit (`pause`, `resume`, `replay` and "
                 "`purge` want "
                 "version 2), or `check`: a missing exchange"},
};

}  // namespace

std::span<const exit_meaning> exit_meanings() {
  return meanings;
}

}  // namespace outboxd::service
