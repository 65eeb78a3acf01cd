// How does rank 0 take part in the two ring collectives? One loopback copy per step: it reads what a rank
// sends and writes what a rank receives, which are the same number of bytes.
#pragma once

#include <functional>

#include "kernels/tp_block/tp_block.hpp"

namespace chokepoint {

// Fills rows [shard_tokens, tokens) of `gathered` [tokens, hidden] with the shards of the peers, in the order
// in which they come round the ring. The rank's own shard, the first, has to be there already: it never
// leaves the rank's memory.
void ring_all_gather(const TpBlockProblem& problem, Tensor& gathered, const Pace& pace);

// Calls settle(chunk, arrived) for every chunk, the one that starts at rank 0 first with arrived = null, the
// others once their sum has arrived in `received` [shard_tokens, hidden]; `settle` adds this rank's part and
// stores the output. Charges ring_in and the output to memory.
void ring_reduce_scatter(const TpBlockProblem& problem, Tensor& received, const Pace& pace,
                         const std::function<void(std::int64_t chunk, const Tensor* arrived)>& settle);

}  // namespace chokepoint
