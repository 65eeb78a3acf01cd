#include "harness/run/copies.hpp"

#include <algorithm>

namespace chokepoint {
namespace {

// A GPU's are many enough that inputs and outputs of 0.8 MB go through 4 times 50 MB.
constexpr std::int64_t kMostCopies = 32, kMostGpuCopies = 256, kLeastGpuCopies = 4;
constexpr std::int64_t kMostCopyBytes = std::int64_t{4} << 30;  // in and out, of one set of launches
// Copies go past the last-level cache by this factor. A GPU's cache keeps lines of earlier launches longer than
// a pass over it takes, hence more there (reference: buffers through more than 4 times L2).
constexpr std::int64_t kPastCache = 2, kPastGpuCache = 4;

std::int64_t in_bytes(const Problem& one) {
  std::int64_t bytes = 1;
  for (const Tensor* input : one.inputs()) bytes += input->bytes();
  return bytes;
}

}  // namespace

std::int64_t bytes_of_copy(const Problem& one) {
  return in_bytes(one) + one.output_rows() * one.output_row_length() * bytes_of(one.output_dtype());
}

std::int64_t copies_wanted(const Problem& one, const DeviceFacts& facts) {
  const std::int64_t in_and_out = bytes_of_copy(one), cache = facts.last_level_cache_bytes;
  const std::int64_t past_cache = (facts.own_memory ? kPastGpuCache : kPastCache) * cache / in_and_out + 1;
  // Large outputs wash a cache, but a launch does not have to meet what it read itself just before. On a GPU arrays
  // that lie elsewhere are read a percent faster or slower: over several, that averages out.
  const std::int64_t least = facts.own_memory ? kLeastGpuCopies : in_bytes(one) < cache ? 2 : 1;
  const std::int64_t most = std::min(facts.own_memory ? kMostGpuCopies : kMostCopies, kMostCopyBytes / in_and_out);
  return std::max<std::int64_t>(1, std::min(std::max(past_cache, least), most));
}

}  // namespace chokepoint
