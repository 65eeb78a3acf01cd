// attention on Hopper's own instructions (sm_90a): prefill, decode of multi-head and grouped-query attention, decode of
// absorbed MLA, in bf16 by TMA and wgmma.
//
// Tiles, registers, shared memory, bounds and sources: hopper_prefill.cuh, hopper_decode.cuh and hopper_latent.cuh; tiles
// and their order: hopper_plan.cpp. Charges memory and compute tile by tile, from a warp of its own. Does not do: f32,
// prefill with other heads than 64/64, 128/128, 192/128 (MLA) and 256/256, decode with others than 64, 128, 256 and 576/512.
#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <vector>

#include "kernels/attention/hopper_entries.cuh"
#include "kernels/attention/simple_merge.cuh"
#include "kernels/common/cuda/device_array.hpp"
#include "kernels/common/cuda/hopper/tensor_map.hpp"
#include "kernels/common/cuda/launch.cuh"
#include "kernels/kernel_choices.hpp"

namespace chokepoint {

namespace {

hopper::PrefillEntry entry(std::size_t tile) {
  using Entry = hopper::PrefillEntry (*)();
  constexpr Entry kEntries[] = {hopper::prefill_64, hopper::prefill_128, hopper::prefill_192, hopper::prefill_256};
  static_assert(std::size(kEntries) == hopper::kPrefillTiles.size());
  return kEntries[tile]();
}

// Rows of one sequence in an array [batch, rows, heads, columns] of which `used` rows count.
struct SequenceRows {
  std::uint16_t* data;
  std::int64_t rows, used, heads, columns;

  hopper::TensorMap map(std::int64_t sequence, int box_rows) const {
    return hopper::encode_tensor_map(hopper::matrix_boxes(data + sequence * rows * heads * columns,
                                                          hopper::TensorElement::bf16,
                                                          {.rows = used, .columns = heads * columns},
                                                          {.rows = box_rows, .columns = 64}));
  }
};

class HopperPrefill final : public DeviceLaunch {
 public:
  HopperPrefill(const AttentionProblem& problem, Device& device, const Pace& pace)
      : DeviceLaunch(device, Tensor("output", problem.output_dims(), problem.dtype)),
        plan_(hopper::prefill_plan(problem.sizes, {.multiprocessors = device.multiprocessors(Lane::compute)})),
        q_(device, problem.q),
        k_(device, problem.k),
        v_(device, problem.v) {
    const AttentionSizes& sizes = problem.sizes;
    const std::vector<hopper::SequenceMaps> maps = sequence_maps(sizes);
    maps_ = DeviceArray(device, maps.data(), static_cast<std::int64_t>(maps.size() * sizeof(hopper::SequenceMaps)));
    const std::vector<std::int32_t> lengths(sizes.context_length.begin(), sizes.context_length.end());
    lengths_ = DeviceArray(device, lengths.data(), static_cast<std::int64_t>(lengths.size() * sizeof(std::int32_t)));
    args_ = {.order = plan_.order,
             .maps = maps_.as<hopper::SequenceMaps>(),
             .lengths = lengths_.as<int>(),
             .seq_q = static_cast<int>(sizes.seq_q),
             .causal = sizes.causal,
             .factor = static_cast<float>(sizes.scale * 1.4426950408889634),  // log2(e)
             .pace = device_pace(pace)};
  }

  void run() override {
    // A green context may reach fewer than were planned with; blocks take tiles until there are none.
    const int blocks = std::min(plan_.grid, device().multiprocessors(Lane::compute));
    launch(entry(plan_.tile), dim3(static_cast<unsigned>(blocks)), dim3(hopper::PrefillTile::kThreads),
           static_cast<std::size_t>(plan_.shape().shared_bytes()), stream(), args_);
  }

 private:
  std::vector<hopper::SequenceMaps> sequence_maps(const AttentionSizes& s) {
    const int keys = plan_.shape().keys;
    std::vector<hopper::SequenceMaps> maps;
    for (std::int64_t b = 0; b < s.batch; ++b) {
      const std::int64_t length = s.context_length[static_cast<std::size_t>(b)];
      maps.push_back(
          {.q = SequenceRows{q_.as<std::uint16_t>(), s.seq_q, s.seq_q, s.heads_q, s.qk_dim}.map(b, 64),
           .k = SequenceRows{k_.as<std::uint16_t>(), s.context, length, s.heads_kv, s.qk_dim}.map(b, keys),
           .v = SequenceRows{v_.as<std::uint16_t>(), s.context, length, s.heads_kv, s.v_dim}.map(b, keys),
           .output = SequenceRows{output_data<std::uint16_t>(), s.seq_q, s.seq_q, s.heads_q, s.v_dim}.map(b, 64)});
    }
    return maps;
  }

