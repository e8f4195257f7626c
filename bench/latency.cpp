// How long a committed row takes to the broker's confirm and to a consumer. Stands around a running
// outboxd: writes rows, is the proxy between it and the broker, which sees what is published and
// confirmed, and the consumer; so all times are by one clock. Prints the proxy's URL for outboxd,
// then obeys lines of standard input, and answers each with a line of JSON (times in microseconds):
//
//   lone PAIRS MIN_MS MAX_MS
//     One row at a time, alone: COMMIT sent -> confirm, -> consumer; and by turns the floor under
//     it, what any relay needs: the COMMIT of the same row in a table that nobody reads, then one
//     publish to confirm by this program, by the same way. A pause of MIN to MAX before each.
//   steady ROWS_PER_SECOND ROWS_PER_COMMIT WRITERS SECONDS
//     Commits by a schedule that does not wait for anybody: COMMIT returned -> confirm, ->
//     consumer; "late" is how far behind the schedule the writers were.
#include <CLI/CLI.hpp>

#include <atomic>
#include <cmath>
#include <iostream>
#include <mutex>
#include <random>
#include <sstream>
#include <stdexcept>
#include <thread>
#include <vector>

#include "base/compat.hpp"
#include "bench/journal.hpp"
#include "bench/watched.hpp"
#include "outbox/pqxx_compat.hpp"
#include "tests/support/amqp_probe.hpp"
#include "tests/support/amqp_proxy.hpp"

namespace outboxd::bench {
namespace {

using namespace std::chrono_literals;
namespace compat = outbox::compat;

constexpr auto patience = 60s;  // for the last message of a run

struct options {
  std::string database, amqp, queue = "latency";
  std::size_t size = 1'000;
};

// Takes what comes, and acknowledges it as a service would: each one, or several where they come
// fast.
class consumer {
 public:
  consumer(const options& o, journal& times) : broker_(o.amqp) {
    constexpr std::uint16_t prefetch = 1'000;
    broker_.consume(o.queue, prefetch);
    thread_ = std::thread([this, &times] { run(times); });
  }
  ~consumer() {
    ending_ = true;
    thread_.join();
  }

 private:
  void run(journal& times) {
    constexpr int acked_at_once = 100;
    int waiting = 0;
    std::uint64_t last = 0;
    while (!ending_) {
      const auto m = broker_.next(waiting > 0 ? 0ms : 100ms);
      if (m) {
        times.note(journal::number_in(m->body), moment::consumed);
        last = m->delivery_tag;
        ++waiting;
      }
      if (waiting == 0 || (m && waiting < acked_at_once)) continue;
      broker_.ack(last, true);
      waiting = 0;
    }
  }

  tests::amqp_probe broker_;
  std::atomic<bool> ending_ = false;
  std::thread thread_;
};

// One message at a time, each confirmed before the next.
class bare_publisher {
 public:
  bare_publisher(const std::string& url, std::string queue)
      : queue_(std::move(queue)), state_(amqp_new_connection()) {
    std::string parsed = url;
    amqp_connection_info info;
    expect(amqp_parse_url(parsed.data(), &info));
    expect(amqp_socket_open(amqp_tcp_socket_new(state_.get()), info.host, info.port));
    expect(amqp_login(state_.get(), info.vhost, 0, AMQP_DEFAULT_FRAME_SIZE, 0,
                      AMQP_SASL_METHOD_PLAIN, info.user, info.password));
    amqp_channel_open(state_.get(), channel);
    expect(amqp_get_rpc_reply(state_.get()));
    amqp_confirm_select(state_.get(), channel);
    expect(amqp_get_rpc_reply(state_.get()));
  }

  void publish(const std::string& body) {
    amqp_basic_properties_t persistent{};
    persistent._flags = AMQP_BASIC_DELIVERY_MODE_FLAG;
    persistent.delivery_mode = AMQP_DELIVERY_PERSISTENT;
    constexpr int mandatory = 1;
    expect(amqp_basic_publish(state_.get(), channel, amqp_empty_bytes,
                              amqp_cstring_bytes(queue_.c_str()), mandatory, 0, &persistent,
                              {body.size(), const_cast<char*>(body.data())}));
    amqp_frame_t answer;
    expect(amqp_simple_wait_frame(state_.get(), &answer));
    if (answer.frame_type != AMQP_FRAME_METHOD || answer.payload.method.id != AMQP_BASIC_ACK_METHOD)
      throw std::runtime_error("the broker did not confirm");
    amqp_maybe_release_buffers(state_.get());
  }

 private:
  static constexpr amqp_channel_t channel = 1;

  static void expect(int status) {
    if (status != AMQP_STATUS_OK) throw std::runtime_error(amqp_error_string2(status));
  }
  static void expect(const amqp_rpc_reply_t& reply) {
    if (reply.reply_type != AMQP_RESPONSE_NORMAL)
      throw std::runtime_error("the broker refused the bare publisher");
  }

