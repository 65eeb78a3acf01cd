// How many tokens does the target get through in a second?
#include "harness/metrics/metric.hpp"

namespace chokepoint {
namespace {

const Register<Metric> tokens_per_s_metric{{.name = "tokens_per_s",
                                            .unit = "token/s",
                                            .formula = "work_tokens / time",
                                            .higher_is_better = true,
                                            .value = [](const MetricInput& input) -> std::optional<double> {
                                              if (input.record.work.tokens <= 0.0) return std::nullopt;
                                              return input.record.work.tokens / input.time_s;
                                            }}};

}  // namespace
}  // namespace chokepoint
