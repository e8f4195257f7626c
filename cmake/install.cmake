# What is installed and where: cmake --install and the package (cmake/package.cmake) have it from here.
include(GNUInstallDirs)
set(OUTBOXD_SHARE ${CMAKE_INSTALL_DATADIR}/outboxd)

install(TARGETS outboxd RUNTIME)
install(DIRECTORY migrations/ DESTINATION ${OUTBOXD_SHARE}/sql FILES_MATCHING PATTERN "*.sql")

# The pages and what they link to, at the places that they have in the sources: a link leads where it does there.
# tests/package/installed_links.py follows them all. Whoever tries deploy/compose in the sources has secrets there.
install(DIRECTORY docs DESTINATION ${CMAKE_INSTALL_DOCDIR})
foreach(file README.md ARCHITECTURE.md CHANGELOG.md CONTRIBUTING.md bench/README.md bench/peers/README.md
             examples/user_card/README.md deploy/systemd/outboxd@.service)
  cmake_path(GET file PARENT_PATH folder)
  install(FILES ${file} DESTINATION ${CMAKE_INSTALL_DOCDIR}/${folder})
endforeach()
install(DIRECTORY deploy/compose deploy/container deploy/helm deploy/kubernetes
        DESTINATION ${CMAKE_INSTALL_DOCDIR}/deploy
        PATTERN secrets EXCLUDE
        PATTERN "*.sh" PERMISSIONS OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE WORLD_READ WORLD_EXECUTE)
# What is in use lies outside of the documents, which an image may leave out; among them there is a link to it.
foreach(file prometheus/outboxd.rules.yml grafana/outboxd-overview.json)
  cmake_path(GET file PARENT_PATH folder)
  install(FILES deploy/${file} DESTINATION ${OUTBOXD_SHARE}/${folder})
  file(RELATIVE_PATH target /${CMAKE_INSTALL_DOCDIR}/deploy/${folder} /${OUTBOXD_SHARE}/${file})
  file(MAKE_DIRECTORY ${PROJECT_BINARY_DIR}/links/${folder})
  file(CREATE_LINK ${target} ${PROJECT_BINARY_DIR}/links/${file} SYMBOLIC)
  install(FILES ${PROJECT_BINARY_DIR}/links/${file} DESTINATION ${CMAKE_INSTALL_DOCDIR}/deploy/${folder})
endforeach()

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
