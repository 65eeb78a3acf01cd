// Does cuDNN accept our graphs, and refuse wrong ones? Asked of the library itself for a described H100,
// without a GPU. Engines compile their kernels through the driver's library: the toolkit's stand-in for it is
// enough to be asked.
#include <dlfcn.h>
#include <gtest/gtest.h>

#include "kernels/attention/attention.hpp"
#include "kernels/attention/cudnn_sdpa.hpp"
#include "kernels/common/cuda/cudnn_moe.hpp"
#include "tests/kernels/check.hpp"

namespace chokepoint {
namespace {

// NVIDIA H100 SXM: CUDA device properties as its driver reports them.
const std::string kH100 =
    R"({"maxGridSize":[2147483647,65535,65535],"maxBlockSize":[1024,1024,64],"regsPerBlock":65536,)"
    R"("multiProcessorCount":132,"warpSize":32,"maxSharedMemoryPerBlock":49152,)"
    R"("maxSharedMemoryPerBlockOptin":232448,"reservedSharedMemoryPerBlock":1024,"maxRegistersPerSM":65536,)"
    R"("maxCtasPerSM":32,"maxThreadsPerBlock":1024,"maxThreadsPerSM":2048,"pciDeviceId":9009,"isTccDriver":0,)"
    R"("supportCoopLaunch":1,"smClockRateKHz":1980000,"memClockRateKHz":2619000,"l2CacheSize":52428800,)"
    R"("deviceName":"NVIDIA H100 80GB HBM3","deviceVer":900,"driverVer":13000,"cudaDeviceId":0,)"
    R"("totalGlobalMem":85014609920})";

enum class Driver { real, stub, none };

Driver driver() {
  static const Driver found = [] {
    if (::dlopen("libcuda.so.1", RTLD_NOW | RTLD_GLOBAL) != nullptr) return Driver::real;
    return ::dlopen(CUDA_DRIVER_STUB, RTLD_NOW | RTLD_GLOBAL) != nullptr ? Driver::stub : Driver::none;
  }();
  return found;
}

class Cudnn : public testing::Test {
 protected:
  void SetUp() override {
    if (const auto reason = cudnn::missing()) GTEST_SKIP() << *reason;
    if (driver() == Driver::none) GTEST_SKIP() << "neither libcuda.so.1 nor the toolkit's stub of it is here";
    h100 = cudnn::Target::described(kH100);
  }

  std::size_t engines(const cudnn::Graph& graph) const {
    return cudnn::engine_configs(graph.finalize(*h100), *h100).size();
  }
  // The number of engines, or why there are none.
  std::string answer(const cudnn::Graph& graph) const {
    try {
      return std::to_string(engines(graph)) + " engines";
    } catch (const Error& error) {
      return error.message();
    }
  }

