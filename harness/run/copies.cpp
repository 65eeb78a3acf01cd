#include "harness/run/copies.hpp"

#include <algorithm>

namespace chokepoint {
namespace {

constexpr std::int64_t kMostCopies = 32, kLeastGpuCopies = 4;
constexpr std::int64_t kMostCopyBytes = std::int64_t{4} << 30;  // in and out, of one target
// Copies go past the last-level cache by this factor. A GPU's cache keeps lines of earlier launches longer than
// a pass over it takes, hence more there (reference: buffers through more than 4 times L2).
constexpr std::int64_t kPastCache = 2, kPastGpuCache = 4;

}  // namespace

std::int64_t copies_wanted(const Problem& one, const DeviceFacts& facts) {
  std::int64_t in = 1, out = one.output_rows() * one.output_row_length() * bytes_of(one.output_dtype());
  for (const Tensor* input : one.inputs()) in += input->bytes();
  const std::int64_t cache = facts.last_level_cache_bytes;
  const std::int64_t past_cache = (facts.own_memory ? kPastGpuCache : kPastCache) * cache / (in + out) + 1;
  // Large outputs wash a cache, but a launch does not have to meet what it read itself just before. On a GPU arrays
  // that lie elsewhere are read a percent faster or slower: over several, that averages out.
  const std::int64_t least = facts.own_memory ? kLeastGpuCopies : in < cache ? 2 : 1;
  return std::clamp(std::min(std::max(past_cache, least), kMostCopyBytes / (in + out)), std::int64_t{1}, kMostCopies);
}

}  // namespace chokepoint
