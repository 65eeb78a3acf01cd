// moe_layer, plain: one loop after another in f32, messages one at a time; micro-batches follow each other
// and nothing overlaps. Obviously right rather than fast. Bound: compute of a scalar loop.
#include <cmath>
#include <cstring>

#include "harness/base/parallel.hpp"
#include "kernels/moe_layer/exchange.hpp"
#include "kernels/moe_layer/moe_layer.hpp"
#include "kernels/moe_layer/quantise.hpp"
#include "kernels/moe_layer/reference.hpp"

namespace chokepoint::moe {
namespace {

using Row = std::vector<float>;
using Rows = std::vector<Row>;

Row load(const std::byte* stored, Dtype dtype, std::int64_t length) {
  Row row(static_cast<std::size_t>(length));
  if (dtype == Dtype::f32) {
    std::memcpy(row.data(), stored, row.size() * sizeof(float));
  } else {
    const auto* bits = reinterpret_cast<const std::uint16_t*>(stored);
    for (std::size_t i = 0; i < row.size(); ++i) row[i] = float_from_bf16(bits[i]);
  }
  return row;
}

void save(const Row& row, Dtype dtype, std::byte* stored) {
  if (dtype == Dtype::f32) {
    std::memcpy(stored, row.data(), row.size() * sizeof(float));
  } else {
    auto* bits = reinterpret_cast<std::uint16_t*>(stored);
    for (std::size_t i = 0; i < row.size(); ++i) bits[i] = bf16_from_float(row[i]);
  }
}

void add(Row& sum, const Row& row, float factor = 1.0F) {
  for (std::size_t i = 0; i < sum.size(); ++i) sum[i] += factor * row[i];
}

// The values that the quantised row stands for.
Row through_fp8(const Row& row) {
  const auto length = static_cast<std::int64_t>(row.size());
  std::vector<std::uint8_t> codes(row.size());
  Row scales(static_cast<std::size_t>(scale_blocks(length))), values(row.size());
  quantise_row(row.data(), length, codes.data(), scales.data());
  for (std::size_t i = 0; i < row.size(); ++i)
    values[i] = float_from_fp8_e4m3(codes[i]) * scales[i / static_cast<std::size_t>(kScaleBlock)];
  return values;
}

// Matrix `index` of a stack, [rows, cols], scales applied.
Rows matrix(const Tensor& codes, const Tensor& scales, std::int64_t index, std::int64_t rows,
            std::int64_t cols) {
  Rows values(static_cast<std::size_t>(rows));
  parallel_for(rows, grain_of(4 * cols), [&](std::int64_t begin, std::int64_t end, int) {
    for (std::int64_t r = begin; r < end; ++r) {
      Row row = float_values(codes, (index * rows + r) * cols, cols);
      if (!scales.empty()) {
        const std::int64_t first = (index * scale_blocks(rows) + r / kScaleBlock) * scale_blocks(cols);
        const Row factors = float_values(scales, first, scale_blocks(cols));
        for (std::size_t c = 0; c < row.size(); ++c)
          row[c] *= factors[c / static_cast<std::size_t>(kScaleBlock)];
      }
      values[static_cast<std::size_t>(r)] = std::move(row);
    }
  });
  return values;
}

float dot(const Row& a, const Row& b) {
  float sum = 0.0F;
  for (std::size_t i = 0; i < a.size(); ++i) sum += a[i] * b[i];
  return sum;
}

Row mlp(const Rows& up, const Rows& down, const Row& x, bool quantise) {
  const std::size_t width = up.size() / 2;
  Row hidden(width), result(down.size());
  for (std::size_t i = 0; i < width; ++i) {
    const float gate = dot(up[i], x);
    hidden[i] = gate / (1.0F + std::exp(-gate)) * dot(up[width + i], x);
  }
  if (quantise) hidden = through_fp8(hidden);
  for (std::size_t i = 0; i < result.size(); ++i) result[i] = dot(down[i], hidden);
  return result;
}

void charge(const Pace& pace, double memory_bytes, double flop, const std::function<void()>& work) {
  PacedLoop step(pace, 1);
  step.begin({.memory_bytes = memory_bytes, .flop = flop});
  work();
  step.drain();
}

class ReferenceLaunch final : public Launch {
 public:
  ReferenceLaunch(const MoeProblem& problem, const Pace& pace)
      : problem_(problem),
        spec_(problem.spec()),
        pace_(pace),
        output_("output", problem.output_dims(), problem.output_dtype()) {}

  void run() override {
    for (const TokenRange& batch : spec_.micro_batches()) run_batch(batch);
  }
  Tensor& output() override { return output_; }

 private:
  std::int64_t row_bytes() const { return spec_.combine_row_bytes(); }
  Row x_row(std::int64_t token) const {
    return load(problem_.x().data() + token * row_bytes(), spec_.activation(), spec_.hidden);
  }

