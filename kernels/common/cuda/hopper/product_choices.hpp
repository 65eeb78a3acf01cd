// Which tiles and cuts along k of a product are worth a trial? The plan's own first, then others as the model ranks
// them.
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <vector>

#include "kernels/common/cuda/hopper/product.hpp"

namespace chokepoint::hopper {

inline std::string name_of_choice(const ProductPlan& plan) {
  return fmt::format("cuts={},tile={}", plan.order.cuts, tile_name(plan.name));
}

// The model errs by less than this factor, or it is of no use; nor would more trials fit a GPU's minutes.
inline constexpr double kHopelessCycles = 2.0;
inline constexpr std::size_t kMostProductChoices = 24;

inline std::vector<ProductPlan> product_choices(const ProductTask& task, const ProductMachine& machine) {
  constexpr int kMostTriedCuts = 16;
  const ProductPlan own = product_plan(task, machine);
  std::vector<ProductPlan> others;
  for (const ProductTileName name : task.fp8 ? kFp8TileNames : kProductTileNames)
    for (int cuts = 1; cuts <= kMostTriedCuts; ++cuts) {
      const ProductPlan plan = product_plan_with(name, cuts, task, machine);
      if (plan.order.cuts < cuts || product_shared_bytes(plan.tile()) > machine.shared_bytes) break;
      if (name_of_choice(plan) != name_of_choice(own) &&
          product_cycles(plan, task, machine) < kHopelessCycles * product_cycles(own, task, machine))
        others.push_back(plan);
    }
  std::stable_sort(others.begin(), others.end(), [&](const ProductPlan& a, const ProductPlan& b) {
    return product_cycles(a, task, machine) < product_cycles(b, task, machine);
  });
  others.resize(std::min(others.size(), kMostProductChoices - 1));
  others.insert(others.begin(), own);
  return others;
}

}  // namespace chokepoint::hopper
