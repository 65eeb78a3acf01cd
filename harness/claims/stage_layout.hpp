// Which layers lie on which stage of a pipeline?
#pragma once

#include <string>
#include <vector>

namespace chokepoint {

struct StageContents {
  int expert_layers = 0;  // attention and experts
  int dense_layers = 0;   // attention and one wide network
  int heads = 0;          // output head with its loss
  int projections = 0;    // joins hidden state and embedding before a multi-token prediction layer

  int layers() const { return expert_layers + dense_layers; }
  bool operator==(const StageContents&) const = default;
};

using StageLayout = std::vector<StageContents>;  // from first to last stage

// DeepSeek-V3 on 16 stages: the three dense layers and one with experts first, 14 stages of four layers, and
// at the end one layer, the multi-token prediction layer and both heads. Inferred, not published: it has 61
// layers, four per chunk (deepseek-ai/profile-data) and both ends on one rank (DeepSeek-V3 report,
// section 3.2.3).
StageLayout dsv3_rank0_shared_ends();

StageLayout uniform_layout(int stages, int expert_layers);

// Seconds that a stage's contents compute for one micro-batch, forward and back.
struct LayoutCosts {
  double expert_layer_s = 0.0, dense_layer_s = 0.0, head_s = 0.0, projection_s = 0.0;
};

// All layers of a model in order, dense ones first, then its head, then a projection, an expert layer and a
// head for each prediction layer, cut into `stages` so that the slowest stage is as fast as can be; stages
// are filled from the front. Throws Error{config} where there are more stages than pieces.
StageLayout balanced_layout(int stages, int dense_layers, int expert_layers, int prediction_layers,
                            const LayoutCosts& costs);

// Pieces that a layout can be cut into: no more stages than that.
int layout_pieces(int dense_layers, int expert_layers, int prediction_layers);

// Names that claims use: "dsv3_rank0_shared_ends", "uniform" (16 stages of four). Throws Error{config} with
// the nearest.
StageLayout find_stage_layout(const std::string& name);

}  // namespace chokepoint
