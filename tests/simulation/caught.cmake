# Passes when a story of the simulation fails and names the invariant.
cmake_minimum_required(VERSION 3.25)
execute_process(COMMAND ${SIMULATION} --gtest_filter=simulation.${STORY} --gtest_brief=1
                RESULT_VARIABLE result OUTPUT_VARIABLE output ERROR_VARIABLE output)
string(REGEX MATCHALL "violated: [a-z_]+" violated "${output}")
list(REMOVE_DUPLICATES violated)
if(result EQUAL 0)
  message(FATAL_ERROR "not caught")
elseif(NOT "violated: ${INVARIANT}" IN_LIST violated)
  message(FATAL_ERROR "expected ${INVARIANT}, got: ${violated} (${result})\n${output}")
endif()
message(STATUS "caught: ${violated}")