  void run_batch(const TokenRange& batch) {
    const std::int64_t count = batch.count();
    std::vector<std::int32_t> ids(static_cast<std::size_t>(count * spec_.gate.top_k));
    Row weights(ids.size());
    charge(pace_, static_cast<double>(count * row_bytes() + spec_.gate_bytes()),
           2.0 * static_cast<double>(count * spec_.hidden * spec_.gate.experts),
           [&] { route(batch, ids, weights); });
    const ExchangePlan plan = plan_exchange(spec_.placement, spec_.gate.top_k, ids, weights, 1);
    const Rows inbox = receive(batch, plan);
    const Rows results = run_experts(plan, inbox);
    Rows sums = send_back(plan, results);
    if (spec_.shared_experts > 0) add_shared(inbox, sums);
    charge(pace_, static_cast<double>(count * row_bytes()), 0.0, [&] {
      for (std::int64_t token = 0; token < count; ++token)
        save(sums[static_cast<std::size_t>(token)], spec_.activation(),
             output_.data() + (batch.begin + token) * row_bytes());
    });
  }

  void route(const TokenRange& batch, std::vector<std::int32_t>& ids, Row& weights) const {
    const Row gate = float_values(problem_.gate_weight());
    parallel_for(batch.count(), grain_of(std::ssize(gate)), [&](std::int64_t begin, std::int64_t end, int) {
      for (std::int64_t token = begin; token < end; ++token) {
        const auto first = static_cast<std::size_t>(token * spec_.gate.top_k);
        const auto top_k = static_cast<std::size_t>(spec_.gate.top_k);
        route_token(batch.begin + token, gate, std::span(ids).subspan(first, top_k),
                    std::span(weights).subspan(first, top_k));
      }
    });
  }

  void route_token(std::int64_t token, const Row& gate, std::span<std::int32_t> ids,
                   std::span<float> weights) const {
    const Row x = x_row(token);
    Row logits(static_cast<std::size_t>(spec_.gate.experts)), scores(logits.size());
    for (std::size_t e = 0; e < logits.size(); ++e)
      for (std::size_t i = 0; i < x.size(); ++i) logits[e] += gate[e * x.size() + i] * x[i];
    gate_scores<float>(spec_.gate, logits, scores);
    if (const auto imposed = problem_.imposed_ids(); !imposed.empty()) {
      std::copy_n(imposed.begin() + token * spec_.gate.top_k, ids.size(), ids.begin());
    } else {
      Row selection = scores;
      if (!problem_.gate_bias().empty()) add(selection, float_values(problem_.gate_bias()));
      choose<float>(spec_.gate, selection, ids);
    }
    gate_weights<float>(spec_.gate, scores, ids, weights);
  }

  // Puts the own rows into the inbox, has the others delivered, and reads all of them.
  Rows receive(const TokenRange& batch, const ExchangePlan& plan) {
    const Dtype wire = spec_.quantised() ? Dtype::fp8_e4m3 : spec_.activation();
    inbox_.resize(plan.inbox_rows(), spec_.hidden, wire);
    for (std::int64_t token = 0; token < batch.count(); ++token) {
      const Row x = x_row(batch.begin + token);
      if (spec_.quantised())
        quantise_row(x.data(), spec_.hidden, reinterpret_cast<std::uint8_t*>(inbox_.row(token)),
                     inbox_.scales(token));
      else
        save(x, wire, inbox_.row(token));
    }
    dispatch(plan, inbox_.store(), pace_);
    Rows rows;
    for (std::int64_t row = 0; row < plan.inbox_rows(); ++row) {
      if (!spec_.quantised()) {
        rows.push_back(load(inbox_.row(row), wire, spec_.hidden));
        continue;
      }
      Row values;
      for (std::int64_t i = 0; i < spec_.hidden; ++i)
        values.push_back(float_from_fp8_e4m3(static_cast<std::uint8_t>(inbox_.row(row)[i])) *
                         inbox_.scales(row)[i / kScaleBlock]);
      rows.push_back(std::move(values));
    }
    return rows;
  }

  Rows run_experts(const ExchangePlan& plan, const Rows& inbox) const {
    Rows results(plan.expert_inbox.size());
    for (std::int64_t expert = 0; expert < spec_.local_experts(); ++expert) {
      const std::int64_t begin = plan.expert_begin[static_cast<std::size_t>(expert)];
      const std::int64_t count = plan.expert_begin[static_cast<std::size_t>(expert) + 1] - begin;
      if (count == 0) continue;
      std::vector<const Row*> x;
      for (std::int64_t row = begin; row < begin + count; ++row)
        x.push_back(&inbox[static_cast<std::size_t>(plan.expert_inbox[static_cast<std::size_t>(row)])]);
      run_mlp(problem_.routed(), expert, spec_.intermediate, x, results.data() + begin);
    }
    return results;
  }

