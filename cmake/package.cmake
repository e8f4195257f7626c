# The Debian package: cpack --config build/PRESET/CPackConfig.cmake, or ./dev package.
set(cli11_notice /usr/share/doc/libcli11-dev/copyright)
if(OUTBOXD_SANITIZE OR NOT EXISTS ${cli11_notice})
  return()
endif()

set(OUTBOXD_MAINTAINER "The outboxd maintainers <maintainers@outboxd.invalid>" CACHE STRING
    "Who answers for the package: the owners have named no address yet")
set(debian_revision 1)
set(debian ${PROJECT_BINARY_DIR}/debian)

# The date of what is packed, not of the packing: the same commit gives the same files.
execute_process(COMMAND git log -1 --format=%ct WORKING_DIRECTORY ${PROJECT_SOURCE_DIR}
                OUTPUT_VARIABLE committed OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
if(committed AND NOT DEFINED ENV{SOURCE_DATE_EPOCH})
  set(ENV{SOURCE_DATE_EPOCH} ${committed})
endif()
string(TIMESTAMP OUTBOXD_DATE "%a, %d %b %Y %H:%M:%S +0000" UTC)
string(TIMESTAMP OUTBOXD_YEAR "%Y" UTC)

# CLI11 is headers only, and its licence wants its notice beside a binary that holds it. What else is compiled in
# comes with a library that the package depends on, and with that library's notice.
file(READ ${cli11_notice} CLI11_NOTICE)

set(OUTBOXD_DEBIAN_VERSION ${PROJECT_VERSION}-${debian_revision})
configure_file(deploy/debian/copyright.in ${debian}/copyright @ONLY)
configure_file(deploy/debian/changelog.in ${debian}/changelog.Debian @ONLY)
configure_file(CHANGELOG.md ${debian}/changelog COPYONLY)
foreach(log changelog changelog.Debian)
  execute_process(COMMAND gzip -9nkf ${debian}/${log} COMMAND_ERROR_IS_FATAL ANY)
endforeach()
install(FILES ${debian}/copyright ${debian}/changelog.gz ${debian}/changelog.Debian.gz
        DESTINATION ${CMAKE_INSTALL_DOCDIR})
install(FILES deploy/debian/lintian-overrides DESTINATION ${CMAKE_INSTALL_DATADIR}/lintian/overrides RENAME outboxd)
# Settings hold passwords. systemd reads them as root before it starts the unit's own user.
install(DIRECTORY DESTINATION /etc/outboxd DIRECTORY_PERMISSIONS OWNER_READ OWNER_WRITE OWNER_EXECUTE)

set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME outboxd)
set(CPACK_PACKAGE_CONTACT ${OUTBOXD_MAINTAINER})
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "relays a PostgreSQL outbox table to RabbitMQ")
set(CPACK_DEBIAN_PACKAGE_DESCRIPTION "outboxd publishes the committed rows of a table to RabbitMQ: in the order of
each key, at least once, and never a row whose transaction was rolled back.
Services write to the table in SQL and need no library. Any number of
replicas may run on one table; one relays and the others stand by.
.
This package has the program, a systemd unit with one instance for each
service, the SQL of the schema, alerts for Prometheus, a dashboard for Grafana,
pages of the manual and completions for bash, zsh and fish.")
set(CPACK_DEBIAN_PACKAGE_RELEASE ${debian_revision})
set(CPACK_DEBIAN_PACKAGE_SECTION net)
set(CPACK_DEBIAN_PACKAGE_SUGGESTS "amqp-tools, postgresql-client")
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)  # what it depends on is read off the binary
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
set(CPACK_DEBIAN_PACKAGE_CONTROL_EXTRA
    ${PROJECT_SOURCE_DIR}/deploy/debian/postinst ${PROJECT_SOURCE_DIR}/deploy/debian/prerm
    ${PROJECT_SOURCE_DIR}/deploy/debian/postrm)
set(CPACK_STRIP_FILES ON)
set(CPACK_INSTALL_DEFAULT_DIRECTORY_PERMISSIONS
    OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE WORLD_READ WORLD_EXECUTE)
# With DESTDIR, because the unit and /etc lie outside of the prefix.
set(CPACK_SET_DESTDIR ON)
set(CPACK_INSTALL_PREFIX /usr)
include(CPack)
