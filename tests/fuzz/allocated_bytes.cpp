#include "tests/fuzz/fuzz.hpp"

#if defined(__SANITIZE_ADDRESS__)
#define OUTBOXD_ADDRESS_SANITIZER
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define OUTBOXD_ADDRESS_SANITIZER
#endif
#endif

#ifdef OUTBOXD_ADDRESS_SANITIZER
// The sanitizer of GCC has it too, but not clang's header <sanitizer/allocator_interface.h>.
extern "C" std::size_t __sanitizer_get_current_allocated_bytes();
#else
#include <malloc.h>
#endif

namespace outboxd::fuzz {

std::size_t allocated_bytes() {
#ifdef OUTBOXD_ADDRESS_SANITIZER
  return __sanitizer_get_current_allocated_bytes();
#else
  const struct mallinfo2 all = mallinfo2();
  return all.uordblks + all.hblkhd;
#endif
}

}  // namespace outboxd::fuzz