  hopper::PrefillPlan plan_;
  DeviceArray q_, k_, v_, maps_, lengths_;
  hopper::PrefillArgs args_;
};

class HopperDecode final : public DeviceLaunch {
 public:
  HopperDecode(const AttentionProblem& problem, Device& device, const Pace& pace, const hopper::PagedPlan& plan)
      : DeviceLaunch(device, Tensor("output", problem.output_dims(), problem.dtype)),
        plan_(plan),
        q_(device, problem.q),
        cache_(device, problem.kv_cache),
        block_table_(device, problem.block_table),
        rows_(problem.output_rows()) {
    const AttentionSizes& sizes = problem.sizes;
    const std::vector<std::int32_t> lengths(sizes.context_length.begin(), sizes.context_length.end());
    lengths_ = DeviceArray(device, lengths.data(), static_cast<std::int64_t>(lengths.size() * sizeof(std::int32_t)));
    args_ = simple_arguments<std::uint16_t>(sizes, {.row_tiles = plan_.row_tiles, .splits = plan_.splits});
    args_.q = q_.as<std::uint16_t>();
    args_.context_lengths = lengths_.as<int>();
    args_.block_table = block_table_.as<int>();
    args_.output = output_data<std::uint16_t>();
    if (plan_.splits > 1) {
      const std::int64_t means = rows_ * plan_.splits * sizes.v_dim, logs = rows_ * plan_.splits;
      partial_ = DeviceArray(device, (means + logs) * static_cast<std::int64_t>(sizeof(float)));
      args_.partial = partial_.as<float>();
      args_.partial_log = args_.partial + means;
    }
    args_.pace = device_pace(pace);
    const std::int64_t columns = problem.kv_cache.dims().back();
    const int box_rows = sizes.shared_value ? hopper::LatentTile::kKeys : hopper::decode_box_rows(args_.page_size);
    cache_map_ = columns_of_64(cache_.as<void>(), {.rows = problem.kv_cache.count() / columns, .columns = columns}, box_rows);
    if (sizes.shared_value) q_map_ = columns_of_64(q_.as<void>(), {.rows = rows_, .columns = sizes.qk_dim}, 64);
  }

  void run() override {
    const dim3 blocks(static_cast<unsigned>(plan_.blocks));
    if (args_.shared_value) {
      launch(hopper::latent_entry(), blocks, dim3(hopper::LatentTile::kThreads), hopper::LatentTile::kSharedBytes, stream(),
             q_map_, cache_map_, args_);
    } else {
      launch(hopper::decode_entry(plan_.tile), blocks, dim3(hopper::DecodeTile::kThreads),
             static_cast<std::size_t>(hopper::kDecodeTiles[plan_.tile].shared_bytes()), stream(), cache_map_, args_);
    }
    if (plan_.splits > 1)
      launch(&merge_splits<std::uint16_t>, dim3(static_cast<unsigned>(rows_)), dim3(kMergeThreads), 0, stream(), args_);
  }

 private:
  static hopper::TensorMap columns_of_64(const void* data, hopper::MatrixSize size, int box_rows) {
    return hopper::encode_tensor_map(
        hopper::matrix_boxes(data, hopper::TensorElement::bf16, size, {.rows = box_rows, .columns = 64}));
  }

  hopper::PagedPlan plan_;
  DeviceArray q_, cache_, block_table_, lengths_, partial_;
  std::int64_t rows_;  // of the output
  hopper::PagedArgs args_;
  hopper::TensorMap q_map_, cache_map_;
};

std::vector<int> split_choices(const AttentionSizes& sizes, const Device& device) {
  return hopper::paged_split_choices(sizes, device.multiprocessors(Lane::compute));
}

// Prefill has nothing to choose.
std::vector<std::string> configurations(const AttentionSizes& sizes, const Device& device) {
  std::vector<std::string> names;
  if (sizes.decode)
    for (const int splits : split_choices(sizes, device)) names.push_back(fmt::format("splits={}", splits));
  return names;
}

std::unique_ptr<Launch> decode_with(int splits, const AttentionProblem& problem, Device& device, const Pace& pace) {
  return std::make_unique<HopperDecode>(problem, device, pace, hopper::paged_plan_with(splits, problem.sizes));
}

const Register<Kernel> kernel{{
    .name = "hopper",
    .operation = "attention",
    .summary = "own flash attention with wgmma and TMA, softmax beside the products: prefill, paged decode, absorbed MLA (sm_90a)",
    .device = "cuda",
    .dtypes = {Dtype::bf16},
    .paces = {Resource::compute, Resource::memory},
    .least_sm = 90,
    .exactly_that_sm = true,
    .unsupported = [](const Shape& shape, Dtype) { return hopper::hopper_limit(attention_sizes(shape)); },
    .prepare = [](const Problem& problem, Device& device, const Pace& pace) -> std::unique_ptr<Launch> {
      const AttentionProblem& typed = attention_problem(problem);
      if (typed.sizes.decode) return decode_with(split_choices(typed.sizes, device).front(), typed, device, pace);
      return std::make_unique<HopperPrefill>(typed, device, pace);
    },
}};

const Register<KernelChoices> choices{{
    .name = "hopper",
    .operation = "attention",
    .configurations = [](const Shape& shape, Dtype,
                         const Device& device) { return configurations(attention_sizes(shape), device); },
    .prepare = [](const Problem& problem, Device& device, const Pace& pace, const std::string& configuration) {
      const AttentionProblem& typed = attention_problem(problem);
      const std::size_t at = place_of_configuration(configuration, configurations(typed.sizes, device));
      return decode_with(split_choices(typed.sizes, device)[at], typed, device, pace);
    },
}};

}  // namespace
}  // namespace chokepoint
