#include "relay/amqp/confirms.hpp"