  struct destroy {
    void operator()(amqp_connection_state_t state) const { amqp_destroy_connection(state); }
  };
  std::string queue_;
  std::unique_ptr<amqp_connection_state_t_, destroy> state_;
};

// A connection of a service.
class writer {
 public:
  explicit writer(const options& o) : queue_(o.queue), connection_(o.database) {
    filling_.assign(o.size - std::min(o.size, journal::digits + 1), 'x');
    const auto prepare = [this](const std::string& table) {
      connection_.prepare(
          table, "INSERT INTO " + table +
                     " (routing_key, payload)"
                     " SELECT $1, lpad(n::text, " +
                     std::to_string(journal::digits) +
                     ", '0') || ' ' || $2 FROM generate_series($3::bigint, $4::bigint) AS n");
    };
    prepare(outbox);
    prepare(floor);
  }

  static constexpr const char* outbox = "outbox.messages";
  static constexpr const char* floor = "bench.floor";

  // One transaction that says BEGIN, INSERT, COMMIT.
  void write_one(const char* table, std::int64_t number, journal& times) {
    pqxx::work tx(connection_);
    compat::exec_prepared(tx, table, queue_, filling_, number, number);
    times.note(number, moment::commit_sent);
    tx.commit();
    times.note(number, moment::committed);
  }

  // One statement, which is a transaction.
  void write_some(std::int64_t first, std::int64_t last) {
    pqxx::nontransaction tx(connection_);
    compat::exec_prepared(tx, outbox, queue_, filling_, first, last);
  }

 private:
  std::string queue_, filling_;
  pqxx::connection connection_;
};

std::string body_of(std::int64_t number, std::size_t size) {
  std::string body = std::to_string(number);
  body.insert(0, journal::digits - std::min(journal::digits, body.size()), '0');
  body += ' ';
  body.resize(std::max(size, body.size()), 'x');
  return body;
}

// The columns, defaults, rules and indexes of the outbox, but neither the wake-up nor a reader.
void make_floor(const std::string& database) {
  pqxx::connection connection(database);
  pqxx::nontransaction tx(connection);
  tx.exec(R"(
    DROP SCHEMA IF EXISTS bench CASCADE;
    CREATE SCHEMA bench;
    CREATE SEQUENCE bench.floor_id_seq;
    CREATE TABLE bench.floor (LIKE outbox.messages INCLUDING ALL);
    ALTER TABLE bench.floor ALTER id SET DEFAULT
      CASE WHEN pg_current_xact_id() IS NOT NULL THEN nextval('bench.floor_id_seq') END;
    CREATE TRIGGER admit BEFORE INSERT ON bench.floor FOR EACH ROW EXECUTE FUNCTION outbox.admit())");
}

class program {
 public:
  explicit program(options o)
      : options_(std::move(o)),
        proxy_(broker_port(), [this] { return std::make_unique<watched>(times_); }) {
    make_floor(options_.database);
    tests::amqp_probe broker(options_.amqp);
    broker.declare_queue(options_.queue);
    broker.purge(options_.queue);
  }

  // The proxy's.
  std::string url() const {
    std::string parsed = options_.amqp;
    amqp_connection_info info;
    amqp_parse_url(parsed.data(), &info);
    // The virtual host as it was written, escapes and all.
    const auto path = options_.amqp.find('/', options_.amqp.find("//") + 2);
    return std::string("amqp://") + info.user + ":" + info.password +
           "@127.0.0.1:" + std::to_string(proxy_.port()) +
           (path == std::string::npos ? "" : options_.amqp.substr(path));
  }

  void obey(const std::string& line) {
    std::istringstream words(line);
    std::string verb;
    words >> verb;
    if (verb == "lone") {
      std::size_t pairs{};
      double min{}, max{};
      if (words >> pairs >> min >> max) return lone(pairs, min, max);
    } else if (verb == "steady") {
      double rate{}, seconds{};
      std::size_t rows{}, writers{};
      if (words >> rate >> rows >> writers >> seconds) return steady(rate, rows, writers, seconds);
    }
    throw std::invalid_argument("no such command: " + line);
  }

 private:
  int broker_port() const {
    std::string parsed = options_.amqp;
    amqp_connection_info info;
    if (amqp_parse_url(parsed.data(), &info) != AMQP_STATUS_OK || info.ssl)
      throw std::invalid_argument("an amqp:// URL is needed");
    return info.port;
  }

  void await(std::size_t messages) {
    if (times_.await(messages, patience)) return;
    throw std::runtime_error(std::to_string(times_.arrived()) + " of " + std::to_string(messages) +
                             " messages arrived");
  }

