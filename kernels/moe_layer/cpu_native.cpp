// moe_layer, fast: gate, choose, dispatch, grouped products with SwiGLU, local sums, combine, shared experts.
//
// Rows are not permuted in memory: the packing of the grouped product gathers them from the inbox, expert
// after expert, without padding. Sums per rank leave in bf16 (f32 in f32), all else between the products is
// f32, or fp8 where the definition quantises. With overlap, the exchange of one micro-batch runs in the
// background while the other computes:
//   background  dispatch A | dispatch B | combine A | combine B
//   workers     gate A  gate B  shared A | experts A | shared B  experts B | finish A | finish B
// Bound: compute, the grouped products; with small batches the memory that holds the experts' weights; with
// an expensive wire the exchange. Not supported: more than two micro-batches.
#include <algorithm>
#include <cstring>
#include <future>

#include "harness/base/parallel.hpp"
#include "kernels/common/gemm.hpp"
#include "kernels/moe_layer/exchange.hpp"
#include "kernels/moe_layer/expert_mlp.hpp"
#include "kernels/moe_layer/moe_layer.hpp"
#include "kernels/moe_layer/reference.hpp"
#include "kernels/moe_layer/row_math.hpp"

namespace chokepoint::moe {
namespace {

// Messages are sent in parts of about this many tokens, at most kMostSegments: enough for the second wire to
// start early, few enough that waking threads costs nothing.
constexpr std::int64_t kTokensPerSegment = 32, kMostSegments = 8;

// One micro-batch on its way. Tokens count from `tokens.begin`; sums are f32 rows of `hidden`.
struct Batch {
  TokenRange tokens;
  std::vector<std::int32_t> ids;
  std::vector<float> weights;
  ExchangePlan plan;
  RowBuffer inbox, link_out, link_in, network_out, network_in;
  std::vector<float> sums;         // [tokens, hidden]: own experts, then all
  std::vector<float> node_sums;    // [rows on the network, hidden]
  std::vector<float> shared_rows;  // [tokens, hidden]
};

class NativeLaunch final : public Launch {
 public:
  NativeLaunch(const MoeProblem& problem, const Pace& pace)
      : problem_(problem),
        spec_(problem.spec()),
        pace_(pace),
        output_("output", problem.output_dims(), problem.output_dtype()) {
    if (!problem.gate_bias().empty()) bias_ = float_values(problem.gate_bias());
    for (const TokenRange& tokens : spec_.micro_batches()) batches_.push_back({.tokens = tokens});
  }

  Tensor& output() override { return output_; }

  void run() override {
    if (batches_.size() == 2) return run_overlapped(batches_[0], batches_[1]);
    Batch& batch = batches_.front();
    route(batch);
    fetch(batch);
    compute_experts(batch);
    send_back(batch, true);
    compute_shared(batch);
    finish(batch);
  }

 private:
  void run_overlapped(Batch& a, Batch& b) {
    const auto background = [](auto work) { return std::async(std::launch::async, work); };
    route(a);
    std::future<void> a_there = background([&] { fetch(a); });
    route(b);
    compute_shared(a);
    a_there.get();
    std::future<void> b_there = background([&] { fetch(b); });
    compute_experts(a);
    std::future<void> a_back = background([&] { send_back(a, false); });
    compute_shared(b);
    b_there.get();
    compute_experts(b);
    std::future<void> b_back = background([&] { send_back(b, false); });
    a_back.get();
    finish(a);
    b_back.get();
    finish(b);
  }

  std::int64_t hidden() const { return spec_.hidden; }
  float* row_of(std::vector<float>& rows, std::int64_t row) const { return rows.data() + row * hidden(); }

  // Ids, weights and the plan of the exchange; own rows are put into the inbox.
  void route(Batch& batch) {
    const std::int64_t count = batch.tokens.count(), experts = spec_.gate.experts, top_k = spec_.gate.top_k;
    const std::byte* x = problem_.x().data() + batch.tokens.begin * spec_.combine_row_bytes();
    logits_.resize(static_cast<std::size_t>(count * experts));
    const Dtype dtype = spec_.activation();
    gemm::gemm({.data = x, .dtype = dtype, .rows = count, .cols = hidden(), .row_stride = hidden()},
               {.data = problem_.gate_weight().data(),
                .dtype = dtype,
                .rows = hidden(),
                .cols = experts,
                .row_stride = 1,
                .col_stride = hidden()},
               {logits_.data(), Dtype::f32, experts}, pace_,
               static_cast<double>(count * spec_.combine_row_bytes() + spec_.gate_bytes()));
    batch.ids.resize(static_cast<std::size_t>(count * top_k));
    batch.weights.resize(batch.ids.size());
    parallel_for(count, grain_of(8 * experts),
                 [&](std::int64_t begin, std::int64_t end, int) { choose_tokens(batch, begin, end); });
    batch.plan = plan_exchange(spec_.placement, top_k, batch.ids, batch.weights,
                               std::clamp<std::int64_t>(count / kTokensPerSegment, 1, kMostSegments));
    batch.inbox.resize(batch.plan.inbox_rows(), hidden(), spec_.quantised() ? Dtype::fp8_e4m3 : dtype);
    parallel_for(count, grain_of(4 * hidden()),
                 [&](std::int64_t begin, std::int64_t end, int) { store_own_rows(batch, x, begin, end); });
  }

