// cpu_native: attention in tiles with an online softmax, as FlashAttention does it (Dao 2022), on all cores.
//
// Per block of up to 132 rows and tile of up to 256 keys: scores = q k^T by the packed product of
// kernels/common/gemm.hpp, weights in place by kernels/common/softmax.hpp, sums += weights v by the same
// product. Rows of a block are (query, head) pairs that share one KV head, so that grouped queries and the
// heads of MLA fill the rows of one product. bf16 becomes f32 while keys and values are packed; few rows read
// them in place instead (thin_rows.hpp). Tiles above the diagonal are skipped. When there are fewer blocks
// than the workers want, the context is cut into parts whose sums are merged by their log-sum-exp
// (flash-decoding: Dao et al. 2023). Meets the compute bound in prefill and MLA decode, the memory bound in
// grouped-query decode.
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <numbers>
#include <vector>

#include "harness/base/parallel.hpp"
#include "kernels/attention/attention.hpp"
#include "kernels/attention/native_panels.hpp"
#include "kernels/attention/native_plan.hpp"
#include "kernels/attention/thin_rows.hpp"
#include "kernels/common/gemm.hpp"
#include "kernels/common/softmax.hpp"
#include "kernels/kernel_choices.hpp"

namespace chokepoint {
namespace {

constexpr std::size_t kTilesAhead = 8;  // per worker: late wake-ups cost nothing while others are in flight

std::size_t index(std::int64_t value) { return static_cast<std::size_t>(value); }
Tensor floats(std::int64_t count) { return {"scratch", {count}, Dtype::f32}; }
float* data_of(Tensor& tensor) { return reinterpret_cast<float*>(tensor.data()); }
const float* data_of(const Tensor& tensor) { return reinterpret_cast<const float*>(tensor.data()); }

NativeMachine this_machine() {
  NativeMachine machine{.workers = parallel_workers(),
                        .rows_per_panel = gemm::rows_per_panel(),
                        .cols_per_panel = gemm::cols_per_panel()};
  const long l2_bytes = ::sysconf(_SC_LEVEL2_CACHE_SIZE);  // 0 or -1 where the system does not say
  if (l2_bytes > 0) machine.l2_bytes = l2_bytes;
  return machine;
}

// One block of rows of one KV head of one sequence.
struct Block {
  std::int64_t b = 0, head_kv = 0, row = 0, rows = 0;
};

// What a block has summed over some of its keys, not yet divided by the sum of the weights.
struct Sums {
  Tensor values;  // [rows, v_dim]
  std::vector<softmax::RowState> states;

  Sums(std::int64_t rows, std::int64_t v_dim) : values(floats(rows * v_dim)), states(index(rows)) {}
  void clear() { std::fill(states.begin(), states.end(), softmax::RowState{}); }
};

// One worker's room for a block and a tile.
struct Scratch {
  Tensor q, scores, panels, gathered;
  std::vector<std::int64_t> visible, key_at, value_at;
  std::vector<float> carry;
};

class NativeLaunch final : public Launch {
 public:
  NativeLaunch(const AttentionProblem& problem, const Pace& pace, const NativePlan& plan)
      : problem_(problem),
        sizes_(problem.sizes),
        pace_(pace),
        plan_(plan),
        cost_(sizes_, problem.dtype),
        factor_(static_cast<float>(sizes_.scale * std::numbers::log2e)),
        output_("output", problem.output_dims(), problem.dtype),
        key_floats_(key_panel_floats(sizes_, plan_.key_tile)),
        tile_floats_(key_floats_ + value_panel_floats(sizes_, plan_.key_tile)) {
    for (int worker = 0; worker < parallel_workers(); ++worker) scratch_.push_back(make_scratch());
    if (plan_.access == KeyAccess::shared_panels)
      panels_ = floats(plan_.heads_at_once * plan_.key_tiles(sizes_.context) * tile_floats_);
    // Sums of all parts are kept until they are merged; without parts, one block per worker is.
    const std::int64_t kept =
        plan_.parts > 1 ? plan_.heads_at_once * plan_.row_blocks * plan_.parts : parallel_workers();
    sums_.assign(index(kept), Sums(plan_.row_block, sizes_.v_dim));
  }

  Tensor& output() override { return output_; }

