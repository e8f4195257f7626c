# Every library the project uses, each with its reason. The Debian packages are listed in ./dev (deps).
find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)
find_package(OpenSSL REQUIRED)                             # TLS under asio::ssl
find_package(Boost 1.81 REQUIRED CONFIG COMPONENTS json url)  # Asio and Beast (headers), JSON, URL
find_package(spdlog REQUIRED)                              # log sinks and formatting
find_package(CLI11 REQUIRED)                               # command line
find_package(prometheus-cpp REQUIRED)                      # only ::core: registry and text serializer
pkg_check_modules(LIBPQXX REQUIRED IMPORTED_TARGET libpqxx)        # PostgreSQL, in outbox/ and the example only
pkg_check_modules(LIBPQ REQUIRED IMPORTED_TARGET libpq)            # under libpqxx; its parser of connection strings
pkg_check_modules(LIBSYSTEMD REQUIRED IMPORTED_TARGET libsystemd)  # tells systemd how the process is (sd_notify)
pkg_check_modules(LIBRABBITMQ REQUIRED IMPORTED_TARGET librabbitmq)  # AMQP codec (relay/amqp), client (example)
if(OUTBOXD_TESTS)
  find_package(GTest REQUIRED)
endif()

# Asio, Beast and SSL are compiled once, here, instead of in every file that includes them.
add_library(outboxd_asio STATIC ${CMAKE_CURRENT_LIST_DIR}/asio.cpp)
target_compile_definitions(outboxd_asio PUBLIC BOOST_ASIO_SEPARATE_COMPILATION BOOST_BEAST_SEPARATE_COMPILATION
                                               BOOST_ASIO_NO_DEPRECATED)
target_link_libraries(outboxd_asio PUBLIC Boost::headers OpenSSL::SSL OpenSSL::Crypto Threads::Threads)
