// What every store does, tested through the seam. Include it in a test program and instantiate
// store_contract with a harness_factory.
#pragma once

#include "tests/support/store_contract_bodies.hpp"
#include "tests/support/store_contract_deferred.hpp"
#include "tests/support/store_contract_locks.hpp"
#include "tests/support/store_contract_pauses.hpp"
#include "tests/support/store_contract_pending.hpp"
#include "tests/support/store_contract_reading.hpp"
#include "tests/support/store_contract_scan.hpp"
#include "tests/support/store_contract_writing.hpp"
