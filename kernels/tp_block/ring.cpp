#include "kernels/tp_block/ring.hpp"

namespace chokepoint {

void ring_all_gather(const TpBlockProblem& problem, Tensor& gathered, const Pace& pace) {
  const TpBlockSizes& sizes = problem.sizes();
  for (std::int64_t step = 1; step < sizes.tp; ++step) {
    const std::int64_t at = (sizes.tp - step) * sizes.shard_bytes();
    const Piece shard = {problem.x().data() + at, gathered.data() + at, sizes.shard_bytes()};
    loopback(std::span(&shard, 1), sizes.wire(), pace);
  }
}

void ring_reduce_scatter(const TpBlockProblem& problem, Tensor& received, const Pace& pace,
                         const std::function<void(std::int64_t, const Tensor*)>& settle) {
  const TpBlockSizes& sizes = problem.sizes();
  const auto shard_bytes = static_cast<double>(sizes.shard_bytes());
  PacedLoop memory(pace, 2);
  memory.begin({.memory_bytes = shard_bytes});
  settle(sizes.tp - 1, nullptr);
  for (std::int64_t step = 1; step < sizes.tp; ++step) {
    memory.begin({.memory_bytes = 2.0 * shard_bytes});
    const Piece sum = {problem.ring_in().data() + (step - 1) * sizes.shard_bytes(), received.data(),
                       sizes.shard_bytes()};
    loopback(std::span(&sum, 1), sizes.wire(), pace);
    settle(sizes.tp - 1 - step, &received);
  }
  memory.drain();
}

}  // namespace chokepoint