  std::shared_ptr<const cudnn::Target> h100;
};

struct Form {
  std::string name, shape;
};

std::ostream& operator<<(std::ostream& out, const Form& form) { return out << form.shape; }

AttentionSizes sizes_of(const std::string& shape) {
  return attention_sizes(complete_shape(find_operation("attention"), parse_shape(shape)));
}

class CudnnForms : public Cudnn, public testing::WithParamInterface<Form> {};

TEST_P(CudnnForms, have_an_engine) {
  EXPECT_GE(engines(sdpa_graph(sizes_of(GetParam().shape)).graph), 1U);
  EXPECT_EQ(find_kernel("attention", "cudnn")
                .unsupported(complete_shape(find_operation("attention"), parse_shape(GetParam().shape)),
                             Dtype::bf16),
            std::nullopt);
}

const Form kForms[] = {
    {"causal_multi_head_128", "heads_q=16,qk_dim=128,v_dim=128,seq_q=1024,context=1024,batch=2"},
    {"causal_grouped_query_128", "heads_q=32,heads_kv=8,qk_dim=128,v_dim=128,seq_q=4096,context=4096"},
    {"causal_of_prime_length", "heads_q=6,heads_kv=2,qk_dim=128,v_dim=128,seq_q=997,context=997"},
    {"causal_64", "heads_q=16,qk_dim=64,v_dim=64,seq_q=512,context=512"},
    {"causal_256", "heads_q=16,qk_dim=256,v_dim=256,seq_q=512,context=512"},
    {"causal_mla_192_128", "variant=mla,heads_q=128,qk_dim=192,v_dim=128,seq_q=4096,context=4096"},
    {"full_128", "heads_q=16,qk_dim=128,v_dim=128,seq_q=1024,context=1024,causal=0"},
    {"last_queries_of_a_context", "heads_q=16,heads_kv=4,qk_dim=128,v_dim=128,seq_q=256,context=1024"},
    {"ragged_causal", "heads_q=16,heads_kv=4,qk_dim=128,v_dim=128,seq_q=64,context=500,batch=3,ragged=1"},
    {"ragged_full", "heads_q=16,qk_dim=64,v_dim=64,seq_q=64,context=500,batch=3,ragged=1,causal=0"},
    {"paged_decode_grouped_query",
     "mode=decode,heads_q=64,heads_kv=8,qk_dim=128,v_dim=128,context=4096,batch=8"},
    {"paged_decode_64", "mode=decode,heads_q=32,heads_kv=8,qk_dim=64,v_dim=64,context=1001,batch=8,ragged=1"},
    {"paged_decode_small_pages",
     "mode=decode,heads_q=32,heads_kv=8,qk_dim=128,v_dim=128,context=1001,batch=3,page_size=16"},
    {"paged_decode_of_two_tokens",
     "mode=decode,heads_q=32,heads_kv=8,qk_dim=128,v_dim=128,context=1001,seq_q=2"},
    {"paged_mla_decode",
     "mode=decode,variant=mla,heads_q=128,heads_kv=1,qk_dim=576,v_dim=512,context=4096,batch=8"},
    {"paged_mla_decode_16_heads",
     "mode=decode,variant=mla,heads_q=16,heads_kv=1,qk_dim=576,v_dim=512,context=777,batch=3,ragged=1"},
    {"paged_mla_decode_of_two_tokens",
     "mode=decode,variant=mla,heads_q=128,heads_kv=1,qk_dim=576,v_dim=512,context=4096,seq_q=2"},
};

INSTANTIATE_TEST_SUITE_P(graphs, CudnnForms, testing::ValuesIn(kForms),
                         [](const auto& parameter) { return parameter.param.name; });

// cuDNN takes any strides: what they address has to be what the problem says.
class CudnnLayouts : public Cudnn {
 protected:
  // Element of `id` at these coordinates.
  static std::int64_t at(const cudnn::Graph& graph, cudnn::TensorId id,
                         const std::vector<std::int64_t>& where) {
    const auto& [dims, strides] = graph.layout(id);
    EXPECT_EQ(dims.size(), where.size());
    std::int64_t element = 0;
    for (std::size_t i = 0; i < where.size(); ++i) {
      EXPECT_LT(where[i], dims[i]);
      element += where[i] * strides[i];
    }
    return element;
  }
  static AttentionProblem problem_of(const std::string& shape) {
    return {complete_shape(find_operation("attention"), parse_shape(shape)), Dtype::bf16, {}};
  }
};

TEST_F(CudnnLayouts, of_prefill_address_queries_keys_and_values) {
  const AttentionProblem problem =
      problem_of("batch=2,heads_q=6,heads_kv=3,qk_dim=16,v_dim=8,seq_q=5,context=7");
  const AttentionSizes& s = problem.sizes;
  const SdpaGraph sdpa = sdpa_graph(s);
  for (std::int64_t b = 0; b < s.batch; ++b) {
    for (std::int64_t head = 0; head < s.heads_q; ++head)
      for (std::int64_t i = 0; i < s.seq_q; ++i) {
        const std::int64_t row = (b * s.seq_q + i) * s.heads_q + head;
        EXPECT_EQ(at(sdpa.graph, sdpa.q, {b, head, i, 3}), row * s.qk_dim + 3);
        EXPECT_EQ(at(sdpa.graph, sdpa.output, {b, head, i, 3}), row * s.v_dim + 3);
      }
    for (std::int64_t head = 0; head < s.heads_kv; ++head)
      for (std::int64_t t = 0; t < s.context; ++t) {
        EXPECT_EQ(at(sdpa.graph, sdpa.k, {b, head, 3, t}), problem.key_at(b, head, t) + 3);
        EXPECT_EQ(at(sdpa.graph, sdpa.v, {b, head, t, 3}), problem.value_at(b, head, t) + 3);
      }
  }
}

TEST_F(CudnnLayouts, of_decode_address_keys_and_values_through_the_page_table) {
  for (const char* shape :
       {"mode=decode,batch=2,heads_q=6,heads_kv=3,qk_dim=16,v_dim=8,context=37,page_size=4",
        "mode=decode,batch=2,heads_q=6,heads_kv=3,qk_dim=16,v_dim=8,context=37,page_size=4,seq_q=2",
        "mode=decode,variant=mla,batch=2,heads_q=6,heads_kv=1,qk_dim=24,v_dim=16,context=37,page_size=4"}) {
    const AttentionProblem problem = problem_of(shape);
    const AttentionSizes& s = problem.sizes;
    const SdpaGraph sdpa = sdpa_graph(s);
    const auto table = problem.block_table.as<std::int32_t>();
    const std::int64_t first_value = problem.value_at(0, 0, 0) - problem.key_at(0, 0, 0);
    for (std::int64_t b = 0; b < s.batch; ++b)
      for (std::int64_t head = 0; head < s.heads_kv; ++head)
        for (std::int64_t t = 0; t < s.context; ++t) {
          const std::int64_t page =
              table[static_cast<std::size_t>(at(sdpa.graph, *sdpa.page_table, {b, 0, t / s.page_size, 0}))];
          const std::vector<std::int64_t> where = {page, head, t % s.page_size, 3};
          EXPECT_EQ(at(sdpa.graph, sdpa.k, where), problem.key_at(b, head, t) + 3) << shape;
          EXPECT_EQ(first_value + at(sdpa.graph, sdpa.v, where), problem.value_at(b, head, t) + 3) << shape;
        }
  }
}

// The stand-in for the driver refuses to load what was compiled, which comes after everything else.
TEST_F(Cudnn, kernels_compile) {
  if (driver() != Driver::stub) GTEST_SKIP() << "a real driver is here: plans are made where they run";
  const auto stopped_by = [&](cudnn::Graph graph) {
    const std::string text = error_text([&] { cudnn::Plan plan(std::move(graph), h100); });
    return text.find("cuLibraryLoadData returned error  (34)") != std::string::npos ? "loading" : text;
  };
  for (const char* shape :
       {"heads_q=16,heads_kv=4,qk_dim=128,v_dim=128,seq_q=500,context=500",
        "mode=decode,variant=mla,heads_q=128,heads_kv=1,qk_dim=576,v_dim=512,context=4096"})
    EXPECT_EQ(stopped_by(sdpa_graph(sizes_of(shape)).graph), "loading") << shape;
  EXPECT_EQ(stopped_by(cudnn_moe_graph({.tokens = 4096, .experts = 8, .k = 7168, .n = 4096}).graph),
            "loading");
}

// Attention without a mask, as a chain of operations that can go wrong.
struct Chain {
  bool keys_transposed = true, statistics = true;
  std::int64_t heads_kv = 4;

