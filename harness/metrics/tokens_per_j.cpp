// How many tokens does a joule buy? The basis of the power is that of the record's energy.
#include "harness/metrics/metric.hpp"

namespace chokepoint {
namespace {

const Register<Metric> tokens_per_j_metric{
    {.name = "tokens_per_j",
     .unit = "token/J",
     .formula = "work_tokens / (time * power_w); the power's basis is energy.basis",
     .higher_is_better = true,
     .value = [](const MetricInput& input) -> std::optional<double> {
       if (input.record.work.tokens <= 0.0 || !input.record.energy.power_w) return std::nullopt;
       return input.record.work.tokens / (input.time_s * *input.record.energy.power_w);
     }}};

}  // namespace
}  // namespace chokepoint
