// Certificates made for a test, by openssl(1), in the scratch directory. Throws when that fails.
#pragma once

#include <filesystem>
#include <string>

namespace outboxd::tests {

// PEM files.
struct certificate {
  std::string chain_file, key_file;
};

// Valid from now on, or for none of the past day.
enum class validity { now, over };

class authority {
 public:
  // name: of the files, and of nobody else's in this test process.
  explicit authority(const std::string& name);

  std::string file() const { return path_ + ".ca.pem"; }

  // name: the host, or the user.
  certificate certify(const std::string& name, validity valid = validity::now) const;

 private:
  std::string settings() const { return path_ + ".ca.conf"; }

  std::string path_;
};

certificate self_signed(const std::string& host);

// Replaced as a whole, as Kubernetes does it with secrets: nobody reads half a file.
void replace_file(const std::filesystem::path& file, const std::string& content);
std::string file_content(const std::filesystem::path& file);

// A key that only its password opens.
std::string with_password(const certificate& c);

}  // namespace outboxd::tests
