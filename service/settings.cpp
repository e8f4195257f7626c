#include "service/settings.hpp"
