// An eventfd: wakes a thread that waits in poll(2).
#pragma once

namespace outboxd::outbox {

class wake_fd {
 public:
  wake_fd();
  ~wake_fd();
  wake_fd(const wake_fd&) = delete;
  wake_fd& operator=(const wake_fd&) = delete;

  void signal() const;  // any thread
  void clear() const;
  int descriptor() const { return descriptor_; }

 private:
  int descriptor_;
};

}  // namespace outboxd::outbox
