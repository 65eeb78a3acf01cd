// How much arithmetic does the target get through in a second?
#include "harness/metrics/metric.hpp"

namespace chokepoint {
namespace {

const Register<Metric> flop_per_s_metric{{.name = "flop_per_s",
                                          .unit = "FLOP/s",
                                          .formula = "work_flop / time",
                                          .higher_is_better = true,
                                          .value = [](const MetricInput& input) -> std::optional<double> {
                                            if (input.record.work.flop <= 0.0) return std::nullopt;
                                            return input.record.work.flop / input.time_s;
                                          }}};

}  // namespace
}  // namespace chokepoint
