#include "harness/claims/stage_layout.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "harness/base/error.hpp"
#include "harness/base/strings.hpp"

namespace chokepoint {
namespace {

double cost_of(const StageContents& piece, const LayoutCosts& costs) {
  return piece.expert_layers * costs.expert_layer_s + piece.dense_layers * costs.dense_layer_s +
         piece.heads * costs.head_s + piece.projections * costs.projection_s;
}

void add_layer(StageContents& stage, const StageContents& piece) {
  stage.expert_layers += piece.expert_layers;
  stage.dense_layers += piece.dense_layers;
  stage.heads += piece.heads;
  stage.projections += piece.projections;
}

StageLayout pieces_of(int dense_layers, int expert_layers, int prediction_layers) {
  StageLayout pieces(dense_layers, StageContents{.dense_layers = 1});
  pieces.insert(pieces.end(), expert_layers, StageContents{.expert_layers = 1});
  pieces.push_back({.heads = 1});
  for (int layer = 0; layer < prediction_layers; ++layer) {
    pieces.push_back({.expert_layers = 1, .projections = 1});
    pieces.push_back({.heads = 1});
  }
  return pieces;
}

// Stages filled from the front up to `most_s`, each with at least one piece; what is left falls to the last
// one.
StageLayout filled(const StageLayout& pieces, int stages, const LayoutCosts& costs, double most_s) {
  StageLayout layout;
  std::size_t next = 0;
  for (int stage = 0; stage < stages; ++stage) {
    const std::size_t needed =
        static_cast<std::size_t>(stages - 1 - stage);  // a piece for each stage after this
    StageContents contents = pieces[next++];
    for (double cost_s = cost_of(contents, costs); pieces.size() - next > needed; ++next) {
      cost_s += cost_of(pieces[next], costs);
      if (needed > 0 && cost_s > most_s) break;
      add_layer(contents, pieces[next]);
    }
    layout.push_back(contents);
  }
  return layout;
}

double slowest_s(const StageLayout& layout, const LayoutCosts& costs) {
  double slowest = 0.0;
  for (const StageContents& stage : layout) slowest = std::max(slowest, cost_of(stage, costs));
  return slowest;
}

}  // namespace

StageLayout balanced_layout(int stages, int dense_layers, int expert_layers, int prediction_layers,
                            const LayoutCosts& costs) {
  const StageLayout pieces = pieces_of(dense_layers, expert_layers, prediction_layers);
  if (stages < 1 || static_cast<std::size_t>(stages) > pieces.size())
    throw Error(Fault::config,
                fmt::format("{} stages cannot share {} layers and heads", stages, pieces.size()),
                "take fewer stages");
  double too_low_s = 0.0, enough_s = slowest_s(filled(pieces, 1, costs, 0.0), costs);
  const double digit_s = enough_s * 1e-9;
  while (enough_s - too_low_s > digit_s) {
    const double middle_s = (too_low_s + enough_s) / 2;
    const bool fits = slowest_s(filled(pieces, stages, costs, middle_s), costs) <= middle_s;
    (fits ? enough_s : too_low_s) = middle_s;
  }
  return filled(pieces, stages, costs, enough_s);
}

int layout_pieces(int dense_layers, int expert_layers, int prediction_layers) {
  return dense_layers + expert_layers + 1 + 2 * prediction_layers;
}

StageLayout dsv3_rank0_shared_ends() {
  StageLayout layout = uniform_layout(16, 4);
  layout.front() = {.expert_layers = 1, .dense_layers = 3};
  layout.back() = {.expert_layers = 2, .heads = 2, .projections = 1};
  return layout;
}

StageLayout uniform_layout(int stages, int expert_layers) {
  return StageLayout(stages, StageContents{.expert_layers = expert_layers});
}

StageLayout find_stage_layout(const std::string& name) {
  static const std::vector<std::string> names = {"dsv3_rank0_shared_ends", "uniform"};
  if (name == names[0]) return dsv3_rank0_shared_ends();
  if (name == names[1]) return uniform_layout(16, 4);
  throw Error(Fault::config, fmt::format("layout \"{}\" is unknown", name), suggestion(name, names));
}

}  // namespace chokepoint
