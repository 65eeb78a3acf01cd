// How is a message spread over the time its wire needs? Copied in chunks that keep up with the clock, never
// far ahead.
//
// The message is done when the clocks say so; the moments of single chunks are interpolated between the call
// and that moment, and only decide when their memory traffic happens. All moments are absolute: a late
// wake-up shortens the next nap instead of adding up.
#include "kernels/common/loopback.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <condition_variable>
#include <cstring>
#include <deque>
#include <exception>
#include <mutex>
#include <thread>
#include <utility>

#include "harness/base/error.hpp"

namespace chokepoint {
namespace {

// Chunks may be copied this much before their moment: more than a timer is usually late, so that the copy of
// the last chunk is over when its moment comes, and messages shorter than this cost no nap at all.
constexpr std::chrono::microseconds kLead{500};

std::int64_t total_bytes(std::span<const Piece> pieces) {
  std::int64_t total = 0;
  for (const Piece& piece : pieces) {
    if (piece.bytes < 0 || (piece.bytes > 0 && (piece.from == nullptr || piece.to == nullptr)))
      throw Error(Fault::device, fmt::format("a piece of a message has {} bytes or no address", piece.bytes),
                  "give every piece two addresses and a size of zero or more");
    total += piece.bytes;
  }
  return total;
}

// The thread that carries the messages of one wire, in the order they were booked. It starts with the first
// message and ends with the process.
class Carrier {
 public:
  static Carrier& of(Wire wire) {
    static Carrier link, network;
    return wire == Wire::link ? link : network;
  }

  std::future<void> carry(std::span<const Piece> pieces, Wire wire, const Pace& pace) {
    std::promise<void> done;
    std::future<void> future = done.get_future();
    try {
      const std::lock_guard lock(mutex_);
      if (!thread_.joinable()) thread_ = std::thread([this] { serve(); });
      queue_.push_back({Message(pieces, wire, pace), std::move(done)});
    } catch (...) {
      done.set_exception(std::current_exception());
    }
    wake_.notify_one();
    return future;
  }

  Carrier(const Carrier&) = delete;
  Carrier& operator=(const Carrier&) = delete;

 private:
  struct Job {
    Message message;
    std::promise<void> done;
  };

  Carrier() = default;
  ~Carrier() {
    {
      const std::lock_guard lock(mutex_);
      closing_ = true;
    }
    wake_.notify_one();
    if (thread_.joinable()) thread_.join();
  }

  void serve() {
    for (;;) {
      std::unique_lock lock(mutex_);
      wake_.wait(lock, [this] { return closing_ || !queue_.empty(); });
      if (queue_.empty()) return;
      Job job = std::move(queue_.front());
      queue_.pop_front();
      lock.unlock();
      try {
        job.message.deliver();
        job.done.set_value();
      } catch (...) {
        job.done.set_exception(std::current_exception());
      }
    }
  }

  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<Job> queue_;
  bool closing_ = false;
  std::thread thread_;
};

}  // namespace

Message::Message(std::span<const Piece> pieces, Wire wire, const Pace& pace)
    : pieces_(pieces),
      total_bytes_(total_bytes(pieces)),
      send_(wire == Wire::link ? pace.link_send : pace.network_send),
      receive_(wire == Wire::link ? pace.link_receive : pace.network_receive),
      begin_(std::chrono::steady_clock::now()) {
  if (total_bytes_ == 0) return;
  if (send_ != nullptr) sent_ = send_->reserve_message(static_cast<double>(total_bytes_));
  if (receive_ != nullptr) received_ = receive_->reserve_message(static_cast<double>(total_bytes_));
}

void Message::deliver() const {
  copy();
  if (sent_) send_->wait(*sent_);
  if (received_) receive_->wait(*received_);
}

void Message::copy() const {
  std::int64_t copied_bytes = 0, next_nap_bytes = kLoopbackChunkBytes;
  for (const Piece& piece : pieces_)
    for (std::int64_t at = 0; at < piece.bytes;) {
      const std::int64_t bytes = std::min(piece.bytes - at, next_nap_bytes - copied_bytes);
      std::memcpy(static_cast<std::byte*>(piece.to) + at, static_cast<const std::byte*>(piece.from) + at,
                  static_cast<std::size_t>(bytes));
      at += bytes;
      copied_bytes += bytes;
      if (copied_bytes < next_nap_bytes) continue;
      next_nap_bytes += kLoopbackChunkBytes;
      keep_up(copied_bytes);
    }
}

// Naps until the wire has got about as far as the copy.
void Message::keep_up(std::int64_t copied_bytes) const {
  if (!sent_ && !received_) return;
  const Moment ready = std::max(sent_.value_or(begin_), received_.value_or(begin_));
  const double share = static_cast<double>(copied_bytes) / static_cast<double>(total_bytes_);
  const auto elapsed = std::chrono::duration_cast<Moment::duration>((ready - begin_) * share);
  const Moment nap_end = begin_ + elapsed - kLead;
  if (nap_end > std::chrono::steady_clock::now()) std::this_thread::sleep_until(nap_end);
}

void loopback(std::span<const Piece> pieces, Wire wire, const Pace& pace) {
  Message(pieces, wire, pace).deliver();
}

std::future<void> loopback_async(std::span<const Piece> pieces, Wire wire, const Pace& pace) {
  return Carrier::of(wire).carry(pieces, wire, pace);
}

}  // namespace chokepoint
