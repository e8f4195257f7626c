#include "tests/support/sidecar.hpp"

#include <boost/asio/ip/tcp.hpp>
#include <boost/json.hpp>

#include <unistd.h>

#include <fstream>
#include <sstream>
#include <stdexcept>

#include "tests/support/eventually.hpp"

namespace outboxd::tests {
namespace {

using namespace std::chrono_literals;

}  // namespace

sidecar::sidecar(const std::string& database_url, const std::string& amqp_url,
                 const settings& more) {
  command c{.argv = {OUTBOXD_BINARY, "run"},
            .env = {{"OUTBOX_DATABASE_URL", database_url},
                    {"OUTBOX_AMQP_URL", amqp_url},
                    {"OUTBOX_HTTP_LISTEN", "127.0.0.1:0"},
                    {"OUTBOX_ADMIN_LISTEN", "127.0.0.1:0"},
                    {"OUTBOX_LOG_FORMAT", "json"},
                    {"OUTBOX_POLL_INTERVAL", "1m"},
                    {"OUTBOX_RETRY_MIN", "50ms"},
                    {"OUTBOX_RETRY_MAX", "500ms"}}};
  for (const auto& [name, value] : more) {
    c.env[name] = value;
    if (name.ends_with("_FILE")) c.env.erase(name.substr(0, name.size() - 5));
  }
  process_ = std::make_unique<child_process>(c);
}

void sidecar::await_ready() {
  const bool ready = eventually(60s, [this] {
    if (!running()) throw std::runtime_error("the sidecar has ended:\n" + log());
    return get("/metrics").find("\noutbox_leader 1") != std::string::npos &&
           get("/metrics").find("\noutbox_broker_connected 1") != std::string::npos;
  });
  if (!ready)
    throw std::runtime_error("the sidecar did not get ready:\n" + get("/readyz?verbose") + log());
}

bool sidecar::logged(const std::string& event) const {
  return log().find("\"event\":\"" + event + "\"") != std::string::npos;
}

// The port it got: it is told to take any.
std::optional<int> sidecar::http_port() const {
  if (http_port_) return http_port_;
  std::istringstream lines(log());
  for (std::string line; std::getline(lines, line);) {
    if (line.find("\"service.started\"") == std::string::npos) continue;
    const auto port = boost::json::parse(line).at("http_port");
    http_port_ =
        port.is_string() ? std::stoi(std::string(port.as_string())) : port.to_number<int>();
  }
  return http_port_;
}

std::string sidecar::get(const std::string& path) const {
  const auto port = http_port();
  if (!port) return {};
  boost::asio::ip::tcp::iostream http;
  http.expires_after(30s);
  http.connect("127.0.0.1", std::to_string(*port));
  http << "GET " << path << " HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
       << std::flush;
  std::ostringstream all;
  all << http.rdbuf();
  const std::string response = all.str();
  const auto body = response.find("\r\n\r\n");
  return body == std::string::npos ? std::string() : response.substr(body + 4);
}

double sidecar::metric(const std::string& sample) const {
  std::istringstream lines(get("/metrics"));
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with(sample + " ")) return std::stod(line.substr(sample.size() + 1));
  }
  throw std::runtime_error("no sample " + sample);
}

std::size_t sidecar::resident_bytes() const {
  std::ifstream statm("/proc/" + std::to_string(process_->pid()) + "/statm");
  std::size_t total = 0, resident = 0;
  statm >> total >> resident;
  return resident * 4096;
}

// Fields 14 and 15 of the process's line; what is before the ')' may hold spaces.
double sidecar::cpu_seconds() const {
  std::ifstream stat("/proc/" + std::to_string(process_->pid()) + "/stat");
  std::string line;
  std::getline(stat, line);
  std::istringstream fields(line.substr(line.rfind(')') + 1));
  std::string skipped;
  for (int field = 3; field < 14; ++field) fields >> skipped;
  double user = 0, system = 0;
  fields >> user >> system;
  return (user + system) / static_cast<double>(::sysconf(_SC_CLK_TCK));
}

}  // namespace outboxd::tests
