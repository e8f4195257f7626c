# Proof that the simulation sees what it should: one line of a copy is broken, and the simulation
# must fail, naming the promise. No hook in the code under test; a line that is not there exactly
# once stops the configuration.
#
#   outboxd_mutation(name BREAKS invariants IN story FILE path REPLACE text BY text
#                    [RECOMPILE paths…])
#
# `invariants`: the promises it breaks, which of them first is the seed's choice. `story`: the test
# in which it shows. A header takes the sources that include it with it.
if(POLICY CMP0174)
  cmake_policy(SET CMP0174 NEW) # BY "" is a text like any other
endif()
function(outboxd_mutation name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "IN;FILE;REPLACE;BY" "BREAKS;RECOMPILE")
  list(JOIN arg_BREAKS "," invariants)
  set(folder ${CMAKE_CURRENT_BINARY_DIR}/mutations/${name})
  set(original ${PROJECT_SOURCE_DIR}/${arg_FILE})
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${original})

  file(READ ${original} text)
  string(FIND "${text}" "${arg_REPLACE}" first)
  string(FIND "${text}" "${arg_REPLACE}" last REVERSE)
  if(first EQUAL -1 OR NOT first EQUAL last)
    message(FATAL_ERROR "mutation ${name}: not exactly once in ${arg_FILE}:\n${arg_REPLACE}")
  endif()
  string(REPLACE "${arg_REPLACE}" "${arg_BY}" text "${text}")
  file(CONFIGURE OUTPUT ${folder}/${arg_FILE} CONTENT "${text}" @ONLY)

  set(sources ${arg_RECOMPILE})
  list(TRANSFORM sources PREPEND ${PROJECT_SOURCE_DIR}/)
  if(arg_FILE MATCHES "[.]cpp$")
    list(APPEND sources ${folder}/${arg_FILE})
  endif()
  # Objects come before libraries: what is defined here is not taken from there.
  set(others ${outboxd_simulation_sources})
  foreach(file ${arg_FILE} ${arg_RECOMPILE})
    cmake_path(GET file FILENAME file_name)
    list(REMOVE_ITEM others ${file_name})
  endforeach()
  set(objects "$<TARGET_OBJECTS:outboxd_simulation>")
  foreach(file ${outboxd_simulation_sources})
    if(NOT file IN_LIST others)
      set(objects "$<FILTER:${objects},EXCLUDE,/${file}[.]o$>")
    endif()
  endforeach()
  add_executable(mutation_${name} ${sources} ${objects})
  outboxd_target(mutation_${name})
  target_include_directories(mutation_${name} BEFORE PRIVATE ${folder})
  target_link_libraries(mutation_${name} PRIVATE outboxd_relay outboxd_amqp GTest::gtest_main)
  set_target_properties(mutation_${name} PROPERTIES CXX_CLANG_TIDY "" EXPORT_COMPILE_COMMANDS OFF)
  add_test(NAME mutation.${name}
           COMMAND ${CMAKE_COMMAND} -DSIMULATION=$<TARGET_FILE:mutation_${name}>
                   -DINVARIANTS=${invariants} -DSTORY=${arg_IN} -P ${CMAKE_CURRENT_SOURCE_DIR}/caught.cmake)
  set_tests_properties(mutation.${name} PROPERTIES LABELS unit TIMEOUT 300)
endfunction()
