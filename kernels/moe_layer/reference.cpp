#include "kernels/moe_layer/reference.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <map>
#include <utility>

#include "harness/base/parallel.hpp"
#include "kernels/moe_layer/moe_layer.hpp"
#include "kernels/moe_layer/quantise.hpp"

namespace chokepoint::moe {
namespace {

template <class Real>
double dot(const Real* a, const Real* b, std::size_t count) {
  constexpr std::size_t kLanes = 8;  // independent sums, so that the compiler may use vectors
  double sums[kLanes] = {};
  std::size_t i = 0;
  for (; i + kLanes <= count; i += kLanes)
    for (std::size_t lane = 0; lane < kLanes; ++lane)
      sums[lane] += static_cast<double>(a[i + lane]) * static_cast<double>(b[i + lane]);
  for (; i < count; ++i) sums[0] += static_cast<double>(a[i]) * static_cast<double>(b[i]);
  double total = 0.0;
  for (double sum : sums) total += sum;
  return total;
}

using Rows = std::vector<std::vector<double>>;

// q(values) of quantise.hpp.
std::vector<double> quantised(const std::vector<float>& values) {
  const auto length = static_cast<std::int64_t>(values.size());
  std::vector<std::uint8_t> codes(values.size());
  std::vector<float> scales(static_cast<std::size_t>(scale_blocks(length)));
  quantise_row(values.data(), length, codes.data(), scales.data());
  std::vector<double> result(values.size());
  for (std::size_t i = 0; i < values.size(); ++i)
    result[i] =
        static_cast<double>(float_from_fp8_e4m3(codes[i])) * static_cast<double>(scales[i / kScaleBlock]);
  return result;
}

// One matrix [rows, cols] out of a stack of them.
class MatrixView {
 public:
  MatrixView(const Tensor& codes, const Tensor& scales, std::int64_t index, std::int64_t rows,
             std::int64_t cols)
      : codes_(codes), scales_(scales), index_(index), rows_(rows), cols_(cols) {}

  std::int64_t rows() const { return rows_; }
  std::int64_t cols() const { return cols_; }

  std::vector<double> row(std::int64_t row) const {
    const std::vector<float> stored = float_values(codes_, (index_ * rows_ + row) * cols_, cols_);
    std::vector<double> values(stored.begin(), stored.end());
    if (scales_.empty()) return values;
    const std::int64_t first = (index_ * scale_blocks(rows_) + row / kScaleBlock) *
                               scale_blocks(cols_);  // [matrix, rows/128, cols/128]
    for (std::int64_t col = 0; col < cols_; ++col)
      values[static_cast<std::size_t>(col)] *= scales_.at(first + col / kScaleBlock);
    return values;
  }

