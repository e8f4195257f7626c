// TLS for the shared servers, with any certificate. The ports without TLS stay open. What is
// changed holds for the connections that are made afterwards, a moment later. One thread at a time.
#pragma once

#include <filesystem>
#include <string>

#include "tests/support/certificates.hpp"

namespace outboxd::tests {

// Restarts the broker once. It takes clients with a certificate of `clients` only, and logs in with
// the name in it (EXTERNAL) or with a password.
class tls_rabbitmq {
 public:
  tls_rabbitmq(const certificate& own, const authority& clients);

  int port() const { return port_; }
  void present(const certificate& own);
  void trust(const authority& clients);

 private:
  void give(const char* name, const std::string& file) const;
  void forget_files() const;

  std::filesystem::path home_;
  int port_ = 0;
};

// Members of the role "certified" log in with a certificate of `clients` that has their name; all
// others with their password.
class tls_postgres {
 public:
  tls_postgres(const certificate& own, const authority& clients);

  void present(const certificate& own);
  void trust(const authority& clients);
  // A setting of the server, reloaded.
  void set(const std::string& name, const std::string& value);

 private:
  void give(const char* name, const std::string& file) const;

  std::filesystem::path data_;
};

}  // namespace outboxd::tests
