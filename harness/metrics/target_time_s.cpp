// How long does one launch take on the target?
#include "harness/metrics/metric.hpp"

namespace chokepoint {
namespace {

const Register<Metric> target_time_s_metric{
    {.name = "target_time_s",
     .unit = "s",
     .formula = "time of one launch on the target = host time / dilation",
     .higher_is_better = false,
     .value = [](const MetricInput& input) -> std::optional<double> { return input.time_s; }}};

}  // namespace
}  // namespace chokepoint
