#include "outbox/reader.hpp"
