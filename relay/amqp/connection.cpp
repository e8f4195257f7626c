#include "relay/amqp/connection.hpp"

#include <boost/asio/buffer.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <algorithm>
#include <exception>
#include <utility>

#include "base/backoff.hpp"

namespace outboxd::relay::amqp {
namespace {

namespace asio = boost::asio;
using boost::system::error_code;
using namespace std::chrono_literals;

// What is given to the kernel at once: when the broker is blocked no more than this is still on its
// way.
constexpr std::size_t piece = std::size_t{128} * 1024;
// A buffer that once held a very large message is given back.
constexpr std::size_t keep_capacity = std::size_t{4} << 20;
constexpr auto tick_without_heartbeat = 7'500ms;
constexpr auto young = 1s;  // a channel
// Short: while the row is looked for, the others of its destination wait.
constexpr base::backoff between_channels{10ms, 50ms};

}  // namespace

connection::connection(const asio::any_io_executor& executor, endpoint node,
                       connection_options options, base::logger& log, connection_events& events)
    : node_(std::move(node)),
      options_(std::move(options)),
      log_(log),
      events_(&events),
      session_(node_),
      stream_(executor),
      wake_(executor, asio::steady_timer::time_point::max()),
      flushed_(executor),
      deadline_(executor),
      tick_(executor),
      reopen_(executor) {}

asio::awaitable<connection::ending> connection::run() {
  const auto self = shared_from_this();
  arm_deadline(node_.connection_timeout);
  const auto failed = co_await stream_.connect(node_);
  if (!session_.over()) {
    if (failed) {
      session_.disconnected(failed->text, todo_);
      obey();
    } else {
      session_.connected(todo_);
      obey();
      writer_idle_ = false;
      asio::co_spawn(stream_.executor(), write_loop(self), [self](const std::exception_ptr& bug) {
        if (bug) std::rethrow_exception(bug);
        self->writer_idle_ = true;
        self->flushed_.cancel();
      });
      co_await read_loop();
      co_await finish_writing();
    }
  }
  co_return ending_;
}

// ---- reading and writing

asio::awaitable<void> connection::read_loop() {
  const auto collect = [this](incoming&& what) { arrived_.push_back(std::move(what)); };
  while (!session_.over()) {
    const stream::transferred got = co_await stream_.read_some(asio::buffer(inbox_));
    if (session_.over()) co_return;
    if (got.error) {
      if (const auto why = refused_in_words(got.error)) {
        session_.refused(*why, todo_);
      } else {
        session_.disconnected(describe(got.error), todo_);
      }
      obey();
      co_return;
    }
    const auto error = decoder_.feed({inbox_.data(), got.bytes}, collect);
    for (const incoming& what : arrived_) {
      session_.received(what, todo_);
      obey();
    }
    arrived_.clear();
    if (error) {
      session_.broken(*error, todo_);
      obey();
    }
    follow_blocking();
    if (events_ && !session_.over()) events_->read_done();
  }
}

asio::awaitable<void> connection::write_loop(std::shared_ptr<connection>) {
  error_code ignored;
  while (!session_.over() || flush_at_end_) {
    if (!may_write()) {
      if (session_.over()) co_return;
      co_await wake_.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
      continue;
    }
    if (written_ == writing_.size()) {
      writing_.clear();
      if (writing_.capacity() > keep_capacity) writing_.shrink_to_fit();
      writing_.swap(out_);
      written_ = 0;
    }
    const std::size_t size = std::min(piece, writing_.size() - written_);
    const asio::const_buffer rest(writing_.data() + written_, size);
    const stream::transferred put = co_await stream_.write_some(rest);
    if (session_.over() && !flush_at_end_) co_return;
    if (put.error) {
      expect_the_end(describe(put.error));
      co_return;
    }
    written_ += put.bytes;
    session_.wrote();
    if (events_ && !session_.over() && written_ == writing_.size()) events_->writable();
  }
}

// After the last action only close-ok may be left to write.
asio::awaitable<void> connection::finish_writing() {
  if (!flush_at_end_) co_return;
  error_code ignored;
  if (!writer_idle_)
    co_await flushed_.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
  if (writer_idle_ && buffered() == 0) {
    stream_.close();
  } else {
    stream_.abandon();
  }
}

bool connection::may_write() const {
  return buffered() > 0 && !session_.withholding();
}

void connection::flush() {
  if (may_write()) wake_.cancel();
}

void connection::declare(std::string_view exchange) {
  append_exchange_declare_passive(out_, control_channel, exchange);
  flush();
}

// ---- ends

void connection::close(std::chrono::milliseconds limit) {
  if (session_.over()) {
    flushed_.cancel();  // no time for last words
    return;
  }
  if (limit <= 0ms) return give_up(doubt::connection_lost, "stopped");
  arm_deadline(limit);
  session_.close(todo_);
  obey();
}

void connection::give_up(doubt why, const std::string& text) {
  if (session_.over()) return;
  why_ = why;
  session_.disconnected(text, todo_);
  obey();
}

void connection::detach() {
  events_ = nullptr;
  give_up(doubt::connection_lost, "detached");
  flushed_.cancel();
}

// ---- obeying the session

void connection::obey() {
  if (obeying_) return;  // an action led to another event: the loop below goes on with what follows
  obeying_ = true;
  for (std::size_t i = 0; i < todo_.size(); ++i) {
    action next = std::move(todo_[i]);
    std::visit([this](auto& a) { act(a); }, next);
  }
  todo_.clear();
  obeying_ = false;
  flush();
}

// At once, except when channels die young one after the other: the same row may kill them all.
void connection::reopen() {
  const bool died_young =
      !confirmed_since_open_ && std::chrono::steady_clock::now() - channel_opened_at_ < young;
  channels_lost_ = died_young ? channels_lost_ + 1 : 0;
  if (channels_lost_ < 2) return reopen_now();
  reopen_.expires_after(between_channels.after(channels_lost_ - 1, options_.random()));
  reopen_.async_wait([self = shared_from_this()](error_code cancelled) {
    if (!cancelled && !self->session_.over()) self->reopen_now();
  });
}

void connection::renew() {
  arm_deadline(node_.connection_timeout);
  session_.renew(todo_);
  obey();
}

void connection::reopen_now() {
  arm_deadline(node_.connection_timeout);
  session_.reopen(todo_);
  obey();
}

// A broker in alarm reads nothing; the kernel must not take that for a dead peer. Else it is the
// second guard: it ends a connection without a reset, so the tick must be sooner.
void connection::limit_unacknowledged() {
  stream_.limit_unacknowledged(session_.withholding() ? 0ms : 2 * patience());
}

void connection::follow_blocking() {
  if (session_.withholding() == was_withholding_) return;
  was_withholding_ = !was_withholding_;
  limit_unacknowledged();
  flush();
}

// A server that closes the connection says why before it does: the reader gets a moment to find
// that.
void connection::expect_the_end(std::string text) {
  if (session_.over()) return;
  deadline_.expires_after(time_for_last_words);
  deadline_.async_wait([self = shared_from_this(), text = std::move(text)](error_code cancelled) {
    if (cancelled || self->session_.over()) return;
    self->session_.disconnected("cannot write: " + text, self->todo_);
    self->obey();
  });
}

void connection::arm_deadline(std::chrono::milliseconds limit) {
  deadline_.expires_after(limit);
  deadline_.async_wait([self = shared_from_this(), limit](error_code cancelled) {
    if (cancelled || self->session_.over()) return;
    if (self->session_.withholding()) return self->arm_deadline(limit);
    if (const auto what = self->stream_.waiting_for(); !what.empty()) {
      self->session_.disconnected("timed out waiting for " + std::string(what), self->todo_);
    } else {
      self->session_.timed_out(self->todo_);
    }
    self->obey();
  });
}

void connection::arm_tick() {
  tick_.expires_after(patience() / 4);
  tick_.async_wait([self = shared_from_this()](error_code cancelled) {
    if (cancelled || self->session_.over()) return;
    self->session_.tick(self->buffered() > 0, self->todo_);
    self->obey();
    if (!self->session_.over()) self->arm_tick();
  });
}

// How long a peer that says nothing or takes nothing is believed to be alive: two heartbeat
// intervals.
std::chrono::milliseconds connection::patience() const {
  if (session_.heartbeat() == 0) return 4 * tick_without_heartbeat;
  return std::chrono::seconds(2 * session_.heartbeat());
}

}  // namespace outboxd::relay::amqp
