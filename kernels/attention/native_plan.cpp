#include "kernels/attention/native_plan.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace chokepoint {
namespace {

// Rows of one block. 128 heads of MLA pack their keys once; where several blocks share packed keys, lower
// blocks compute less above the diagonal.
constexpr std::int64_t kMostRows = 132, kFewerRows = 66;
constexpr std::int64_t kMostThinRows = 12;   // measured: from about 16 rows on packing pays
constexpr std::int64_t kMostKeys = 256;      // keys per tile
constexpr std::int64_t kItemsPerWorker = 4;  // enough for the last ones to even out

// Of shared panels; a long context may need more for one head.
constexpr std::int64_t kPanelBytes = 64LL << 20;

std::int64_t ceil_div(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }
std::int64_t round_up(std::int64_t a, std::int64_t b) { return ceil_div(a, b) * b; }

// Rows, and how their keys are read.
NativePlan plan_rows(const AttentionSizes& sizes, const NativeMachine& machine) {
  NativePlan plan;
  const std::int64_t rows = sizes.rows_per_kv();
  plan.row_block = rows;
  if (rows > kMostRows)
    plan.row_block = round_up(ceil_div(rows, ceil_div(rows, kFewerRows)), machine.rows_per_panel);
  plan.row_blocks = ceil_div(rows, plan.row_block);
  plan.access = rows <= kMostThinRows  ? KeyAccess::in_place
                : plan.row_blocks == 1 ? KeyAccess::own_panels
                                       : KeyAccess::shared_panels;
  return plan;
}

std::int64_t items_wanted(const NativeMachine& machine) { return kItemsPerWorker * machine.workers; }

void fit_choice(NativePlan& plan, const NativeChoice& choice, const AttentionSizes& sizes, const NativeMachine& machine) {
  const std::int64_t heads = sizes.batch * sizes.heads_kv;
  plan.key_tile = choice.key_tile;
  plan.parts = choice.parts;
  plan.heads_at_once = heads;
  if (plan.access != KeyAccess::shared_panels) return;
  const std::int64_t head_bytes =
      sizes.context * (sizes.qk_dim + sizes.v_dim) * static_cast<std::int64_t>(sizeof(float));
  const std::int64_t busy = ceil_div(items_wanted(machine), plan.row_blocks * plan.parts);
  plan.heads_at_once = std::min(heads, std::max(busy, kPanelBytes / head_bytes));
}

NativeChoice choice_for(const NativePlan& plan, const AttentionSizes& sizes, const NativeMachine& machine) {
  NativeChoice choice;
  // The panel of keys, then that of values, is read once per strip of rows: it has to stay in half of L2.
  const std::int64_t dim = std::max(sizes.qk_dim, sizes.v_dim);
  const std::int64_t fits = machine.l2_bytes / 2 / (dim * static_cast<std::int64_t>(sizeof(float)));
  choice.key_tile = std::clamp(fits / machine.cols_per_panel * machine.cols_per_panel, machine.cols_per_panel,
                               round_up(std::min(kMostKeys, sizes.context), machine.cols_per_panel));
  const std::int64_t blocks = sizes.batch * sizes.heads_kv * plan.row_blocks;
  choice.parts = std::clamp(ceil_div(items_wanted(machine), blocks), std::int64_t{1},
                            ceil_div(sizes.context, choice.key_tile));
  return choice;
}

}  // namespace

std::string NativeChoice::name() const { return fmt::format("keys={},parts={}", key_tile, parts); }

NativePlan plan_attention_with(const NativeChoice& choice, const AttentionSizes& sizes, const NativeMachine& machine) {
  NativePlan plan = plan_rows(sizes, machine);
  fit_choice(plan, choice, sizes, machine);
  return plan;
}

NativePlan plan_attention(const AttentionSizes& sizes, const NativeMachine& machine) {
  return plan_attention_with(choice_for(plan_rows(sizes, machine), sizes, machine), sizes, machine);
}

// Tiles and parts by factors of two: from one panel of keys to the whole context, as many parts as have a tile each.
std::vector<NativeChoice> native_choices(const AttentionSizes& sizes, const NativeMachine& machine) {
  constexpr std::int64_t kMostTunedKeys = 512, kMostTunedParts = 16;
  std::vector<NativeChoice> choices = {choice_for(plan_rows(sizes, machine), sizes, machine)};
  const std::int64_t most = std::min(kMostTunedKeys, round_up(sizes.context, machine.cols_per_panel));
  for (std::int64_t keys = machine.cols_per_panel; keys <= most; keys *= 2)
    for (std::int64_t parts = 1; parts <= std::min(kMostTunedParts, ceil_div(sizes.context, keys)); parts *= 2)
      if (NativeChoice choice{keys, parts}; choice != choices.front()) choices.push_back(choice);
  return choices;
}

}  // namespace chokepoint
