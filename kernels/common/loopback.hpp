// How does one machine play a link? Bytes sent are read, bytes received are written, by one copy paced per
// direction.
#pragma once

#include <cstdint>
#include <future>
#include <optional>
#include <span>

#include "kernels/pace.hpp"

namespace chokepoint {

enum class Wire { link, network };

// Copies at the pace of one wire: the whole size is booked on the send and the receive clock when the call
// begins, as one message; chunks are copied as the clocks get there. Uncapped: a plain copy. No bytes: no
// message.
inline constexpr std::int64_t kLoopbackChunkBytes = 256 * 1024;

struct Piece {
  const void* from = nullptr;
  void* to = nullptr;
  std::int64_t bytes = 0;
};

// One message on its way: booked when constructed, carried and waited for by `deliver`, on any thread. With several
// of them booked before the first is delivered, their wire has no pause between them.
class Message {
 public:
  Message(std::span<const Piece> pieces, Wire wire, const Pace& pace);
  void deliver() const;

 private:
  void copy() const;
  void keep_up(std::int64_t copied_bytes) const;

  std::span<const Piece> pieces_;
  std::int64_t total_bytes_;
  ResourceClock* send_;
  ResourceClock* receive_;
  Moment begin_;
  std::optional<Moment> sent_, received_;
};

// One message of several pieces (a row per token, say; they must not overlap); blocks until the last byte has
// arrived, alpha included. Throws Error{device} for a piece without address or with a negative size.
void loopback(std::span<const Piece> pieces, Wire wire, const Pace& pace);

// The same in the background, on one thread per wire; also booked when the call begins. The pieces and the
// clocks have to live until the future is ready; what goes wrong is thrown from the future.
std::future<void> loopback_async(std::span<const Piece> pieces, Wire wire, const Pace& pace);

}  // namespace chokepoint
