// The texts that the demo prints. Pure.
#pragma once

#include "examples/user_card/demo/ledger.hpp"
#include "examples/user_card/demo/stage.hpp"
#include "examples/user_card/demo/verdict.hpp"

#include <string>

namespace user_card::demo {

std::string live_line(const progress& now, bool databases_reachable, const std::string& fault);
// held: the verdict holds, and nothing else went wrong.
std::string table(const verdict& reached, bool held);
std::string addresses(const stage& on);

}  // namespace user_card::demo
