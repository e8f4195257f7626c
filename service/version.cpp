#include "service/version.hpp"

namespace outboxd::service {

std::string_view version() {
  return OUTBOXD_VERSION;
}
std::string_view revision() {
  return OUTBOXD_REVISION;
}

}  // namespace outboxd::service
