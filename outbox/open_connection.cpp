#include "outbox/open_connection.hpp"

#include "base/tls_words.hpp"

namespace outboxd::outbox {
namespace {

constexpr base::tls_settings called{"sslrootcert", "sslcert and sslkey"};

// Of the last connection of this thread that was closed with its certificate not verified. libpq
// frees OpenSSL's object with the verdict in it before it returns, hence the look at that moment.
thread_local long last_verdict = X509_V_OK;

void keep_verdict(void* connection, void*, CRYPTO_EX_DATA*, int, long, void*) {
  if (connection == nullptr) return;
  const long verdict = SSL_get_verify_result(static_cast<SSL*>(connection));
  if (verdict != X509_V_OK) last_verdict = verdict;
}

// Once for the process: OpenSSL calls it whenever an SSL object is freed.
void keep_verdicts() {
  [[maybe_unused]] static const int index =
      SSL_get_ex_new_index(0, nullptr, nullptr, nullptr, &keep_verdict);
}

bool says(const std::string& message, std::string_view words) {
  return !words.empty() && message.find(words) != std::string::npos;
}

}  // namespace

std::string tls_advice(const std::string& message, long verdict) {
  if (says(message, "certificate verify failed") && verdict != X509_V_OK)
    return base::certificate_words(verdict, "this host", called);
  if (says(message, "server does not support SSL")) {
    return "servers on other hosts are verified (sslmode=verify-full) unless the URL says "
           "otherwise; sslmode=disable does without TLS";
  }
  if (says(message, "does not match host name"))
    return "let the URL say a host that the certificate names (hostaddr is where to connect)";
  for (const base::tls_reason& reason : base::tls_reasons) {
    if (says(message, base::reason_name(reason.code))) return base::refusal_words(reason, called);
  }
  return {};
}

pqxx::connection open_connection(const std::string& conninfo) {
  keep_verdicts();
  last_verdict = X509_V_OK;
  try {
    return pqxx::connection(conninfo);
  } catch (const pqxx::broken_connection& e) {
    const std::string advice = tls_advice(e.what(), last_verdict);
    if (advice.empty()) throw;
    throw pqxx::broken_connection(std::string(e.what()) + ": " + advice);
  }
}

}  // namespace outboxd::outbox
