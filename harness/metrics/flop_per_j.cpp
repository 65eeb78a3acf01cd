// How much arithmetic does a joule buy? The basis of the power is that of the record's energy.
#include "harness/metrics/metric.hpp"

namespace chokepoint {
namespace {

const Register<Metric> flop_per_j_metric{{.name = "flop_per_j",
                                          .unit = "FLOP/J",
                                          .formula = "work_flop / (time * power_w); the power's basis is energy.basis",
                                          .higher_is_better = true,
                                          .value = [](const MetricInput& input) -> std::optional<double> {
                                            if (input.record.work.flop <= 0.0 || !input.record.energy.power_w)
                                              return std::nullopt;
                                            return input.record.work.flop /
                                                   (input.time_s * *input.record.energy.power_w);
                                          }}};

}  // namespace
}  // namespace chokepoint
