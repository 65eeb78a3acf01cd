// How much work is one launch of a kernel table's row? From the operation and its shape.
#include <algorithm>

#include "harness/claims/kernel_table.hpp"

namespace chokepoint {
namespace {

double number_in(const Shape& shape, const char* field) { return static_cast<double>(shape[field]); }
double number_or(const Shape& shape, const char* field, double fallback) {
  return shape.has(field) ? number_in(shape, field) : fallback;
}

bool has(const Shape& shape, std::initializer_list<const char*> fields) {
  return std::all_of(fields.begin(), fields.end(), [&](const char* field) { return shape.has(field); });
}

bool is_product(const KernelRow& row) {
  return row.operation.ends_with("matmul") || row.operation == "matmul_weight_gradient";
}

bool is_attention(const KernelRow& row) {
  return row.operation.starts_with("attention") &&
         has(row.shape, {"mode", "heads_q", "heads_kv", "qk_dim", "v_dim", "context"});
}

bool decodes(const Shape& shape) { return shape.word("mode") == "decode"; }

// Pairs of a query and a key that it sees, over all sequences.
double pairs(const Shape& shape) {
  const double batch = number_or(shape, "batch", 1.0), context = number_in(shape, "context");
  if (decodes(shape)) return batch * number_or(shape, "seq_q", 1.0) * context;
  const double all = batch * context * context;
  return number_or(shape, "causal", 1.0) != 0.0 ? all / 2.0 : all;
}

}  // namespace

std::optional<double> flop_of(const KernelRow& row) {
  const Shape& shape = row.shape;
  if (is_product(row) && has(shape, {"m", "n", "k"}))
    return 2.0 * number_or(shape, "groups", 1.0) * number_in(shape, "m") * number_in(shape, "n") *
           number_in(shape, "k");
  if (!is_attention(row)) return std::nullopt;
  const double qk = number_in(shape, "qk_dim"), v = number_in(shape, "v_dim");
  // Backward makes the scores again: FlashAttention (arXiv 2205.14135), B.2.
  const double width = row.operation == "attention_backward" ? 3.0 * qk + 2.0 * v : qk + v;
  return 2.0 * pairs(shape) * number_in(shape, "heads_q") * width;
}

std::optional<double> memory_bytes_of(const KernelRow& row) {
  const Shape& shape = row.shape;
  const double in = static_cast<double>(bytes_of(row.dtype)),
               bf16 = static_cast<double>(bytes_of(Dtype::bf16));
  if (is_product(row) && has(shape, {"m", "n", "k"})) {
    const double groups = number_or(shape, "groups", 1.0), m = number_in(shape, "m"), n = number_in(shape, "n"),
                 k = number_in(shape, "k");
    if (row.operation == "matmul_weight_gradient")
      return groups * (m * (n + k) * in + n * k * static_cast<double>(bytes_of(Dtype::f32)));
    return groups * (m * k * in + n * k * in + m * n * bf16);
  }
  if (!is_attention(row)) return std::nullopt;
  const double qk = number_in(shape, "qk_dim"), v = number_in(shape, "v_dim"),
               batch = number_or(shape, "batch", 1.0);
  const double queries = decodes(shape) ? number_or(shape, "seq_q", 1.0) : number_in(shape, "context");
  const bool absorbed =
      decodes(shape) && shape.has("variant") && shape.word("variant") == "mla";  // values lie in keys
  const double cached = number_in(shape, "context") * number_in(shape, "heads_kv") * (absorbed ? qk : qk + v);
  const double once = batch * (cached + queries * number_in(shape, "heads_q") * (qk + v)) * bf16;
  return row.operation == "attention_backward" ? 2.0 * once : once;
}

std::optional<double> time_s_of(const KernelRow& row) {
  if (row.unit == "s") return row.value;
  if (row.unit != "FLOP/s") return std::nullopt;
  const std::optional<double> flop = flop_of(row);
  return flop ? std::optional(*flop / row.value) : std::nullopt;
}

std::optional<double> flop_per_s_of(const KernelRow& row) {
  if (row.unit == "FLOP/s") return row.value;
  const std::optional<double> flop = flop_of(row), time_s = time_s_of(row);
  return flop && time_s ? std::optional(*flop / *time_s) : std::nullopt;
}

}  // namespace chokepoint
