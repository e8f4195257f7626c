# What every target of ours is compiled with. Third-party headers are SYSTEM and stay silent.
function(outboxd_target target)
  target_include_directories(${target} PUBLIC ${PROJECT_SOURCE_DIR})
  target_compile_options(${target} PRIVATE -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wnon-virtual-dtor
                                           -Woverloaded-virtual -Werror)
  if(OUTBOXD_SANITIZE)
    target_compile_options(${target} PRIVATE -fsanitize=${OUTBOXD_SANITIZE} -fno-sanitize-recover=all
                                             -fno-omit-frame-pointer)
    target_link_options(${target} PRIVATE -fsanitize=${OUTBOXD_SANITIZE})
    if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
      # With a sanitizer GCC finds this in the standard library's <regex>, among others, where it is not.
      target_compile_options(${target} PRIVATE -Wno-maybe-uninitialized)
    endif()
  endif()
endfunction()
if(OUTBOXD_SANITIZE)
  # Asio is header code of ours as far as a sanitizer is concerned: it must see both sides of every access.
  target_compile_options(outboxd_asio PRIVATE -fsanitize=${OUTBOXD_SANITIZE} -fno-omit-frame-pointer)
  if(OUTBOXD_SANITIZE MATCHES thread)
    # GCC's thread sanitizer does not know memory fences; Asio is as correct without these, only slower.
    target_compile_definitions(outboxd_asio PUBLIC BOOST_ASIO_DISABLE_FENCED_BLOCK)
  endif()
endif()
