// Connects, and says what libpq does not: of a server's certificate that it could not verify libpq
// only says so, OpenSSL knows why. Blocks; any thread. Throws what libpqxx throws.
#pragma once

#include <pqxx/pqxx>

#include <string>

namespace outboxd::outbox {

// conninfo: as complete_conninfo() makes it.
pqxx::connection open_connection(const std::string& conninfo);

// What libpq's message about a connection that failed means, with OpenSSL's verdict about the
// server's certificate (an X509_V_… of <openssl/x509_vfy.h>); empty where it says enough. Pure.
std::string tls_advice(const std::string& message, long verdict);

}  // namespace outboxd::outbox