  cudnn::Graph graph() const {
    using Dims = std::vector<std::int64_t>;
    constexpr std::int64_t kHeads = 8, kTokens = 256, kDim = 64;
    cudnn::Graph graph;
    const Dims packed = {kHeads * kTokens * kDim, kTokens * kDim, kDim, 1},
               square = {1, kHeads, kTokens, kTokens}, row = {1, kHeads, kTokens, 1};
    const auto f32 = [&](const Dims& dims) { return graph.intermediate(CUDNN_DATA_FLOAT, dims); };
    const auto q = graph.array(CUDNN_DATA_BFLOAT16, {1, kHeads, kTokens, kDim}, packed);
    const auto k = keys_transposed ? graph.array(CUDNN_DATA_BFLOAT16, {1, heads_kv, kDim, kTokens},
                                                 {heads_kv * kTokens * kDim, kTokens * kDim, 1, kDim})
                                   : graph.array(CUDNN_DATA_BFLOAT16, {1, heads_kv, kTokens, kDim},
                                                 {heads_kv * kTokens * kDim, kTokens * kDim, kDim, 1});
    const auto v = graph.array(CUDNN_DATA_BFLOAT16, {1, heads_kv, kTokens, kDim},
                               {heads_kv * kTokens * kDim, kTokens * kDim, kDim, 1});
    const auto output = graph.array(CUDNN_DATA_BFLOAT16, {1, kHeads, kTokens, kDim}, packed);
    const auto product = f32(square), score = f32(square), largest = f32(row), shifted = f32(square),
               exponential = f32(square), sum = f32(row);
    graph.matmul(q, k, product);
    graph.pointwise(CUDNN_POINTWISE_MUL, {product, graph.scalar(0.125F)}, score);
    graph.reduce(CUDNN_REDUCE_TENSOR_MAX, score, largest);
    graph.pointwise(CUDNN_POINTWISE_SUB, {score, largest}, shifted);
    graph.pointwise(CUDNN_POINTWISE_EXP, {shifted}, exponential);
    graph.reduce(CUDNN_REDUCE_TENSOR_ADD, exponential, sum);
    if (statistics) {
      const auto logarithm = f32(row);
      graph.pointwise(CUDNN_POINTWISE_LOG, {sum}, logarithm);
      graph.pointwise(CUDNN_POINTWISE_ADD, {largest, logarithm}, f32(row));
    }
    const auto weights = graph.intermediate(CUDNN_DATA_BFLOAT16, square);
    graph.pointwise(CUDNN_POINTWISE_DIV, {exponential, sum}, weights);
    graph.matmul(weights, v, output);
    return graph;
  }
};

TEST_F(Cudnn, a_chain_that_is_attention_has_engines) { EXPECT_GE(engines(Chain{}.graph()), 1U); }

TEST_F(Cudnn, a_chain_without_the_logarithm_of_the_sum_is_refused) {
  EXPECT_EQ(answer(Chain{.statistics = false}.graph()), "0 engines");
}

TEST_F(Cudnn, keys_that_are_not_transposed_are_refused) {
  EXPECT_NE(
      error_text([] { Chain{.keys_transposed = false}.graph(); }).find("cuDNN refused a product of matrices"),
      std::string::npos);
}

TEST_F(Cudnn, query_heads_that_do_not_share_evenly_are_refused) {
  EXPECT_NE(error_text([] { Chain{.heads_kv = 3}.graph(); }).find("cuDNN refused a product of matrices"),
            std::string::npos);
}

TEST_F(Cudnn, a_device_described_in_part_is_refused) {
  const std::string without_sm_count =
      std::string(kH100).erase(kH100.find("\"multiProcessorCount\":132,"), 26);
  EXPECT_NE(error_text([&] {
              cudnn::Target::described(without_sm_count);
            }).find("cuDNN refused the description of a device"),
            std::string::npos);
}

TEST_F(Cudnn, a_grouped_product_has_engines) {
  for (const std::int64_t tokens : {1, 37, 4096})
    EXPECT_GE(engines(cudnn_moe_graph({.tokens = tokens, .experts = 8, .k = 7168, .n = 4096}).graph), 1U)
        << tokens;
}

// On Hopper: why CudnnMoeGroupedMatmul offers one layout only.
TEST_F(Cudnn, a_grouped_product_with_weights_whose_columns_are_neighbours_has_none) {
  constexpr std::int64_t kTokens = 64, kExperts = 8, kK = 512, kN = 256;
  cudnn::Graph graph;
  const auto token = graph.array(CUDNN_DATA_BFLOAT16, {1, kTokens, kK}, {kTokens * kK, kK, 1});
  const auto weight = graph.array(CUDNN_DATA_BFLOAT16, {kExperts, kK, kN}, {kK * kN, kN, 1});
  const auto first_token = graph.array(CUDNN_DATA_INT32, {kExperts, 1, 1}, {1, 1, 1});
  const auto output = graph.array(CUDNN_DATA_BFLOAT16, {1, kTokens, kN}, {kTokens * kN, kN, 1});
  graph.operation(CUDNN_BACKEND_OPERATION_MOE_GROUPED_MATMUL_DESCRIPTOR, "a grouped product",
                  {{CUDNN_ATTR_OPERATION_MOE_GROUPED_MATMUL_TOKEN_DESC, token},
                   {CUDNN_ATTR_OPERATION_MOE_GROUPED_MATMUL_WEIGHT_DESC, weight},
                   {CUDNN_ATTR_OPERATION_MOE_GROUPED_MATMUL_FIRST_TOKEN_OFFSET_DESC, first_token},
                   {CUDNN_ATTR_OPERATION_MOE_GROUPED_MATMUL_OUTPUT_DESC, output}},
                  [](cudnn::Descriptor& operation) {
                    operation
                        .set(CUDNN_ATTR_OPERATION_MOE_GROUPED_MATMUL_MODE, CUDNN_MOE_GROUPED_MATMUL_MODE_NONE)
                        .set(CUDNN_ATTR_OPERATION_MOE_GROUPED_MATMUL_MATH_PREC, CUDNN_DATA_FLOAT);
                  });
  EXPECT_EQ(answer(graph), "0 engines");
}

TEST(cudnn, says_what_it_cannot_do) {
  const auto reason = [](const std::string& shape, Dtype dtype) {
    return find_kernel("attention", "cudnn")
        .unsupported(complete_shape(find_operation("attention"), parse_shape(shape)), dtype)
        .value_or("nothing");
  };
  EXPECT_EQ(reason("heads_q=2,qk_dim=64,v_dim=64,context=9", Dtype::f32),
            "cuDNN's fused attention is used with bf16 only");
  EXPECT_EQ(reason("heads_q=2,qk_dim=44,v_dim=64,context=9", Dtype::bf16),
            "qk_dim is 44 and v_dim 64; cuDNN reads rows of multiples of 8");
  EXPECT_EQ(reason("heads_q=2,qk_dim=264,v_dim=64,context=9", Dtype::bf16),
            "qk_dim is 264 and v_dim 64; cuDNN's limit is 256");
  EXPECT_EQ(
      reason("mode=decode,variant=mla,heads_q=2,heads_kv=1,qk_dim=288,v_dim=256,context=9", Dtype::bf16),
      "qk_dim is 288 and v_dim 256; cuDNN's absorbed MLA is 576 and 512");
}

}  // namespace
}  // namespace chokepoint
