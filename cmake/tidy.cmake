# clang-tidy over our own sources, with the flags they are compiled with: cmake --build … --target tidy
find_program(OUTBOXD_RUN_CLANG_TIDY run-clang-tidy)
if(OUTBOXD_RUN_CLANG_TIDY)
  add_custom_target(tidy
    COMMAND ${OUTBOXD_RUN_CLANG_TIDY} -quiet -p ${PROJECT_BINARY_DIR} -extra-arg=-Wno-unknown-warning-option
            "${PROJECT_SOURCE_DIR}/(base|outbox|relay|service|examples|tests|bench)/.*cpp$$"
    WORKING_DIRECTORY ${PROJECT_SOURCE_DIR}
    USES_TERMINAL VERBATIM)
endif()