  void lone(std::size_t pairs, double min_ms, double max_ms) {
    const consumer taking(options_, times_);
    writer service(options_);
    bare_publisher bare(url(), options_.queue);
    std::minstd_rand luck(1);
    std::uniform_real_distribution<double> pause(min_ms, max_ms);
    // The first ones prepare statements and open what is opened once.
    const std::size_t warm = 2 * std::min<std::size_t>(10, pairs);
    const std::size_t all = warm + 2 * pairs;
    const std::int64_t first = times_.begin_run(all);
    for (std::size_t i = 0; i < all; ++i) {
      std::this_thread::sleep_for(std::chrono::duration<double, std::milli>(pause(luck)));
      const std::int64_t number = first + static_cast<std::int64_t>(i);
      if (i % 2 == 0) {
        service.write_one(writer::outbox, number, times_);
      } else {
        service.write_one(writer::floor, number, times_);
        bare.publish(body_of(number, options_.size));
      }
      await(i + 1);
    }
    std::cout << "{\"lone\": " << legs(moment::commit_sent, warm, all, 2)
              << ", \"floor\": " << legs(moment::commit_sent, warm + 1, all, 2) << "}" << std::endl;
  }

  void steady(double rate, std::size_t rows, std::size_t count, double seconds) {
    const consumer taking(options_, times_);
    const double commits_per_second = rate / static_cast<double>(rows);
    const auto commits =
        static_cast<std::size_t>(std::max(1.0, std::round(commits_per_second * seconds)));
    const std::int64_t first = times_.begin_run(commits * rows);
    // The beginning does not count: caches, and a relay that has been idle.
    const std::size_t warm = commits * rows / 10;

    std::vector<std::unique_ptr<writer>> services;
    for (std::size_t i = 0; i < count; ++i) services.push_back(std::make_unique<writer>(options_));
    const auto start = journal::clock::now() + 100ms;
    const auto due = [&](std::size_t commit) {
      const std::chrono::duration<double> after(static_cast<double>(commit) / commits_per_second);
      return start + std::chrono::duration_cast<journal::clock::duration>(after);
    };
    std::vector<std::thread> threads;
    std::mutex failed_mutex;
    std::exception_ptr failed;
    for (std::size_t w = 0; w < count; ++w) {
      threads.emplace_back([&, w] {
        try {
          for (std::size_t c = w; c < commits; c += count) {
            std::this_thread::sleep_until(due(c));
            const auto from = first + static_cast<std::int64_t>(c * rows);
            const auto to = from + static_cast<std::int64_t>(rows) - 1;
            services[w]->write_some(from, to);
            const auto now = journal::clock::now();
            for (auto n = from; n <= to; ++n) {
              times_.note(n, moment::due, due(c));
              times_.note(n, moment::committed, now);
            }
          }
        } catch (...) {
          const std::lock_guard lock(failed_mutex);
          failed = std::current_exception();
        }
      });
    }
    for (auto& t : threads) t.join();
    const std::chrono::duration<double> wrote = journal::clock::now() - start;
    if (failed) std::rethrow_exception(failed);
    const std::size_t all = commits * rows;
    await(all);
    std::cout << "{\"rate\": " << rate
              << ", \"written_per_second\": " << static_cast<double>(all) / wrote.count()
              << ", \"late\": "
              << percentiles(times_.between(moment::due, moment::committed, warm, all))
              << ", \"steady\": " << legs(moment::committed, warm, all, 1) << "}" << std::endl;
  }

  std::string legs(moment from, std::size_t first, std::size_t last, std::size_t step) const {
    const auto leg = [&](const char* name, moment a, moment b) {
      return "\"" + std::string(name) +
             "\": " + percentiles(times_.between(a, b, first, last, step));
    };
    std::string out = "{" + leg("confirm", from, moment::confirmed) + ", " +
                      leg("consumer", from, moment::consumed) + ", " +
                      leg("publish", from, moment::published) + ", " +
                      leg("broker", moment::published, moment::confirmed);
    if (from == moment::commit_sent) out += ", " + leg("commit", from, moment::committed);
    return out + "}";
  }

  const options options_;
  journal times_;
  tests::amqp_proxy proxy_;
};

}  // namespace
}  // namespace outboxd::bench

int main(int argc, char** argv) try {
  outboxd::bench::options o;
  CLI::App app("How long a committed row takes to the confirm, and to a consumer");
  app.add_option("--database", o.database, "URI of a migrated database, as its owner")->required();
  app.add_option("--amqp", o.amqp, "URL of the broker")->required();
  app.add_option("--queue", o.queue, "Declared, if it is not there, and purged");
  app.add_option("--size", o.size, "Bytes of a body");
  CLI11_PARSE(app, argc, argv);

  outboxd::bench::program program(o);
  std::cout << "{\"proxy\": \"" << program.url() << "\"}" << std::endl;
  for (std::string line; std::getline(std::cin, line);) program.obey(line);
  return 0;
} catch (const std::exception& error) {
  std::cerr << "latency: " << error.what() << '\n';
  return 1;
}
