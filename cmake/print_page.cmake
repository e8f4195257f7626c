# Writes OUTPUT, a page that PROGRAM prints about itself (config --reference PAGE); compressed if it ends in .gz.
cmake_minimum_required(VERSION 3.25)
string(REGEX REPLACE "\\.gz$" "" plain "${OUTPUT}")
execute_process(COMMAND ${PROGRAM} config --reference ${PAGE} OUTPUT_FILE ${plain} COMMAND_ERROR_IS_FATAL ANY)
if(NOT plain STREQUAL OUTPUT)
  # Without name and time, so that the same page is always the same file.
  execute_process(COMMAND gzip -9nf ${plain} COMMAND_ERROR_IS_FATAL ANY)
endif()