  void run() override {
    const std::int64_t heads = sizes_.batch * sizes_.heads_kv;
    std::vector<PacedLoop> loops(index(parallel_workers()), PacedLoop(pace_, kTilesAhead));
    for (std::int64_t first = 0; first < heads; first += plan_.heads_at_once)
      run_heads(first, std::min(plan_.heads_at_once, heads - first), loops);
    parallel_run([&](int worker) { loops[index(worker)].drain(); });
  }

 private:
  Scratch make_scratch() const {
    Scratch scratch;
    scratch.q = floats(plan_.row_block * q_stride());
    scratch.scores = floats(plan_.row_block * score_stride());
    scratch.visible.resize(index(plan_.row_block));
    scratch.carry.resize(index(plan_.row_block));
    if (plan_.access == KeyAccess::in_place) {
      scratch.key_at.resize(index(plan_.key_tile));
      scratch.value_at.resize(index(plan_.key_tile));
      return scratch;
    }
    scratch.gathered = gather_room(problem_, plan_.key_tile);
    if (plan_.access == KeyAccess::own_panels) scratch.panels = floats(tile_floats_);
    return scratch;
  }

  // Row strides in floats: whole cache lines, and not a multiple of 4 KiB, which would put all rows in one
  // cache set.
  static std::int64_t stride(std::int64_t columns) {
    const std::int64_t lines = (columns + 15) / 16;
    return 16 * (lines % 64 == 0 ? lines + 1 : lines);
  }
  std::int64_t q_stride() const { return stride(sizes_.qk_dim); }
  std::int64_t score_stride() const { return stride(plan_.key_tile); }

  Block block_at(std::int64_t head, std::int64_t block) const {
    const std::int64_t row = block * plan_.row_block;
    return {head / sizes_.heads_kv, head % sizes_.heads_kv, row,
            std::min(plan_.row_block, sizes_.rows_per_kv() - row)};
  }

  // Heads `first` .. first + count (batch * heads_kv of them in all): pack, attend, merge. Blocks with the
  // most keys, the last ones of a causal head, come first, so that workers finish together.
  void run_heads(std::int64_t first, std::int64_t count, std::vector<PacedLoop>& loops) {
    const std::int64_t parts = plan_.parts, blocks = plan_.row_blocks;
    if (plan_.access == KeyAccess::shared_panels) pack_heads(first, count);
    parallel_for(count * blocks * parts, 1, [&](std::int64_t begin, std::int64_t end, int worker) {
      for (std::int64_t item = begin; item < end; ++item) {
        const std::int64_t head = item / (blocks * parts), block = blocks - 1 - item / parts % blocks;
        const Block rows = block_at(first + head, block);
        Sums& sums = sums_[index(parts > 1 ? (head * blocks + block) * parts + item % parts : worker)];
        attend(rows, head, item % parts, sums, scratch_[index(worker)], loops[index(worker)]);
        if (parts == 1) write({&sums, 1}, rows);
      }
    });
    if (parts == 1) return;
    parallel_for(count * blocks, 1, [&](std::int64_t begin, std::int64_t end, int) {
      for (std::int64_t i = begin; i < end; ++i)
        write({&sums_[index(i * parts)], index(parts)}, block_at(first + i / blocks, i % blocks));
    });
  }

  float* shared_panels(std::int64_t head, std::int64_t tile) {
    return data_of(panels_) + (head * plan_.key_tiles(sizes_.context) + tile) * tile_floats_;
  }

  KeyRange tile_range(std::int64_t b, std::int64_t head_kv, std::int64_t tile) const {
    const std::int64_t first = tile * plan_.key_tile;
    return {b, head_kv, first, std::min(plan_.key_tile, sizes_.context_length[index(b)] - first)};
  }

  void pack_heads(std::int64_t first, std::int64_t count) {
    const std::int64_t tiles = plan_.key_tiles(sizes_.context);
    parallel_for(count * tiles, 1, [&](std::int64_t begin, std::int64_t end, int worker) {
      for (std::int64_t i = begin; i < end; ++i) {
        const std::int64_t head = first + i / tiles;
        const KeyRange range = tile_range(head / sizes_.heads_kv, head % sizes_.heads_kv, i % tiles);
        if (range.count <= 0) continue;  // past the end of a short sequence
        float* const panels = shared_panels(i / tiles, i % tiles);
        pack_tile(problem_, range, scratch_[index(worker)].gathered, panels, panels + key_floats_);
      }
    });
  }