  void choose_tokens(Batch& batch, std::int64_t begin, std::int64_t end) const {
    const auto experts = static_cast<std::size_t>(spec_.gate.experts),
               top_k = static_cast<std::size_t>(spec_.gate.top_k);
    const std::span<const std::int32_t> imposed = problem_.imposed_ids();
    std::vector<float> scores(experts), selection(experts);
    for (auto token = static_cast<std::size_t>(begin); token < static_cast<std::size_t>(end); ++token) {
      gate_scores<float>(spec_.gate, std::span(logits_).subspan(token * experts, experts), scores);
      const std::span<std::int32_t> ids = std::span(batch.ids).subspan(token * top_k, top_k);
      if (imposed.empty()) {
        for (std::size_t e = 0; e < experts; ++e)
          selection[e] = scores[e] + (bias_.empty() ? 0.0F : bias_[e]);
        choose<float>(spec_.gate, selection, ids);
      } else {
        const std::size_t first = (static_cast<std::size_t>(batch.tokens.begin) + token) * top_k;
        for (std::size_t k = 0; k < top_k; ++k) ids[k] = imposed[first + k];
      }
      gate_weights<float>(spec_.gate, scores, ids, std::span(batch.weights).subspan(token * top_k, top_k));
    }
  }

  void store_own_rows(Batch& batch, const std::byte* x, std::int64_t begin, std::int64_t end) const {
    const std::int64_t row_bytes = spec_.combine_row_bytes();
    if (!spec_.quantised()) {
      std::memcpy(batch.inbox.row(begin), x + begin * row_bytes,
                  static_cast<std::size_t>((end - begin) * row_bytes));
      return;
    }
    std::vector<float> values(static_cast<std::size_t>(hidden()));
    for (std::int64_t token = begin; token < end; ++token) {
      widen_bf16(reinterpret_cast<const std::uint16_t*>(x + token * row_bytes), values.data(), hidden());
      quantise_row_simd(values.data(), hidden(), reinterpret_cast<std::uint8_t*>(batch.inbox.row(token)),
                        batch.inbox.scales(token));
    }
  }

  void fetch(Batch& batch) { dispatch(batch.plan, batch.inbox.store(), pace_); }

  // Results of the local experts, summed per delivery: for the token, its node, or a row for the link.
  void compute_experts(Batch& batch) {
    const ExchangePlan& plan = batch.plan;
    const std::int64_t top_k = spec_.gate.top_k;
    results_.resize(plan.expert_inbox.size() * static_cast<std::size_t>(hidden()));
    mlp_.run(spec_, problem_.routed(), spec_.intermediate,
             {plan.expert_begin, plan.expert_inbox.data(), batch.inbox.store()}, results_.data(), pace_);
    batch.sums.resize(static_cast<std::size_t>(plan.tokens * hidden()));
    batch.node_sums.resize(static_cast<std::size_t>(plan.network.count() * hidden()));
    for (RowBuffer* buffer : {&batch.link_out, &batch.link_in})
      buffer->resize(plan.link.count(), hidden(), spec_.activation());
    for (RowBuffer* buffer : {&batch.network_out, &batch.network_in})
      buffer->resize(plan.network.count(), hidden(), spec_.activation());
    parallel_for(plan.tokens, grain_of(4 * top_k * hidden()), [&](std::int64_t begin, std::int64_t end, int) {
      std::vector<float> for_link(static_cast<std::size_t>(hidden()));
      for (std::int64_t token = begin; token < end; ++token) sum_deliveries(batch, token, for_link);
    });
  }

  void sum_deliveries(Batch& batch, std::int64_t token, std::vector<float>& for_link) {
    std::fill_n(row_of(batch.sums, token), hidden(), 0.0F);
    std::optional<std::int32_t> node;
    for (const Delivery& delivery : batch.plan.deliveries_of(token)) {
      if (delivery.network_row && delivery.network_row != node) {
        node = delivery.network_row;
        std::fill_n(row_of(batch.node_sums, *node), hidden(), 0.0F);
      }
      float* sum = delivery.link_row      ? for_link.data()
                   : delivery.network_row ? row_of(batch.node_sums, *delivery.network_row)
                                          : row_of(batch.sums, token);
      if (delivery.link_row) std::fill(for_link.begin(), for_link.end(), 0.0F);
      for (std::int32_t u = delivery.first_use; u < delivery.last_use; ++u) {
        const Use& use = batch.plan.uses[static_cast<std::size_t>(u)];
        add_scaled(sum, row_of(results_, use.row), use.weight, hidden());
      }
      if (delivery.link_row) save(sum, batch.link_out.row(*delivery.link_row));
    }
  }