  void run_mlp(const MlpWeights& weights, std::int64_t index, std::int64_t width,
               const std::vector<const Row*>& x, Row* results) const {
    charge(pace_, static_cast<double>(spec_.up_bytes(width) + spec_.down_bytes(width)),
           spec_.mlp_flop(std::ssize(x), width), [&] {
             const Rows up = matrix(weights.up, weights.up_scale, index, 2 * width, spec_.hidden);
             const Rows down = matrix(weights.down, weights.down_scale, index, spec_.hidden, width);
             parallel_for(std::ssize(x), grain_of(3 * width * spec_.hidden),
                          [&](std::int64_t row, std::int64_t end, int) {
                            for (; row < end; ++row)
                              results[row] =
                                  mlp(up, down, *x[static_cast<std::size_t>(row)], spec_.quantised());
                          });
           });
  }

  // Sums per delivery, then per node, then per token.
  Rows send_back(const ExchangePlan& plan, const Rows& results) {
    const Row zero(static_cast<std::size_t>(spec_.hidden), 0.0F);
    const Dtype dtype = spec_.activation();
    Rows partial(plan.deliveries.size(), zero);
    link_out_.resize(plan.link.count(), spec_.hidden, dtype);
    link_in_.resize(plan.link.count(), spec_.hidden, dtype);
    network_out_.resize(plan.network.count(), spec_.hidden, dtype);
    network_in_.resize(plan.network.count(), spec_.hidden, dtype);
    for (std::size_t d = 0; d < partial.size(); ++d) {
      const Delivery& delivery = plan.deliveries[d];
      for (std::int32_t use = delivery.first_use; use < delivery.last_use; ++use)
        add(partial[d], results[static_cast<std::size_t>(plan.uses[static_cast<std::size_t>(use)].row)],
            plan.uses[static_cast<std::size_t>(use)].weight);
      if (delivery.link_row) save(partial[d], dtype, link_out_.row(*delivery.link_row));
    }
    const auto arrived = [&](std::size_t d) {
      const Delivery& delivery = plan.deliveries[d];
      return delivery.link_row ? load(link_in_.row(*delivery.link_row), dtype, spec_.hidden) : partial[d];
    };
    const auto add_up = [&](std::int64_t) {
      Rows nodes(static_cast<std::size_t>(plan.network.count()), zero);
      for (std::size_t d = 0; d < partial.size(); ++d)
        if (const auto row = plan.deliveries[d].network_row)
          add(nodes[static_cast<std::size_t>(*row)], arrived(d));
      for (std::size_t row = 0; row < nodes.size(); ++row)
        save(nodes[row], dtype, network_out_.row(static_cast<std::int64_t>(row)));
    };
    combine(plan, {link_out_.store(), link_in_.store(), network_out_.store(), network_in_.store()}, add_up,
            pace_);
    Rows sums(static_cast<std::size_t>(plan.tokens), zero);
    for (std::size_t d = 0; d < partial.size(); ++d)
      if (!plan.deliveries[d].network_row)
        add(sums[static_cast<std::size_t>(plan.deliveries[d].token)], arrived(d));
    for (std::int64_t row = 0; row < plan.network.count(); ++row)
      add(sums[static_cast<std::size_t>(plan.network.rows[static_cast<std::size_t>(row)].token)],
          load(network_in_.row(row), dtype, spec_.hidden));
    return sums;
  }

  void add_shared(const Rows& inbox, Rows& sums) const {
    std::vector<const Row*> x;
    for (std::size_t token = 0; token < sums.size(); ++token) x.push_back(&inbox[token]);
    Rows results(sums.size());
    run_mlp(problem_.shared(), 0, spec_.shared_intermediate(), x, results.data());
    for (std::size_t token = 0; token < sums.size(); ++token) add(sums[token], results[token]);
  }

  const MoeProblem& problem_;
  const MoeSpec& spec_;
  Pace pace_;
  Tensor output_;
  RowBuffer inbox_, link_out_, link_in_, network_out_, network_in_;
};

const Register<Kernel> kernel{{
    .name = "cpu_reference",
    .operation = "moe_layer",
    .summary = "plain f32 loops, one message at a time, micro-batches one after the other",
    .dtypes = {Dtype::f32, Dtype::bf16, Dtype::fp8_e4m3},
    .paces = {Resource::compute, Resource::memory, Resource::link, Resource::network},
    .prepare = [](const Problem& problem, Device&, const Pace& pace) -> std::unique_ptr<Launch> {
      return std::make_unique<ReferenceLaunch>(dynamic_cast<const MoeProblem&>(problem), pace);
    },
}};

}  // namespace
}  // namespace chokepoint::moe
