#include "tests/support/certificates.hpp"

#include <fstream>
#include <iterator>
#include <stdexcept>
#include <vector>

#include "tests/support/child_process.hpp"
#include "tests/support/scratch_directory.hpp"

namespace outboxd::tests {
namespace {

using arguments = std::vector<std::string>;

void openssl(arguments verb, const arguments& more) {
  verb.insert(verb.begin(), "openssl");
  verb.insert(verb.end(), more.begin(), more.end());
  run({verb});
}

// A new key, and with it a certificate of its own (-x509) or a request for one.
void request(const certificate& into, const std::string& name, const arguments& more) {
  openssl({"req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout",
           into.key_file, "-out", into.chain_file, "-subj", "/CN=" + name},
          more);
}

void write(const std::string& file, const std::string& content) {
  std::ofstream out(file);
  out << content;
  out.close();
  if (!out) throw std::runtime_error("cannot write " + file);
}

}  // namespace

authority::authority(const std::string& name) : path_((scratch_directory() / name).string()) {
  const std::string key = path_ + ".ca.key", database = path_ + ".ca.index";
  request({file(), key}, "authority of the test", {"-x509", "-days", "2"});
  write(database, "");
  write(settings(), "[ca]\ndefault_ca = test\n[test]\ncertificate = " + file() +
                        "\nprivate_key = " + key + "\ndatabase = " + database +
                        "\nnew_certs_dir = " + scratch_directory().string() +
                        "\nrand_serial = yes\nunique_subject = no\ndefault_md = sha256\n"
                        "policy = any\ncopy_extensions = copy\n[any]\ncommonName = supplied\n");
}

certificate authority::certify(const std::string& name, validity valid) const {
  const std::string base = path_ + "." + name + (valid == validity::over ? ".over" : "");
  const certificate made{base + ".pem", base + ".key"};
  request({base + ".csr", made.key_file}, name, {"-addext", "subjectAltName=DNS:" + name});
  const arguments from_to = valid == validity::over ? arguments{"-startdate", "20200101000000Z",
                                                                "-enddate", "20200102000000Z"}
                                                    : arguments{"-days", "2"};
  openssl({"ca", "-batch", "-notext", "-config", settings(), "-in", base + ".csr", "-out",
           made.chain_file},
          from_to);
  return made;
}

certificate self_signed(const std::string& host) {
  const std::string base = (scratch_directory() / ("alone." + host)).string();
  const certificate made{base + ".pem", base + ".key"};
  request(made, host, {"-x509", "-days", "2", "-addext", "subjectAltName=DNS:" + host});
  return made;
}

void replace_file(const std::filesystem::path& file, const std::string& content) {
  const std::filesystem::path fresh = file.string() + ".new";
  std::ofstream out(fresh, std::ios::binary);
  std::filesystem::permissions(
      fresh, std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
  out << content;
  out.close();
  if (!out) throw std::runtime_error("cannot write " + fresh.string());
  std::filesystem::rename(fresh, file);
}

std::string file_content(const std::filesystem::path& file) {
  std::ifstream in(file, std::ios::binary);
  if (!in) throw std::runtime_error("cannot read " + file.string());
  return {std::istreambuf_iterator<char>(in), {}};
}

std::string with_password(const certificate& c) {
  std::string locked = c.key_file + ".locked";
  openssl({"ec", "-in", c.key_file, "-out", locked}, {"-aes256", "-passout", "pass:verysecret"});
  return locked;
}

}  // namespace outboxd::tests