  void save(const float* row, std::byte* to) const {
    if (spec_.activation() == Dtype::f32)
      std::memcpy(to, row, static_cast<std::size_t>(spec_.combine_row_bytes()));
    else
      narrow_bf16(row, reinterpret_cast<std::uint16_t*>(to), hidden());
  }

  void add(float* sum, const std::byte* row) const {
    if (spec_.activation() == Dtype::f32)
      add_scaled(sum, reinterpret_cast<const float*>(row), 1.0F, hidden());
    else
      add_bf16(sum, reinterpret_cast<const std::uint16_t*>(row), hidden());
  }

  // Combine. In the background nothing may wait for the workers, which compute the other micro-batch.
  void send_back(Batch& batch, bool with_workers) {
    const auto add_up = [&](std::int64_t segment) {
      const std::int64_t first = batch.plan.first_token(segment), last = batch.plan.first_token(segment + 1);
      const auto body = [&](std::int64_t begin, std::int64_t end, int) {
        for (std::int64_t token = first + begin; token < first + end; ++token) sum_nodes(batch, token);
      };
      if (batch.plan.network.count() == 0) return;
      if (with_workers)
        parallel_for(last - first, grain_of(4 * spec_.gate.top_k * hidden()), body);
      else
        body(0, last - first, 0);
    };
    combine(
        batch.plan,
        {batch.link_out.store(), batch.link_in.store(), batch.network_out.store(), batch.network_in.store()},
        add_up, pace_);
  }

  // Link rows join their node's sum, which is then ready for the network.
  void sum_nodes(Batch& batch, std::int64_t token) {
    for (const Delivery& delivery : batch.plan.deliveries_of(token))
      if (delivery.network_row && delivery.link_row)
        add(row_of(batch.node_sums, *delivery.network_row), batch.link_in.row(*delivery.link_row));
    for_each_network_row(batch, token, [&](std::int32_t row) {
      save(row_of(batch.node_sums, row), batch.network_out.row(row));
    });
  }

  template <class Body>
  static void for_each_network_row(const Batch& batch, std::int64_t token, const Body& body) {
    std::optional<std::int32_t> last;
    for (const Delivery& delivery : batch.plan.deliveries_of(token)) {
      if (delivery.network_row && delivery.network_row != last) body(*delivery.network_row);
      last = delivery.network_row;
    }
  }

  void compute_shared(Batch& batch) {
    if (spec_.shared_experts == 0) return;
    batch.shared_rows.resize(static_cast<std::size_t>(batch.plan.tokens * hidden()));
    const std::int64_t begin[] = {0, batch.plan.tokens};
    mlp_.run(spec_, problem_.shared(), spec_.shared_intermediate(),
             {.begin = begin, .rows = batch.inbox.store()}, batch.shared_rows.data(), pace_);
  }

  // Adds what came back and the shared experts, and writes the output.
  void finish(Batch& batch) {
    PacedLoop output_bytes(pace_, 1);
    output_bytes.begin(
        {.memory_bytes = static_cast<double>(batch.tokens.count() * spec_.combine_row_bytes())});
    parallel_for(batch.plan.tokens, grain_of(8 * hidden()), [&](std::int64_t begin, std::int64_t end, int) {
      for (std::int64_t token = begin; token < end; ++token) {
        float* sum = row_of(batch.sums, token);
        for (const Delivery& delivery : batch.plan.deliveries_of(token))
          if (delivery.link_row && !delivery.network_row) add(sum, batch.link_in.row(*delivery.link_row));
        for_each_network_row(batch, token, [&](std::int32_t row) { add(sum, batch.network_in.row(row)); });
        if (spec_.shared_experts > 0) add_scaled(sum, row_of(batch.shared_rows, token), 1.0F, hidden());
        save(sum, output_.data() + (batch.tokens.begin + token) * spec_.combine_row_bytes());
      }
    });
    output_bytes.drain();
  }

  const MoeProblem& problem_;
  const MoeSpec& spec_;
  Pace pace_;
  Tensor output_;
  std::vector<float> bias_;
  std::vector<Batch> batches_;
  ExpertMlp mlp_;
  std::vector<float> logits_;   // [tokens, experts]
  std::vector<float> results_;  // [rows of all local experts, hidden]
};

const Register<Kernel> kernel{{
    .name = "cpu_native",
    .operation = "moe_layer",
    .summary = "grouped products without padding, SIMD, exchange in the background with overlap",
    .dtypes = {Dtype::f32, Dtype::bf16, Dtype::fp8_e4m3},
    .paces = {Resource::compute, Resource::memory, Resource::link, Resource::network},
    .prepare = [](const Problem& problem, Device&, const Pace& pace) -> std::unique_ptr<Launch> {
      return std::make_unique<NativeLaunch>(dynamic_cast<const MoeProblem&>(problem), pace);
    },
}};

}  // namespace
}  // namespace chokepoint::moe
