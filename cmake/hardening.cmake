# What is shipped (Release, RelWithDebInfo, MinSizeRel) checks itself at run time where that is cheap.
include(CheckCXXCompilerFlag)
include(CheckPIESupported)
check_pie_supported()

set(shipped "$<CONFIG:Release,RelWithDebInfo,MinSizeRel>")
# Ubuntu's compiler defines the first one itself, hence the -U.
add_compile_options("$<${shipped}:-U_FORTIFY_SOURCE;-D_FORTIFY_SOURCE=3;-D_GLIBCXX_ASSERTIONS>")
# A bug ends the process, there too: the next leader goes on from what is in the table.
add_compile_options("$<${shipped}:-UNDEBUG>")
foreach(flag -fstack-protector-strong -fstack-clash-protection -fcf-protection)
  string(MAKE_C_IDENTIFIER "OUTBOXD_HAS${flag}" known)
  check_cxx_compiler_flag(${flag} ${known})
  if(${known})
    add_compile_options("$<${shipped}:${flag}>")
  endif()
endforeach()
add_link_options("$<${shipped}:LINKER:-z,relro,-z,now,-z,noexecstack>")
