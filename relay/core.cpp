#include "relay/core.hpp"