 private:
  const Tensor& codes_;
  const Tensor& scales_;
  std::int64_t index_, rows_, cols_;
};

// matrix @ row for each of `inputs`: [inputs][matrix rows].
Rows products(const MatrixView& matrix, const Rows& inputs) {
  Rows results(inputs.size(), std::vector<double>(static_cast<std::size_t>(matrix.rows())));
  parallel_for(matrix.rows(), grain_of(matrix.cols() * std::ssize(inputs)),
               [&](std::int64_t begin, std::int64_t end, int) {
                 for (std::int64_t r = begin; r < end; ++r) {
                   const std::vector<double> row = matrix.row(r);
                   for (std::size_t i = 0; i < inputs.size(); ++i)
                     results[i][static_cast<std::size_t>(r)] = dot(row.data(), inputs[i].data(), row.size());
                 }
               });
  return results;
}

// silu(g) * u, quantised when the next product is in fp8.
Rows activated(const Rows& gate_up, bool quantise) {
  Rows results;
  for (const std::vector<double>& row : gate_up) {
    const std::size_t width = row.size() / 2;
    std::vector<double> hidden(width);
    for (std::size_t i = 0; i < width; ++i) hidden[i] = row[i] / (1.0 + std::exp(-row[i])) * row[width + i];
    results.push_back(quantise ? quantised(std::vector<float>(hidden.begin(), hidden.end())) : hidden);
  }
  return results;
}

}  // namespace

std::vector<float> float_values(const Tensor& tensor, std::int64_t first, std::int64_t count) {
  std::vector<float> values(static_cast<std::size_t>(count));
  const auto at = static_cast<std::size_t>(first), size = values.size();
  switch (tensor.dtype()) {
    case Dtype::bf16:
      for (std::size_t i = 0; i < size; ++i) values[i] = float_from_bf16(tensor.as<std::uint16_t>()[at + i]);
      break;
    case Dtype::fp8_e4m3:
      for (std::size_t i = 0; i < size; ++i)
        values[i] = float_from_fp8_e4m3(tensor.as<std::uint8_t>()[at + i]);
      break;
    default:
      std::memcpy(values.data(), tensor.as<float>().data() + at, size * sizeof(float));
  }
  return values;
}

std::vector<double> gate_logits(const Tensor& x, std::int64_t token, const std::vector<float>& gate) {
  const std::int64_t hidden = x.dims()[1];
  const std::vector<float> row = float_values(x, token * hidden, hidden);
  std::vector<double> logits(gate.size() / row.size());
  for (std::size_t expert = 0; expert < logits.size(); ++expert)
    logits[expert] = dot(row.data(), gate.data() + expert * row.size(), row.size());
  return logits;
}

std::vector<double> MoeProblem::weights(std::span<const std::int64_t> tokens) const {
  const std::vector<float> gate = float_values(gate_.gate_weight);
  const auto top_k = static_cast<std::size_t>(spec_.gate.top_k);
  std::vector<double> weights(tokens.size() * top_k);
  parallel_for(
      std::ssize(tokens), grain_of(std::ssize(gate)), [&](std::int64_t begin, std::int64_t end, int) {
        for (auto i = static_cast<std::size_t>(begin); i < static_cast<std::size_t>(end); ++i) {
          const std::vector<double> logits = gate_logits(gate_.x, tokens[i], gate);
          std::vector<double> scores(logits.size());
          gate_scores<double>(spec_.gate, logits, scores);
          gate_weights<double>(spec_.gate, scores,
                               std::span(ids_).subspan(static_cast<std::size_t>(tokens[i]) * top_k, top_k),
                               std::span(weights).subspan(i * top_k, top_k));
        }
      });
  return weights;
}

std::vector<double> MoeProblem::reference(std::span<const std::int64_t> rows) const {
  const std::vector<double> chosen_weights = weights(rows);
  // By local expert: index into `rows` and weight. One more entry stands for the shared experts.
  std::map<std::int64_t, std::vector<std::pair<std::size_t, double>>> users;
  Rows inputs;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const std::vector<float> x = float_values(gate_.x, rows[i] * spec_.hidden, spec_.hidden);
    inputs.push_back(spec_.quantised() ? quantised(x) : std::vector<double>(x.begin(), x.end()));
    for (std::int64_t k = 0; k < spec_.gate.top_k; ++k)
      users[ids_[static_cast<std::size_t>(rows[i] * spec_.gate.top_k + k)] % spec_.local_experts()]
          .emplace_back(
              i,
              chosen_weights[i * static_cast<std::size_t>(spec_.gate.top_k) + static_cast<std::size_t>(k)]);
    if (spec_.shared_experts > 0) users[spec_.local_experts()].emplace_back(i, 1.0);
  }
  std::vector<double> output(rows.size() * static_cast<std::size_t>(spec_.hidden), 0.0);
  for (const auto& [expert, tokens] : users) {
    const bool is_shared = expert == spec_.local_experts();
    const MlpWeights& mlp = is_shared ? shared_ : routed_;
    const std::int64_t index = is_shared ? 0 : expert;
    const std::int64_t width = is_shared ? spec_.shared_intermediate() : spec_.intermediate;
    Rows x;
    for (const auto& [i, weight] : tokens) x.push_back(inputs[i]);
    const Rows gate_up = products(MatrixView(mlp.up, mlp.up_scale, index, 2 * width, spec_.hidden), x);
    const Rows results = products(MatrixView(mlp.down, mlp.down_scale, index, spec_.hidden, width),
                                  activated(gate_up, spec_.quantised()));
    for (std::size_t t = 0; t < tokens.size(); ++t)
      for (std::size_t h = 0; h < results[t].size(); ++h)
        output[tokens[t].first * results[t].size() + h] += tokens[t].second * results[t][h];
  }
  return output;
}

// f32: sums of up to 16384 terms in any order, twice. bf16: output and partial sums are rounded to 8 bits
// (2^-9 each), and a kernel may keep silu(g) * u in bf16. fp8: besides, f32 and double may disagree in which
// of two neighbouring codes silu(g) * u is rounded to. The codes of a block's largest values are 32 / 448 of
// its largest apart; that largest is up to 6 times the rms, it meets a weight of up to 4 deviations, and the
// output sums `intermediate` such terms. One such flip is what a row may show.
double MoeProblem::tolerance() const {
  constexpr double kRounding = 0x1p-6, kStep = 32.0 / 448.0, kLargestWeight = 4.0;
  if (spec_.dtype == Dtype::f32) return 5e-5;
  if (!spec_.quantised()) return kRounding;
  const double root = std::sqrt(static_cast<double>(spec_.intermediate)), largest = std::min(6.0, root);
  return kRounding + kStep * largest * kLargestWeight / root;
}

}  // namespace chokepoint::moe
