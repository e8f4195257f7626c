#include "outbox/wake.hpp"
