// The facts of a run as tables of tab-separated values, for whoever looks into a failure.
#pragma once

#include "tests/chaos/facts.hpp"

#include <filesystem>

namespace outboxd::chaos {

// rows.tsv, deliveries.tsv, table.tsv and incidents.tsv. Times are milliseconds since the faults
// began.
void write_evidence(const facts& found, const std::filesystem::path& folder);

}  // namespace outboxd::chaos
