#include "harness/claims/expert_imbalance.hpp"

#include <fmt/format.h>

#include <cmath>

#include "harness/base/error.hpp"

namespace chokepoint {

TrainingPhases with_imbalance(TrainingPhases phases, double imbalance) {
  if (!(imbalance >= 1.0) || !std::isfinite(imbalance))
    throw Error(Fault::config, fmt::format("expert imbalance is {} and has to be at least 1", imbalance),
                "give the busiest rank's rows over the mean");
  ExpertLayerTimes& layer = phases.expert_layer;
  for (double* part :
       {&layer.mlp.forward_s, &layer.mlp.backward_input_s, &layer.mlp.weight_s, &layer.dispatch_forward_s,
        &layer.combine_forward_s, &layer.combine_backward_s, &layer.dispatch_backward_s})
    *part *= imbalance;
  return phases;
}

}  // namespace chokepoint
