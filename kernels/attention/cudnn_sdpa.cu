#include <algorithm>
#include <limits>
#include <vector>

#include "kernels/attention/cudnn_sdpa.hpp"

namespace chokepoint {
namespace {

using cudnn::Graph;
using cudnn::TensorId;
using Dims = std::vector<std::int64_t>;

bool ragged(const AttentionSizes& sizes) {
  return std::any_of(sizes.context_length.begin(), sizes.context_length.end(),
                     [&](std::int64_t length) { return length != sizes.context; });
}

// An array [batch, tokens, heads, dim] seen as [batch, heads, tokens, dim].
TensorId heads_first(Graph& graph, std::int64_t batch, std::int64_t tokens, std::int64_t heads,
                     std::int64_t dim) {
  return graph.array(CUDNN_DATA_BFLOAT16, {batch, heads, tokens, dim},
                     {tokens * heads * dim, dim, heads * dim, 1});
}

// The first `dim` columns from some column on of the cache [pages, heads_kv, page_size, row]: keys and values
// are columns of the same rows, and where they begin is a matter of the pointer.
TensorId columns_of_cache(Graph& graph, const AttentionSizes& sizes, std::int64_t dim) {
  const std::int64_t row = sizes.qk_dim + (sizes.shared_value ? 0 : sizes.v_dim),
                     page = sizes.page_size * row;
  return graph.array(CUDNN_DATA_BFLOAT16,
                     {sizes.batch * sizes.pages_per_sequence(), sizes.heads_kv, sizes.page_size, dim},
                     {sizes.heads_kv * page, page, row, 1});
}

void add_lengths(SdpaGraph& sdpa, std::int64_t batch) {
  sdpa.lengths_q = sdpa.graph.array(CUDNN_DATA_INT32, {batch, 1, 1, 1}, {1, 1, 1, 1});
  sdpa.lengths_kv = sdpa.graph.array(CUDNN_DATA_INT32, {batch, 1, 1, 1}, {1, 1, 1, 1});
}

void add_page_table(SdpaGraph& sdpa, const AttentionSizes& sizes) {
  const std::int64_t pages = sizes.pages_per_sequence();
  sdpa.page_table = sdpa.graph.array(CUDNN_DATA_INT32, {sizes.batch, 1, pages, 1}, {pages, pages, 1, 1});
}

// Gathers pages of the cache into [batch, heads, ...], between operations only.
TensorId load_pages(SdpaGraph& sdpa, TensorId cache, const Dims& dims, const Dims& strides) {
  const TensorId loaded = sdpa.graph.intermediate(CUDNN_DATA_BFLOAT16, dims, strides);
  sdpa.graph.operation(CUDNN_BACKEND_OPERATION_PAGED_CACHE_LOAD_DESCRIPTOR, "loads from a paged cache",
                       {{CUDNN_ATTR_OPERATION_PAGED_CACHE_LOAD_CONTAINER_DESC, cache},
                        {CUDNN_ATTR_OPERATION_PAGED_CACHE_LOAD_PAGE_TABLE_DESC, *sdpa.page_table},
                        {CUDNN_ATTR_OPERATION_PAGED_CACHE_LOAD_SEQUENCE_DESC, *sdpa.lengths_kv},
                        {CUDNN_ATTR_OPERATION_PAGED_CACHE_LOAD_YDESC, loaded}});
  return loaded;
}

// Keys as [batch, heads_kv, qk_dim, context]: transposed by their strides.
TensorId transposed_keys(SdpaGraph& sdpa, const AttentionSizes& sizes) {
  const std::int64_t b = sizes.batch, heads = sizes.heads_kv, dim = sizes.qk_dim, keys = sizes.context;
  const Dims dims = {b, heads, dim, keys};
  if (sizes.decode) {
    sdpa.k = columns_of_cache(sdpa.graph, sizes, dim);
    return load_pages(sdpa, sdpa.k, dims, {heads * keys * dim, keys * dim, 1, dim});
  }
  return sdpa.k = sdpa.graph.array(CUDNN_DATA_BFLOAT16, dims, {keys * heads * dim, dim, 1, heads * dim});
}

TensorId values(SdpaGraph& sdpa, const AttentionSizes& sizes) {
  const std::int64_t b = sizes.batch, heads = sizes.heads_kv, dim = sizes.v_dim, keys = sizes.context;
  if (sizes.decode) {
    sdpa.v = columns_of_cache(sdpa.graph, sizes, dim);
    return load_pages(sdpa, sdpa.v, {b, heads, keys, dim}, {heads * keys * dim, keys * dim, dim, 1});
  }
  return sdpa.v = heads_first(sdpa.graph, b, keys, heads, dim);
}

// The score where `seen`, and -infinity elsewhere.
TensorId select(Graph& graph, TensorId scores, TensorId seen, const Dims& dims) {
  const TensorId result = graph.intermediate(CUDNN_DATA_FLOAT, dims);
  graph.pointwise(CUDNN_POINTWISE_BINARY_SELECT,
                  {scores, graph.scalar(-std::numeric_limits<float>::infinity()), seen}, result);
  return result;
}

struct Indices {
  TensorId row, column;
};

Indices indices(Graph& graph, TensorId scores, const Dims& dims) {
  const Indices found = {graph.intermediate(CUDNN_DATA_INT32, dims),
                         graph.intermediate(CUDNN_DATA_INT32, dims)};
  graph.index(scores, 2, found.row);
  graph.index(scores, 3, found.column);
  return found;
}

TensorId compare(Graph& graph, cudnnPointwiseMode_t mode, TensorId a, TensorId b, const Dims& dims) {
  const TensorId result = graph.intermediate(CUDNN_DATA_BOOLEAN, dims);
  graph.pointwise(mode, {a, b}, result, CUDNN_DATA_BOOLEAN);
  return result;
}

// Nothing attends past the lengths.
TensorId padded(SdpaGraph& sdpa, TensorId scores, const Dims& dims) {
  Graph& graph = sdpa.graph;
  const auto [row, column] = indices(graph, scores, dims);
  const TensorId is_row = compare(graph, CUDNN_POINTWISE_CMP_LT, row, *sdpa.lengths_q, dims);
  const TensorId is_column = compare(graph, CUDNN_POINTWISE_CMP_LT, column, *sdpa.lengths_kv, dims);
  return select(graph, scores, compare(graph, CUDNN_POINTWISE_LOGICAL_AND, is_row, is_column, dims), dims);
}

// The last query sees the last key: query i of s_q sees key j of s_kv where i + s_kv - s_q >= j.
TensorId causal(SdpaGraph& sdpa, const AttentionSizes& sizes, TensorId scores, const Dims& dims) {
  Graph& graph = sdpa.graph;
  auto [row, column] = indices(graph, scores, dims);
  if (sizes.seq_q != sizes.context || sdpa.lengths_kv) {
    const TensorId keys =
        sdpa.lengths_kv ? *sdpa.lengths_kv : graph.scalar(static_cast<std::int32_t>(sizes.context));
    const TensorId queries =
        sdpa.lengths_q ? *sdpa.lengths_q : graph.scalar(static_cast<std::int32_t>(sizes.seq_q));
    const TensorId end = graph.intermediate(CUDNN_DATA_INT32, dims),
                   last = graph.intermediate(CUDNN_DATA_INT32, dims);
    graph.pointwise(CUDNN_POINTWISE_ADD, {row, keys}, end, CUDNN_DATA_INT32);
    graph.pointwise(CUDNN_POINTWISE_SUB, {end, queries}, last, CUDNN_DATA_INT32);
    row = last;
  }
  return select(graph, scores, compare(graph, CUDNN_POINTWISE_CMP_GE, row, column, dims), dims);
}

// exp(x - max x) / sum exp(x - max x) by row, in bf16. The logarithm of the sum is part of what cuDNN
// recognises, even where nobody reads it.
TensorId softmax(Graph& graph, TensorId scores, const Dims& dims) {
  const Dims row = {dims[0], dims[1], dims[2], 1};
  const auto f32 = [&](const Dims& of) { return graph.intermediate(CUDNN_DATA_FLOAT, of); };
  const TensorId largest = f32(row), shifted = f32(dims), exponential = f32(dims), sum = f32(row);
  graph.reduce(CUDNN_REDUCE_TENSOR_MAX, scores, largest);
  graph.pointwise(CUDNN_POINTWISE_SUB, {scores, largest}, shifted);
  graph.pointwise(CUDNN_POINTWISE_EXP, {shifted}, exponential);
  graph.reduce(CUDNN_REDUCE_TENSOR_ADD, exponential, sum);
  const TensorId logarithm = f32(row), statistics = f32(row);
  graph.pointwise(CUDNN_POINTWISE_LOG, {sum}, logarithm);
  graph.pointwise(CUDNN_POINTWISE_ADD, {largest, logarithm}, statistics);
  const TensorId weights = graph.intermediate(CUDNN_DATA_BFLOAT16, dims);
  graph.pointwise(CUDNN_POINTWISE_DIV, {exponential, sum}, weights);
  return weights;
}

// The chain: product, scale, masks, softmax, product.
SdpaGraph chain(const AttentionSizes& sizes) {
  SdpaGraph sdpa;
  Graph& graph = sdpa.graph;
  sdpa.q = heads_first(graph, sizes.batch, sizes.seq_q, sizes.heads_q, sizes.qk_dim);
  sdpa.output = heads_first(graph, sizes.batch, sizes.seq_q, sizes.heads_q, sizes.v_dim);
  if (sizes.decode || ragged(sizes)) add_lengths(sdpa, sizes.batch);
  if (sizes.decode) add_page_table(sdpa, sizes);

  const Dims dims = {sizes.batch, sizes.heads_q, sizes.seq_q, sizes.context};
  const TensorId k = transposed_keys(sdpa, sizes), products = graph.intermediate(CUDNN_DATA_FLOAT, dims);
  graph.matmul(sdpa.q, k, products, {.rows = sdpa.lengths_q, .columns = sdpa.lengths_kv});
  TensorId scores = graph.intermediate(CUDNN_DATA_FLOAT, dims);
  graph.pointwise(CUDNN_POINTWISE_MUL, {products, graph.scalar(static_cast<float>(sizes.scale))}, scores);
  if (sdpa.lengths_kv) scores = padded(sdpa, scores, dims);
  if (sizes.causal) scores = causal(sdpa, sizes, scores, dims);
  const TensorId weights = softmax(graph, scores, dims), v = values(sdpa, sizes);
  graph.matmul(weights, v, sdpa.output, {.rows = sdpa.lengths_q, .inner = sdpa.lengths_kv});
  return sdpa;
}

// cuDNN's own node for attention. It knows no causal mask in 9.19, and a single query needs none.
SdpaGraph node(const AttentionSizes& sizes) {
  SdpaGraph sdpa;
  Graph& graph = sdpa.graph;
  sdpa.q = heads_first(graph, sizes.batch, sizes.seq_q, sizes.heads_q, sizes.qk_dim);
  sdpa.k = columns_of_cache(graph, sizes, sizes.qk_dim);
  sdpa.v = columns_of_cache(graph, sizes, sizes.v_dim);
  sdpa.output = heads_first(graph, sizes.batch, sizes.seq_q, sizes.heads_q, sizes.v_dim);
  add_lengths(sdpa, sizes.batch);
  add_page_table(sdpa, sizes);
  graph.operation(CUDNN_BACKEND_OPERATION_SDPA_FWD_DESCRIPTOR, "attention from a paged cache",
                  {{CUDNN_ATTR_OPERATION_SDPA_FWD_QDESC, sdpa.q},
                   {CUDNN_ATTR_OPERATION_SDPA_FWD_KDESC, sdpa.k},
                   {CUDNN_ATTR_OPERATION_SDPA_FWD_VDESC, sdpa.v},
                   {CUDNN_ATTR_OPERATION_SDPA_FWD_ODESC, sdpa.output},
                   {CUDNN_ATTR_OPERATION_SDPA_FWD_SCALEDESC, graph.scalar(static_cast<float>(sizes.scale))},
                   {CUDNN_ATTR_OPERATION_SDPA_FWD_PAGE_TABLE_KDESC, *sdpa.page_table},
                   {CUDNN_ATTR_OPERATION_SDPA_FWD_PAGE_TABLE_VDESC, *sdpa.page_table},
                   {CUDNN_ATTR_OPERATION_SDPA_FWD_SEQ_LEN_QDESC, *sdpa.lengths_q},
                   {CUDNN_ATTR_OPERATION_SDPA_FWD_SEQ_LEN_KVDESC, *sdpa.lengths_kv}});
  return sdpa;
}

}  // namespace

SdpaGraph sdpa_graph(const AttentionSizes& sizes) {
  return sizes.decode && (sizes.seq_q == 1 || !sizes.causal) ? node(sizes) : chain(sizes);
}

}  // namespace chokepoint
