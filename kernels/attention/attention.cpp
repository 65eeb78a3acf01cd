// The operation `attention`: its shape, inputs, reference in double and tolerance. Prefill and paged decode,
// multi-head, grouped-query, multi-query and MLA, causal or not.
#include "kernels/attention/attention.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "harness/base/error.hpp"
#include "harness/base/parallel.hpp"
#include "harness/base/random.hpp"
#include "harness/base/strings.hpp"

namespace chokepoint {
namespace {

// Lengths of a ragged batch are part of the shape, not of the inputs: `Operation::work` has no seed.
constexpr std::uint64_t kLengthSeed = 1;

// Cache slots and tokens that no sequence uses hold numbers this much larger than the inputs: reading one
// shows.
constexpr double kGarbageScale = 100.0;

std::int64_t shortest_length(const Shape& shape) {
  return shape["ragged"] == 1 ? (shape["context"] + 1) / 2 : shape["context"];
}

void check(const Shape& shape) {
  const bool decode = shape.word("mode") == "decode", mla = shape.word("variant") == "mla";
  const auto reject = [](std::string message, std::string remedy) {
    throw Error(Fault::config, "attention: " + message, std::move(remedy));
  };
  const std::int64_t heads_q = shape["heads_q"], heads_kv = shape["heads_kv"];
  if (heads_q % heads_kv != 0)
    reject(fmt::format("heads_kv is {}, which does not divide heads_q = {}", heads_kv, heads_q),
           "every KV head serves the same number of query heads: change one of them");
  if (mla && decode && heads_kv != 1)
    reject(fmt::format("heads_kv is {} in mla decode, where all heads share one cached row", heads_kv),
           "set heads_kv=1");
  if (mla && !decode && heads_kv != heads_q)
    reject(
        fmt::format("heads_kv is {} in mla prefill, where every one of the {} query heads has its own keys",
                    heads_kv, heads_q),
        "set heads_kv to heads_q");
  if (mla && decode && shape["v_dim"] > shape["qk_dim"])
    reject(fmt::format(
               "v_dim is {} but the cached row of mla decode has qk_dim = {} columns, and the value is its "
               "first v_dim ones",
               shape["v_dim"], shape["qk_dim"]),
           "lower v_dim (DeepSeek-V3: qk_dim=576, v_dim=512)");
  if (shape["causal"] == 1 && shape["seq_q"] > shortest_length(shape))
    reject(
        fmt::format("seq_q is {} but {} has only {} tokens: a causal query would see no key", shape["seq_q"],
                    shape["ragged"] == 1 ? "the shortest sequence of a ragged batch" : "the context",
                    shortest_length(shape)),
        "lower seq_q, raise context, or set causal=0");
  // Kernels number the rows of a sequence and the tokens of the cache with 32 bits.
  constexpr double kMost = 2147483647.0;
  const double rows = static_cast<double>(shape["seq_q"]) * static_cast<double>(heads_q);
  const double pages =
      std::ceil(static_cast<double>(shape["context"]) / static_cast<double>(shape["page_size"]));
  const double tokens =
      static_cast<double>(shape["batch"]) *
      (decode ? pages * static_cast<double>(shape["page_size"]) : static_cast<double>(shape["context"]));
  if (rows > kMost || tokens > kMost)
    reject(fmt::format("seq_q * heads_q is {:.0f} and batch * context is {:.0f}; the limit of each is {:.0f}",
                       rows, tokens, kMost),
           "make the shape smaller");
}

// The same kind of layout text for every array: what the dimensions mean, in order.
Tensor key_value(const AttentionSizes& sizes, const std::string& role, std::int64_t dim, Dtype dtype) {
  return {role,
          {sizes.batch, sizes.context, sizes.heads_kv, dim},
          dtype,
          fmt::format("[batch, context, heads_kv, {}] row-major; tokens past a sequence's length are unused",
                      role == "k" ? "qk_dim" : "v_dim")};
}

Tensor paged_cache(const AttentionSizes& sizes, Dtype dtype) {
  const std::int64_t pages = sizes.batch * sizes.pages_per_sequence();
  const std::string where =
      "token t of sequence b lies in page block_table[b, t / page_size], slot t % page_size";
  if (sizes.shared_value)
    return {"kv_cache",
            {pages, sizes.page_size, sizes.qk_dim},
            dtype,
            fmt::format(
                "[pages, page_size, qk_dim] row-major: a slot is the key of its token, its first {} columns "
                "the value; {}",
                sizes.v_dim, where)};
  return {"kv_cache",
          {pages, sizes.heads_kv, sizes.page_size, sizes.qk_dim + sizes.v_dim},
          dtype,
          fmt::format(
              "[pages, heads_kv, page_size, qk_dim + v_dim] row-major: the first {} columns are the key, the "
              "rest the value; {}",
              sizes.qk_dim, where)};
}

// A random permutation of the pages (Fisher and Yates 1938): neighbours in a sequence are not neighbours in
// memory.
void shuffle_pages(Tensor& table, std::uint64_t seed) {
  const auto pages = table.as<std::int32_t>();
  for (std::size_t i = 0; i < pages.size(); ++i) pages[i] = static_cast<std::int32_t>(i);
  for (std::size_t i = pages.size(); i > 1; --i)
    std::swap(pages[i - 1], pages[random_below(seed, fnv1a(table.role()), i, i)]);
}

float value_of(float value) { return value; }
float value_of(std::uint16_t bits) { return float_from_bf16(bits); }

// One row of the output in double: scores, their largest, the weights, the weighted mean. T is the storage
// type.
template <class T>
void reference_row(const AttentionProblem& problem, std::int64_t row, double* output) {
  const AttentionSizes& s = problem.sizes;
  const std::int64_t head = row % s.heads_q, i = row / s.heads_q % s.seq_q, b = row / s.heads_q / s.seq_q;
  const std::int64_t head_kv = head / s.heads_per_kv(), keys = s.visible(b, i);
  const T* const query = problem.q.as<T>().data() + row * s.qk_dim;
  std::vector<double> weight(static_cast<std::size_t>(keys));
  for (std::int64_t t = 0; t < keys; ++t) {
    const T* const key = problem.keys().as<T>().data() + problem.key_at(b, head_kv, t);
    double dot = 0.0;
    for (std::int64_t d = 0; d < s.qk_dim; ++d)
      dot += static_cast<double>(value_of(query[d])) * value_of(key[d]);
    weight[static_cast<std::size_t>(t)] = dot * s.scale;
  }
  const double largest = *std::max_element(weight.begin(), weight.end());
  double sum = 0.0;
  for (double& w : weight) sum += w = std::exp(w - largest);
  std::fill_n(output, s.v_dim, 0.0);
  for (std::int64_t t = 0; t < keys; ++t) {
    const T* const value = problem.values().as<T>().data() + problem.value_at(b, head_kv, t);
    const double w = weight[static_cast<std::size_t>(t)] / sum;
    for (std::int64_t d = 0; d < s.v_dim; ++d) output[d] += w * value_of(value[d]);
  }
}

// Overwrites everything that no sequence uses with large finite numbers.
void spoil_unused(AttentionProblem& problem, std::uint64_t seed) {
  const AttentionSizes& s = problem.sizes;
  const std::int64_t slots = s.decode ? s.pages_per_sequence() * s.page_size : s.context;
  const auto spoil = [&](Tensor& tensor, std::int64_t at, std::int64_t count) {
    for (std::int64_t e = at; e < at + count; ++e)
      tensor.set(
          e, kGarbageScale * (2.0 * random_unit(seed, fnv1a("unused"), static_cast<std::uint64_t>(e)) - 1.0));
  };
  parallel_for(s.batch, 1, [&](std::int64_t begin, std::int64_t end, int) {
    for (std::int64_t b = begin; b < end; ++b)
      for (std::int64_t t = s.context_length[static_cast<std::size_t>(b)]; t < slots; ++t)
        for (std::int64_t head = 0; head < s.heads_kv; ++head) {
          spoil(s.decode ? problem.kv_cache : problem.k, problem.key_at(b, head, t), s.qk_dim);
          spoil(s.decode ? problem.kv_cache : problem.v, problem.value_at(b, head, t), s.v_dim);
        }
  });
}

}  // namespace

AttentionSizes attention_sizes(const Shape& shape) {
  AttentionSizes sizes{.decode = shape.word("mode") == "decode",
                       .shared_value = shape.word("mode") == "decode" && shape.word("variant") == "mla",
                       .causal = shape["causal"] == 1,
                       .batch = shape["batch"],
                       .heads_q = shape["heads_q"],
                       .heads_kv = shape["heads_kv"],
                       .qk_dim = shape["qk_dim"],
                       .v_dim = shape["v_dim"],
                       .seq_q = shape["seq_q"],
                       .context = shape["context"],
                       .page_size = shape["page_size"]};
  const std::int64_t scale_dim = shape["scale_dim"] == 0 ? sizes.qk_dim : shape["scale_dim"];
  sizes.scale = 1.0 / std::sqrt(static_cast<double>(scale_dim));
  const std::int64_t shortest = shortest_length(shape);
  for (std::int64_t b = 0; b < sizes.batch; ++b)
    sizes.context_length.push_back(shortest +
                                   static_cast<std::int64_t>(random_below(
                                       kLengthSeed, fnv1a("context_lengths"), static_cast<std::uint64_t>(b),
                                       static_cast<std::uint64_t>(sizes.context - shortest + 1))));
  return sizes;
}

AttentionProblem::AttentionProblem(const Shape& shape, Dtype element, const InputSpec& inputs)
    : sizes(attention_sizes(shape)), dtype(element) {
  q = Tensor(
      "q", {sizes.batch, sizes.seq_q, sizes.heads_q, sizes.qk_dim}, dtype,
      fmt::format("[batch, seq_q, heads_q, qk_dim] row-major; scores are scaled by {:.17g}", sizes.scale));
  fill(q, inputs.distribution, inputs.seed);
  if (sizes.decode) {
    kv_cache = paged_cache(sizes, dtype);
    fill(kv_cache, inputs.distribution, inputs.seed);
    block_table =
        Tensor("block_table", {sizes.batch, sizes.pages_per_sequence()}, Dtype::i32,
               "[batch, pages_per_sequence]: index of the page that holds tokens page_size * column and on");
    shuffle_pages(block_table, inputs.seed);
  } else {
    k = key_value(sizes, "k", sizes.qk_dim, dtype);
    v = key_value(sizes, "v", sizes.v_dim, dtype);
    fill(k, inputs.distribution, inputs.seed);
    fill(v, inputs.distribution, inputs.seed);
  }
  if (sizes.decode || shape["ragged"] == 1) {
    context_lengths =
        Tensor("context_lengths", {sizes.batch}, Dtype::i32, "[batch]: tokens of each sequence");
    for (std::int64_t b = 0; b < sizes.batch; ++b)
      context_lengths.set(b, static_cast<double>(sizes.context_length[static_cast<std::size_t>(b)]));
  }
  spoil_unused(*this, inputs.seed);
}

std::vector<const Tensor*> AttentionProblem::inputs() const {
  std::vector<const Tensor*> arrays = {&q};
  if (sizes.decode)
    arrays.insert(arrays.end(), {&kv_cache, &block_table});
  else
    arrays.insert(arrays.end(), {&k, &v});
  if (!context_lengths.empty()) arrays.push_back(&context_lengths);
  return arrays;
}

std::int64_t AttentionProblem::key_at(std::int64_t b, std::int64_t head_kv, std::int64_t token) const {
  if (!sizes.decode) return ((b * sizes.context + token) * sizes.heads_kv + head_kv) * sizes.qk_dim;
  const std::int64_t page = block_table.as<std::int32_t>()[static_cast<std::size_t>(
      b * sizes.pages_per_sequence() + token / sizes.page_size)];
  const std::int64_t slot = (page * sizes.heads_kv + head_kv) * sizes.page_size + token % sizes.page_size;
  return slot * (sizes.qk_dim + (sizes.shared_value ? 0 : sizes.v_dim));
}

std::int64_t AttentionProblem::value_at(std::int64_t b, std::int64_t head_kv, std::int64_t token) const {
  if (!sizes.decode) return ((b * sizes.context + token) * sizes.heads_kv + head_kv) * sizes.v_dim;
  return key_at(b, head_kv, token) + (sizes.shared_value ? 0 : sizes.qk_dim);
}

std::vector<double> AttentionProblem::reference(std::span<const std::int64_t> rows) const {
  std::vector<double> output(rows.size() * static_cast<std::size_t>(sizes.v_dim));
  parallel_for(static_cast<std::int64_t>(rows.size()), 1, [&](std::int64_t begin, std::int64_t end, int) {
    for (std::int64_t r = begin; r < end; ++r) {
      double* const row = output.data() + r * sizes.v_dim;
      if (dtype == Dtype::bf16)
        reference_row<std::uint16_t>(*this, rows[static_cast<std::size_t>(r)], row);
      else
        reference_row<float>(*this, rows[static_cast<std::size_t>(r)], row);
    }
  });
  return output;
}

// f32: a score is a dot product of qk_dim terms with |score| of a few units; in f32 it is off by about
// 2^-24 * sqrt(qk_dim) * |score|, at worst 1e-5 for 576 dimensions. Its error is the relative error of a
// weight, and the errors of different weights average out as the values themselves do: 3e-5 leaves room for
// any order of summing. bf16: rounding the output costs 2^-9, and a kernel may round the weights to bf16
// before the second product (fused kernels do): 2^-9 each at most, 0.43 x 2^-8 in deviations, averaging like the
// values; where two or three large ones cancel the sum keeps their errors: 6 deviations over 10^9 elements are 2^-7.3,
// and 2^-9 for the output makes 1.5 x 2^-7. One key too few or too many is above it (its weight against the row's rms
// is about 1/sqrt(keys)) up to some 7,000 keys.
double AttentionProblem::tolerance() const { return dtype == Dtype::bf16 ? 0x1.8p-7 : 3e-5; }

Work AttentionProblem::work() const { return AttentionCost(sizes, dtype).work(); }

const AttentionProblem& attention_problem(const Problem& problem) {
  if (const auto* typed = dynamic_cast<const AttentionProblem*>(&problem)) return *typed;
  throw Error(Fault::config, "an attention kernel was given another operation's problem",
              "make the problem with the operation \"attention\"");
}

namespace {

const Register<Operation> operation{{
    .name = "attention",
    .summary = "softmax(q k^T) v: prefill or paged decode; multi-head, grouped-query or MLA",
    .fields =
        {
            {.name = "mode",
             .meaning = "prefill: contiguous k, v; decode: paged cache",
             .words = {"prefill", "decode"}},
            {.name = "variant",
             .meaning = "gqa: heads_q / heads_kv heads share keys (multi-head to multi-query); mla: absorbed "
                        "in decode",
             .words = {"gqa", "mla"}},
            {.name = "batch", .meaning = "sequences", .fallback = 1, .most = 1 << 20},
            {.name = "heads_q", .meaning = "query heads", .most = 1 << 20},
            {.name = "heads_kv",
             .meaning = "key and value heads, a divisor of heads_q",
             .most = 1 << 20,
             .fallback_field = "heads_q"},
            {.name = "qk_dim", .meaning = "columns of a query and a key", .most = 1 << 20},
            {.name = "v_dim", .meaning = "columns of a value", .most = 1 << 20},
            {.name = "seq_q",
             .meaning = "queries per sequence, its last tokens; a whole prefill has seq_q = context",
             .fallback = 1},
            {.name = "context", .meaning = "tokens of keys and values per sequence"},
            {.name = "causal",
             .meaning = "1: a query sees its own and earlier tokens only; 0: all of them",
             .fallback = 1,
             .least = 0,
             .most = 1},
            {.name = "page_size",
             .meaning = "tokens per page of the cache (decode)",
             .fallback = 64,
             .most = 1 << 16},
            {.name = "ragged",
             .meaning = "1: lengths between half of context and context; 0: all of them context",
             .fallback = 0,
             .least = 0,
             .most = 1},
            {.name = "scale_dim",
             .meaning = "scores are divided by its square root; 0: by that of qk_dim",
             .fallback = 0,
             .least = 0,
             .most = 1 << 20},
        },
    .dtypes = {Dtype::f32, Dtype::bf16},
    .check = check,
    .make = [](const Shape& shape, Dtype dtype, const InputSpec& inputs) -> std::unique_ptr<Problem> {
      return std::make_unique<AttentionProblem>(shape, dtype, inputs);
    },
    .work = [](const Shape& shape,
               Dtype dtype) { return AttentionCost(attention_sizes(shape), dtype).work(); },
}};

}  // namespace
}  // namespace chokepoint
