// cpu_reference: attention as written on paper, one query row at a time, in f32. Slow and obviously right.
#include <algorithm>
#include <cmath>
#include <vector>

#include "harness/base/parallel.hpp"
#include "kernels/attention/attention.hpp"

namespace chokepoint {
namespace {

constexpr std::size_t kRowsAhead = 8;  // rows a worker may be ahead of the clocks

float load(float value) { return value; }
float load(std::uint16_t bits) { return float_from_bf16(bits); }
void store(float value, float& out) { out = value; }
void store(float value, std::uint16_t& out) { out = bf16_from_float(value); }

class ReferenceLaunch final : public Launch {
 public:
  ReferenceLaunch(const AttentionProblem& problem, const Pace& pace)
      : problem_(problem), pace_(pace), output_("output", problem.output_dims(), problem.dtype) {}

  Tensor& output() override { return output_; }

  void run() override {
    if (problem_.dtype == Dtype::bf16)
      run_as<std::uint16_t>();
    else
      run_as<float>();
  }

 private:
  template <class T>
  void run_as() {
    const AttentionSizes& s = problem_.sizes;
    const AttentionCost cost(s, problem_.dtype);
    std::vector<PacedLoop> loops(static_cast<std::size_t>(parallel_workers()), PacedLoop(pace_, kRowsAhead));
    parallel_for(s.batch * s.seq_q * s.heads_q, 1, [&](std::int64_t begin, std::int64_t end, int worker) {
      for (std::int64_t row = begin; row < end; ++row) {
        const std::int64_t head = row % s.heads_q, i = row / s.heads_q % s.seq_q,
                           b = row / s.heads_q / s.seq_q;
        const std::int64_t row_of_kv = i * s.heads_per_kv() + head % s.heads_per_kv();
        loops[static_cast<std::size_t>(worker)].begin(
            cost.charge(b, row_of_kv, row_of_kv + 1, 0, s.context_length[static_cast<std::size_t>(b)]));
        attend<T>(b, i, head, row);
      }
    });
    parallel_run([&](int worker) { loops[static_cast<std::size_t>(worker)].drain(); });
  }

  template <class T>
  void attend(std::int64_t b, std::int64_t i, std::int64_t head, std::int64_t row) {
    const AttentionSizes& s = problem_.sizes;
    const std::int64_t head_kv = head / s.heads_per_kv(), keys = s.visible(b, i);
    const auto q = problem_.q.as<T>();
    const auto key = problem_.keys().as<T>(), value = problem_.values().as<T>();
    std::vector<float> weight(static_cast<std::size_t>(keys));
    for (std::int64_t t = 0; t < keys; ++t) {
      const std::int64_t at = problem_.key_at(b, head_kv, t);
      float dot = 0.0F;
      for (std::int64_t d = 0; d < s.qk_dim; ++d)
        dot += load(q[static_cast<std::size_t>(row * s.qk_dim + d)]) *
               load(key[static_cast<std::size_t>(at + d)]);
      weight[static_cast<std::size_t>(t)] = dot * static_cast<float>(s.scale);
    }
    const float largest = *std::max_element(weight.begin(), weight.end());
    float sum = 0.0F;
    for (float& w : weight) sum += w = std::exp(w - largest);
    std::vector<float> mean(static_cast<std::size_t>(s.v_dim));
    for (std::int64_t t = 0; t < keys; ++t) {
      const std::int64_t at = problem_.value_at(b, head_kv, t);
      for (std::int64_t d = 0; d < s.v_dim; ++d)
        mean[static_cast<std::size_t>(d)] +=
            weight[static_cast<std::size_t>(t)] * load(value[static_cast<std::size_t>(at + d)]);
    }
    for (std::int64_t d = 0; d < s.v_dim; ++d)
      store(mean[static_cast<std::size_t>(d)] / sum,
            output_.as<T>()[static_cast<std::size_t>(row * s.v_dim + d)]);
  }

  const AttentionProblem& problem_;
  Pace pace_;
  Tensor output_;
};

const Register<Kernel> kernel{{
    .name = "cpu_reference",
    .operation = "attention",
    .summary = "plain loops in f32, one query row at a time",
    .dtypes = {Dtype::f32, Dtype::bf16},
    .paces = {Resource::compute, Resource::memory},
    .prepare = [](const Problem& problem, Device&, const Pace& pace) -> std::unique_ptr<Launch> {
      return std::make_unique<ReferenceLaunch>(attention_problem(problem), pace);
    },
}};

}  // namespace
}  // namespace chokepoint
