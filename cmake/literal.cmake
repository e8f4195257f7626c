# literal(FILE RESULT): a raw string literal with the file's bytes.
function(literal file result)
  file(READ ${file} text)
  string(FIND "${text}" ")text\"" clash)
  if(NOT clash EQUAL -1)
    message(FATAL_ERROR "${file} holds the end of a raw string literal")
  endif()
  set(${result} "R\"text(${text})text\"" PARENT_SCOPE)
endfunction()
