// What OpenSSL's verdicts and alerts mean for an operator, in words that say which of the two sides
// has to be changed, and by which setting. Pure.
#pragma once

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509_vfy.h>

#include <optional>
#include <string>
#include <string_view>

namespace outboxd::base {

// What the settings are called, which differs between the two sides.
struct tls_settings {
  std::string_view authority;    // the file of those who may sign the server's certificate
  std::string_view certificate;  // our own certificate and its key
};

// Why the server's certificate was not accepted.
inline std::string certificate_words(long verdict, const std::string& expected_name,
                                     const tls_settings& settings) {
  const std::string set_authority =
      " (" + std::string(settings.authority) + " names the authority)";
  switch (verdict) {
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH:
      return "the server's certificate is not for " + expected_name;
    case X509_V_ERR_CERT_HAS_EXPIRED:
      return "the server's certificate has expired: it has to be renewed there";
    case X509_V_ERR_CERT_NOT_YET_VALID:
      return "the server's certificate is not valid yet: is a clock wrong?";
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
      return "the server's certificate cannot be trusted: it is self-signed, and not itself among "
             "the authorities" +
             set_authority;
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    case X509_V_ERR_CERT_SIGNATURE_FAILURE:
      return "the server's certificate cannot be trusted: it is signed by an unknown authority" +
             set_authority;
    default:
      return std::string("the server's certificate cannot be trusted: ") +
             X509_verify_cert_error_string(verdict) + set_authority;
  }
}

enum class tls_refusal {
  version,
  no_tls,
  certificate_wanted,
  handshake,
  certificate_refused,
  name_unknown
};

struct tls_reason {
  int code;  // of OpenSSL
  tls_refusal meaning;
};

// "alert" in a name: the server said so.
inline constexpr tls_reason tls_reasons[] = {
    {SSL_R_TLSV1_ALERT_PROTOCOL_VERSION, tls_refusal::version},
    {SSL_R_UNSUPPORTED_PROTOCOL, tls_refusal::version},
    {SSL_R_WRONG_VERSION_NUMBER, tls_refusal::no_tls},
    {SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED, tls_refusal::certificate_wanted},
    {SSL_R_SSLV3_ALERT_HANDSHAKE_FAILURE, tls_refusal::handshake},
    {SSL_R_TLSV1_ALERT_UNKNOWN_CA, tls_refusal::certificate_refused},
    {SSL_R_SSLV3_ALERT_BAD_CERTIFICATE, tls_refusal::certificate_refused},
    {SSL_R_SSLV3_ALERT_CERTIFICATE_EXPIRED, tls_refusal::certificate_refused},
    {SSL_R_SSLV3_ALERT_CERTIFICATE_REVOKED, tls_refusal::certificate_refused},
    {SSL_R_SSLV3_ALERT_CERTIFICATE_UNKNOWN, tls_refusal::certificate_refused},
    {SSL_R_SSLV3_ALERT_UNSUPPORTED_CERTIFICATE, tls_refusal::certificate_refused},
    {SSL_R_TLSV1_UNRECOGNIZED_NAME, tls_refusal::name_unknown},
};

// OpenSSL's own name of a reason; libpq's messages quote it.
inline std::string reason_name(int code) {
  const char* const name = ERR_reason_error_string(ERR_PACK(ERR_LIB_SSL, 0, code));
  return name != nullptr ? name : "";
}

inline std::string refusal_words(const tls_reason& reason, const tls_settings& settings) {
  const std::string said = " (" + reason_name(reason.code) + ")";
  const std::string set_certificate = std::string(settings.certificate) + " in the URL name it";
  switch (reason.meaning) {
    case tls_refusal::version:
      return "the server speaks only TLS older than 1.2, which is not accepted" + said;
    case tls_refusal::no_tls:
      return "what the server answers is not TLS: is this its TLS port?" + said;
    case tls_refusal::certificate_wanted:
      return "the server wants a client certificate: " + set_certificate + said;
    case tls_refusal::handshake:
      return "the server ended the TLS handshake: it may want a client certificate (" +
             set_certificate + "), or has no cipher in common" + said;
    case tls_refusal::certificate_refused:
      return "the server does not accept our client certificate: " + set_certificate +
             ", and the server has to trust its authority" + said;
    case tls_refusal::name_unknown:
      return "the server has no certificate for the name we asked for" + said;
  }
  return said;
}

inline const tls_reason* find_reason(unsigned long openssl_error) {
  if (ERR_GET_LIB(openssl_error) != ERR_LIB_SSL) return nullptr;
  for (const tls_reason& r : tls_reasons)
    if (r.code == ERR_GET_REASON(openssl_error)) return &r;
  return nullptr;
}

}  // namespace outboxd::base
