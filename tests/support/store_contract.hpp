// What every store does, tested through the seam. Include it in a test program and instantiate
// store_contract with a harness_factory.
#pragma once

#include "tests/support/store_contract_reading.hpp"
#include "tests/support/store_contract_writing.hpp"
