// How does one machine play a link? Bytes sent are read, bytes received are written, by one copy paced per direction.
#pragma once

#include <cstdint>
#include <future>
#include <span>

#include "kernels/pace.hpp"

namespace chokepoint {

enum class Wire { link, network };

// Copies `bytes` from `from` to `to` at the pace of one wire: the whole size is reserved on the send and the receive
// clock when the call begins, chunks of `kChunkBytes` are released as the clocks get there. Uncapped: a plain copy.
inline constexpr std::int64_t kLoopbackChunkBytes = 256 * 1024;

struct Piece {
  const void* from = nullptr;
  void* to = nullptr;
  std::int64_t bytes = 0;
};

// One message of several pieces (a row per token, say); blocks until the last byte has arrived, alpha included.
void loopback(std::span<const Piece> pieces, Wire wire, const Pace& pace);

// The same in the background, on a thread of its own; the pieces have to live until the future is ready.
std::future<void> loopback_async(std::span<const Piece> pieces, Wire wire, const Pace& pace);

}  // namespace chokepoint
