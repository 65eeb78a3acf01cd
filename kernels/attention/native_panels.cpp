#include "kernels/attention/native_panels.hpp"

#include <cstring>

#include "kernels/common/gemm.hpp"

namespace chokepoint {
namespace {

// Elements of one token in the cache that one KV head reads: the key, then the value unless it is part of the
// key.
std::int64_t cached_columns(const AttentionSizes& sizes) {
  return sizes.qk_dim + (sizes.shared_value ? 0 : sizes.v_dim);
}

}  // namespace

std::int64_t key_panel_floats(const AttentionSizes& sizes, std::int64_t keys) {
  return gemm::packed_b_floats(sizes.qk_dim, keys);
}

std::int64_t value_panel_floats(const AttentionSizes& sizes, std::int64_t keys) {
  return gemm::packed_b_floats(keys, sizes.v_dim);
}

Tensor gather_room(const AttentionProblem& problem, std::int64_t keys) {
  if (!problem.sizes.decode) return {};
  return {"gathered", {keys, cached_columns(problem.sizes)}, problem.dtype};
}

void pack_tile(const AttentionProblem& problem, const KeyRange& range, Tensor& gathered, float* key_panels,
               float* value_panels) {
  const AttentionSizes& sizes = problem.sizes;
  const std::int64_t element = bytes_of(problem.dtype);
  gemm::Matrix keys{.dtype = problem.dtype, .rows = sizes.qk_dim, .cols = range.count, .row_stride = 1};
  gemm::Matrix values{.dtype = problem.dtype, .rows = range.count, .cols = sizes.v_dim};
  if (sizes.decode) {
    const std::int64_t columns = cached_columns(sizes);
    for (std::int64_t t = 0; t < range.count; ++t)
      std::memcpy(gathered.data() + t * columns * element,
                  problem.kv_cache.data() + problem.key_at(range.b, range.head_kv, range.first + t) * element,
                  static_cast<std::size_t>(columns * element));
    keys.data = gathered.data();
    values.data = gathered.data() + (sizes.shared_value ? 0 : sizes.qk_dim * element);
    keys.col_stride = values.row_stride = columns;
  } else {
    keys.data = problem.k.data() + problem.key_at(range.b, range.head_kv, range.first) * element;
    values.data = problem.v.data() + problem.value_at(range.b, range.head_kv, range.first) * element;
    keys.col_stride = sizes.heads_kv * sizes.qk_dim;
    values.row_stride = sizes.heads_kv * sizes.v_dim;
  }
  gemm::pack_b(keys, 0, sizes.qk_dim, 0, range.count, key_panels);
  gemm::pack_b(values, 0, range.count, 0, sizes.v_dim, value_panels);
}

}  // namespace chokepoint
