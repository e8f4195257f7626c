# What is installed and where: cmake --install and the package (cmake/package.cmake) have it from here.
include(GNUInstallDirs)
set(OUTBOXD_SHARE ${CMAKE_INSTALL_DATADIR}/outboxd)

install(TARGETS outboxd RUNTIME)
install(DIRECTORY migrations/ DESTINATION ${OUTBOXD_SHARE}/sql FILES_MATCHING PATTERN "*.sql")
install(FILES deploy/prometheus/outboxd.rules.yml DESTINATION ${OUTBOXD_SHARE}/prometheus)
install(FILES deploy/grafana/outboxd-overview.json DESTINATION ${OUTBOXD_SHARE}/grafana)
install(FILES docs/security.md DESTINATION ${CMAKE_INSTALL_DOCDIR})
install(DIRECTORY docs/operations docs/reference DESTINATION ${CMAKE_INSTALL_DOCDIR})

# Where this release of Debian keeps units. The default is right wherever /lib is /usr/lib.
pkg_get_variable(unit_folder systemd systemdsystemunitdir)
if(NOT unit_folder)
  set(unit_folder /usr/lib/systemd/system)
endif()
set(OUTBOXD_UNIT_FOLDER ${unit_folder} CACHE PATH "Where the systemd unit is installed")
install(FILES deploy/systemd/outboxd@.service DESTINATION ${OUTBOXD_UNIT_FOLDER})

# Pages that the program prints about itself. Under a sanitizer it may not be able to run while it is built.
if(OUTBOXD_SANITIZE)
  return()
endif()
set(pages ${PROJECT_BINARY_DIR}/pages)
file(MAKE_DIRECTORY ${pages})
# outboxd_page(PAGE FILE FOLDER)
function(outboxd_page page file folder)
  set(output ${pages}/${file})
  add_custom_command(
    OUTPUT ${output}
    COMMAND ${CMAKE_COMMAND} -D PROGRAM=$<TARGET_FILE:outboxd> -D PAGE=${page} -D OUTPUT=${output}
            -P ${PROJECT_SOURCE_DIR}/cmake/print_page.cmake
    DEPENDS outboxd ${PROJECT_SOURCE_DIR}/cmake/print_page.cmake
    COMMENT "Printing ${file}" VERBATIM)
  install(FILES ${output} DESTINATION ${folder})
  set(printed ${printed} ${output} PARENT_SCOPE)
endfunction()
outboxd_page(man outboxd.1.gz ${CMAKE_INSTALL_MANDIR}/man1)
outboxd_page(man-env outboxd.env.5.gz ${CMAKE_INSTALL_MANDIR}/man5)
outboxd_page(example outboxd.env ${OUTBOXD_SHARE})
outboxd_page(bash outboxd ${CMAKE_INSTALL_DATADIR}/bash-completion/completions)
outboxd_page(zsh _outboxd ${CMAKE_INSTALL_DATADIR}/zsh/vendor-completions)
outboxd_page(fish outboxd.fish ${CMAKE_INSTALL_DATADIR}/fish/vendor_completions.d)
add_custom_target(outboxd_pages ALL DEPENDS ${printed})