  // One block of rows against one part of the keys, tile by tile.
  void attend(const Block& block, std::int64_t head, std::int64_t part, Sums& sums, Scratch& scratch,
              PacedLoop& pace) {
    load_queries(block, scratch);
    sums.clear();
    const std::int64_t heads = sizes_.heads_per_kv(), length = sizes_.context_length[index(block.b)];
    const std::int64_t most = sizes_.visible(block.b, (block.row + block.rows - 1) / heads);
    const std::int64_t tiles = plan_.key_tiles(length), begin = tiles * part / plan_.parts;
    const std::int64_t end = std::min(tiles * (part + 1) / plan_.parts, plan_.key_tiles(most));
    for (std::int64_t tile = begin; tile < end; ++tile) {
      const KeyRange range = tile_range(block.b, block.head_kv, tile);
      pace.begin(
          cost_.charge(block.b, block.row, block.row + block.rows, range.first, range.first + range.count));
      for (std::int64_t row = 0; row < block.rows; ++row)
        scratch.visible[index(row)] = sizes_.visible(block.b, (block.row + row) / heads) - range.first;
      const std::int64_t keys = std::min(range.count, most - range.first);
      if (plan_.access == KeyAccess::in_place)
        fold_in_place(block, {range.b, range.head_kv, range.first, keys}, tile == begin, sums, scratch);
      else
        fold_panels(block, range, keys, panels_of(head, tile, range, scratch), tile == begin, sums, scratch);
    }
  }

  // Rows of q as f32.
  void load_queries(const Block& block, Scratch& scratch) const {
    for (std::int64_t row = 0; row < block.rows; ++row) {
      const std::int64_t from = output_row(block, row) * sizes_.qk_dim;
      float* const to = data_of(scratch.q) + row * q_stride();
      if (problem_.dtype == Dtype::bf16) {
        const std::uint16_t* const q = problem_.q.as<std::uint16_t>().data() + from;
        for (std::int64_t d = 0; d < sizes_.qk_dim; ++d) to[d] = float_from_bf16(q[d]);
      } else {
        std::copy_n(problem_.q.as<float>().data() + from, sizes_.qk_dim, to);
      }
    }
  }

  // Index of a row in q and in the output, both [batch, seq_q, heads_q, dim].
  std::int64_t output_row(const Block& block, std::int64_t row) const {
    const std::int64_t heads = sizes_.heads_per_kv(), i = (block.row + row) / heads;
    return (block.b * sizes_.seq_q + i) * sizes_.heads_q + block.head_kv * heads + (block.row + row) % heads;
  }

  const float* panels_of(std::int64_t head, std::int64_t tile, const KeyRange& range, Scratch& scratch) {
    if (plan_.access == KeyAccess::shared_panels) return shared_panels(head, tile);
    float* const panels = data_of(scratch.panels);
    pack_tile(problem_, range, scratch.gathered, panels, panels + key_floats_);
    return panels;
  }

  // Folds the first `keys` keys of a packed tile of `range.count` into the sums.
  void fold_panels(const Block& block, const KeyRange& range, std::int64_t keys, const float* panels,
                   bool first, Sums& sums, Scratch& scratch) const {
    float* const scores = data_of(scratch.scores);
    float* const values = data_of(sums.values);
    gemm::multiply_rows(block.rows, keys, sizes_.qk_dim, data_of(scratch.q), q_stride(), panels, scores,
                        score_stride(), false);
    take_weights(block, keys, first, sums, scratch);
    // Panel by panel, since a panel holds range.count keys and maybe not all of them are wanted.
    const std::int64_t width = gemm::cols_per_panel();
    for (std::int64_t col = 0; col < sizes_.v_dim; col += width)
      gemm::multiply_rows(block.rows, std::min(width, sizes_.v_dim - col), keys, scores, score_stride(),
                          panels + key_floats_ + col * range.count, values + col, sizes_.v_dim, !first);
  }

  void fold_in_place(const Block& block, const KeyRange& range, bool first, Sums& sums,
                     Scratch& scratch) const {
    for (std::int64_t t = 0; t < range.count; ++t) {
      scratch.key_at[index(t)] = problem_.key_at(range.b, range.head_kv, range.first + t);
      scratch.value_at[index(t)] = problem_.value_at(range.b, range.head_kv, range.first + t);
    }
    float* const scores = data_of(scratch.scores);
    thin::dot_products(
        data_of(scratch.q), q_stride(), block.rows,
        {problem_.keys().data(), problem_.dtype, scratch.key_at.data(), range.count, sizes_.qk_dim}, scores,
        score_stride());
    take_weights(block, range.count, first, sums, scratch);
    thin::weighted_sums(
        scores, score_stride(), block.rows,
        {problem_.values().data(), problem_.dtype, scratch.value_at.data(), range.count, sizes_.v_dim},
        data_of(sums.values), sizes_.v_dim, !first);
  }

