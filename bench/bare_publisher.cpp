// What the broker can take: a publisher that does nothing else. One persistent, mandatory message
// is encoded once and written again and again, many to a write; confirms are counted as they come.
// No relay can be faster on this broker, so every rate is read against this one.
//
// Styles: window (confirms awaited while publishing goes on), batch (so many published, then all
// confirms awaited), tx (so many published, then tx.commit awaited). A window or batch of one is
// the publisher that waits for each confirm.
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <CLI/CLI.hpp>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <memory>
#include <set>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "base/compat.hpp"
#include "tests/support/amqp_frames.hpp"

namespace {

namespace tests = outboxd::tests;
using tests::number_bytes;

using clock_type = std::chrono::steady_clock;

struct plan {
  std::string url, style = "window";
  std::vector<std::string> queues;
  std::uint64_t messages = 100'000, window = 1'000;
  std::size_t body = 1'000, connections = 1;
  bool event = false;
};

void must(bool ok, const std::string& what) {
  if (!ok) throw std::runtime_error(what);
}

// AMQP 0-9-1, 2.3.5: type, channel 1, size, payload, end.
std::string frame(int type, std::string_view payload) {
  std::string f(1, static_cast<char>(type));
  f += number_bytes(1, 2) + number_bytes(payload.size(), 4);
  f += payload;
  f += '\xCE';
  return f;
}

std::string method_frame(amqp_method_number_t id, void* method) {
  std::string arguments(1'024, '\0');
  const int size = amqp_encode_method(id, method, {arguments.size(), arguments.data()});
  must(size >= 0, "cannot encode a method");
  arguments.resize(static_cast<std::size_t>(size));
  return frame(AMQP_FRAME_METHOD, number_bytes(id, 4) + arguments);
}

// The properties that outboxd sends with each event; without them, a bare message is a little less
// work for the broker.
void set_event_properties(amqp_basic_properties_t& properties, amqp_table_entry_t& id) {
  properties._flags |= AMQP_BASIC_CONTENT_TYPE_FLAG | AMQP_BASIC_MESSAGE_ID_FLAG |
                       AMQP_BASIC_TIMESTAMP_FLAG | AMQP_BASIC_HEADERS_FLAG;
  properties.content_type = amqp_cstring_bytes("application/json");
  properties.message_id = amqp_cstring_bytes("9f1c5a2e-7f0b-4d58-9d0e-6a8f0d1b2c3d");
  properties.timestamp = 1'800'000'000;
  id.key = amqp_cstring_bytes("x-outbox-id");
  id.value.kind = AMQP_FIELD_KIND_I64;
  id.value.value.i64 = 123'456'789;
  properties.headers = {1, &id};
}

std::string message_frames(const std::string& queue, std::size_t body, bool event) {
  amqp_basic_publish_t publish{};
  publish.routing_key = amqp_cstring_bytes(queue.c_str());
  publish.mandatory = 1;
  amqp_basic_properties_t properties{};
  properties._flags = AMQP_BASIC_DELIVERY_MODE_FLAG;
  properties.delivery_mode = 2;
  amqp_table_entry_t id{};
  if (event) set_event_properties(properties, id);
  std::string encoded(1'024, '\0');
  const int size =
      amqp_encode_properties(AMQP_BASIC_CLASS, &properties, {encoded.size(), encoded.data()});
  must(size >= 0, "cannot encode properties");
  encoded.resize(static_cast<std::size_t>(size));
  constexpr int basic = 60, weight = 0;
  return method_frame(AMQP_BASIC_PUBLISH_METHOD, &publish) +
         frame(AMQP_FRAME_HEADER,
               number_bytes(basic, 2) + number_bytes(weight, 2) + number_bytes(body, 8) + encoded) +
         frame(AMQP_FRAME_BODY, std::string(body, 'x'));
}

class connection {
 public:
  connection(const plan& what, const std::string& queue)
      : plan_(what),
        message_(message_frames(queue, what.body, what.event)),
        transactions_(what.style == "tx") {
    std::string url = what.url;
    amqp_connection_info info{};
    must(amqp_parse_url(url.data(), &info) == AMQP_STATUS_OK, "not an AMQP URL");
    amqp_socket_t* socket = amqp_tcp_socket_new(state_.get());
    must(amqp_socket_open(socket, info.host, info.port) == AMQP_STATUS_OK, "cannot connect");
    constexpr int no_heartbeat = 0, default_frame_max = 131'072;
    answered(amqp_login(state_.get(), info.vhost, 0, default_frame_max, no_heartbeat,
                        AMQP_SASL_METHOD_PLAIN, info.user, info.password));
    amqp_channel_open(state_.get(), 1);
    answered(amqp_get_rpc_reply(state_.get()));
    if (transactions_) {
      amqp_tx_select(state_.get(), 1);
    } else {
      amqp_confirm_select(state_.get(), 1);
    }
    answered(amqp_get_rpc_reply(state_.get()));
    socket_ = amqp_get_sockfd(state_.get());
    must(::fcntl(socket_, F_SETFL, ::fcntl(socket_, F_GETFL) & ~O_NONBLOCK) == 0, "fcntl");
    must(what.body <= default_frame_max - 8, "a body of more than one frame");
  }

  void publish(std::uint64_t messages) {
    const bool streaming = plan_.style == "window";
    if (streaming) {
      // Room is used when a tenth of the window is free: many messages to a write.
      const std::uint64_t step = std::max<std::uint64_t>(1, plan_.window / 10);
      while (confirmed_ < messages) {
        const std::uint64_t room = std::min(messages - sent_, plan_.window - (sent_ - confirmed_));
        if (room >= step || (room > 0 && room == messages - sent_)) write_messages(room);
        await_answers();
      }
      return;
    }
    while (sent_ < messages) {
      write_messages(std::min(plan_.window, messages - sent_));
      if (transactions_) {
        amqp_tx_commit_t commit{};
        write(method_frame(AMQP_TX_COMMIT_METHOD, &commit));
      }
      while (confirmed_ < sent_) await_answers();
    }
  }

 private:
  struct closes {
    void operator()(amqp_connection_state_t state) const { amqp_destroy_connection(state); }
  };

  static void answered(const amqp_rpc_reply_t& reply) {
    must(reply.reply_type == AMQP_RESPONSE_NORMAL, "the broker refused");
  }

  void write_messages(std::uint64_t count) {
    std::string bytes;
    bytes.reserve(message_.size() * count);
    for (std::uint64_t n = 0; n < count; ++n) bytes += message_;
    write(bytes);
    sent_ += count;
  }

  void write(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t n = ::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      must(n > 0, "the connection is lost");
      bytes.remove_prefix(static_cast<std::size_t>(n));
    }
  }

  // At least one frame's worth of bytes, whatever it is.
  void await_answers() {
    std::array<char, 65'536> buffer;
    const ssize_t n = ::recv(socket_, buffer.data(), buffer.size(), 0);
    must(n > 0, "the connection is lost");
    received_.append(buffer.data(), static_cast<std::size_t>(n));
    tests::for_each_frame(received_, [this](const tests::amqp_frame& f) {
      if (f.method != 0) take(f);
    });
  }

  void take(const tests::amqp_frame& f) {
    switch (f.method) {
      case AMQP_BASIC_ACK_METHOD: {
        const auto [tag, multiple] = tests::confirm_of(f);
        if (multiple) {
          below_ = std::max(below_, tag);
        } else {
          above_.insert(tag);  // a quorum queue confirms out of order
        }
        while (!above_.empty() && *above_.begin() <= below_ + 1) {
          below_ = std::max(below_, *above_.begin());
          above_.erase(above_.begin());
        }
        confirmed_ = below_ + above_.size();
        break;
      }
      case AMQP_TX_COMMIT_OK_METHOD:
        confirmed_ = sent_;
        break;
      default:
        throw std::runtime_error("returned, refused or closed by the broker");
    }
  }

  const plan& plan_;
  const std::string message_;
  const bool transactions_;
  std::unique_ptr<std::remove_pointer_t<amqp_connection_state_t>, closes> state_{
      amqp_new_connection()};
  int socket_ = -1;
  std::string received_;
  std::uint64_t sent_ = 0, confirmed_ = 0;
  std::uint64_t below_ = 0;        // every tag up to this is confirmed
  std::set<std::uint64_t> above_;  // and these
};

double seconds(const timeval& t) {
  return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) / 1e6;
}

void run(const plan& what) {
  std::vector<std::unique_ptr<connection>> connections;
  for (std::size_t n = 0; n < what.connections; ++n)
    connections.push_back(std::make_unique<connection>(what, what.queues[n % what.queues.size()]));
  const std::size_t each = what.messages / std::max<std::size_t>(what.connections, 1);
  std::vector<std::exception_ptr> failed(what.connections);
  const auto started = clock_type::now();
  {
    std::vector<std::jthread> threads;
    for (std::size_t n = 0; n < what.connections; ++n) {
      threads.emplace_back([&, n] {
        try {
          connections[n]->publish(each);
        } catch (...) {
          failed[n] = std::current_exception();
        }
      });
    }
  }
  const std::chrono::duration<double> took = clock_type::now() - started;
  for (const auto& f : failed)
    if (f) std::rethrow_exception(f);
  rusage used{};
  getrusage(RUSAGE_SELF, &used);
  const auto sent = static_cast<double>(each * what.connections);
  std::printf(R"({"messages": %.0f, "seconds": %.6f, "rate": %.1f, "user": %.3f, "system": %.3f})"
              "\n",
              sent, took.count(), sent / took.count(), seconds(used.ru_utime),
              seconds(used.ru_stime));
}

}  // namespace

int main(int argc, char** argv) {
  plan what;
  CLI::App app("Publishes as fast as the broker confirms, and says how fast that was (JSON)");
  app.add_option("--url", what.url, "AMQP URL, without TLS")->required();
  app.add_option("--queue", what.queues, "queues that exist; connections take turns")->required();
  app.add_option("--messages", what.messages, "in all");
  app.add_option("--body", what.body, "bytes");
  app.add_option("--connections", what.connections, "at once, a thread each")
      ->check(CLI::PositiveNumber);
  app.add_option("--window", what.window,
                 "unconfirmed at most, or the size of a batch or transaction");
  app.add_option("--style", what.style, "window, batch, tx")
      ->check(CLI::IsMember({"window", "batch", "tx"}));
  app.add_flag("--event", what.event, "with the properties of an event, as outboxd sends them");
  CLI11_PARSE(app, argc, argv);
  try {
    run(what);
    return 0;
  } catch (const std::exception& e) {
    std::fprintf(stderr, "bare_publisher: %s\n", e.what());
    return 1;
  }
}