  // Scores of a tile become weights; what was summed before is scaled to the new largest score.
  void take_weights(const Block& block, std::int64_t keys, bool first, Sums& sums, Scratch& scratch) const {
    softmax::fold_tile(data_of(scratch.scores), score_stride(), block.rows, keys, scratch.visible.data(),
                       factor_, sums.states.data(), scratch.carry.data());
    if (!first)
      softmax::scale_rows(data_of(sums.values), sizes_.v_dim, block.rows, sizes_.v_dim, scratch.carry.data());
  }

  // Merges the parts of a block (those that saw a key) and writes its rows of the output.
  void write(std::span<const Sums> parts, const Block& block) {
    std::vector<float> mean(index(sizes_.v_dim));
    for (std::int64_t row = 0; row < block.rows; ++row) {
      float largest = softmax::RowState{}.largest, total = 0.0F;
      for (const Sums& part : parts) largest = std::max(largest, part.states[index(row)].largest);
      std::fill(mean.begin(), mean.end(), 0.0F);
      for (const Sums& part : parts) {
        const softmax::RowState& state = part.states[index(row)];
        if (state.sum == 0.0F) continue;
        const float weight = std::exp2((state.largest - largest) * factor_);
        const float* const values = data_of(part.values) + row * sizes_.v_dim;
        total += weight * state.sum;
        for (std::int64_t d = 0; d < sizes_.v_dim; ++d) mean[index(d)] += weight * values[d];
      }
      const std::int64_t at = output_row(block, row) * sizes_.v_dim;
      if (problem_.dtype == Dtype::bf16)
        for (std::int64_t d = 0; d < sizes_.v_dim; ++d)
          output_.as<std::uint16_t>()[index(at + d)] = bf16_from_float(mean[index(d)] / total);
      else
        for (std::int64_t d = 0; d < sizes_.v_dim; ++d)
          output_.as<float>()[index(at + d)] = mean[index(d)] / total;
    }
  }

  const AttentionProblem& problem_;
  const AttentionSizes& sizes_;
  Pace pace_;
  NativePlan plan_;
  AttentionCost cost_;
  float factor_;  // weights are 2^(factor * score)
  Tensor output_;
  std::int64_t key_floats_, tile_floats_;  // of the panels of a tile: keys, then values
  Tensor panels_;                          // [heads_at_once, key tiles, tile_floats_]
  std::vector<Scratch> scratch_;           // one per worker
  std::vector<Sums> sums_;
};

std::vector<std::string> configurations(const AttentionSizes& sizes) {
  std::vector<std::string> names;
  for (const NativeChoice& choice : native_choices(sizes, this_machine())) names.push_back(choice.name());
  return names;
}

NativePlan plan_named(const std::string& configuration, const AttentionSizes& sizes) {
  const std::size_t at = place_of_configuration(configuration, configurations(sizes));
  return plan_attention_with(native_choices(sizes, this_machine())[at], sizes, this_machine());
}

const Register<Kernel> kernel{{
    .name = "cpu_native",
    .operation = "attention",
    .summary = "tiles with an online softmax, packed panels and SIMD micro-kernels on all cores",
    .dtypes = {Dtype::f32, Dtype::bf16},
    .paces = {Resource::compute, Resource::memory},
    .prepare = [](const Problem& problem, Device&, const Pace& pace) -> std::unique_ptr<Launch> {
      const AttentionProblem& typed = attention_problem(problem);
      return std::make_unique<NativeLaunch>(typed, pace, plan_attention(typed.sizes, this_machine()));
    },
}};

const Register<KernelChoices> choices{{
    .name = "cpu_native",
    .operation = "attention",
    .configurations = [](const Shape& shape, Dtype, const Device&) { return configurations(attention_sizes(shape)); },
    .prepare = [](const Problem& problem, Device&, const Pace& pace,
                  const std::string& configuration) -> std::unique_ptr<Launch> {
      const AttentionProblem& typed = attention_problem(problem);
      return std::make_unique<NativeLaunch>(typed, pace, plan_named(configuration, typed.sizes));
    },
}};

}  // namespace
}  // namespace chokepoint
