// What do a million tokens cost in rented device time?
#include "harness/base/units.hpp"
#include "harness/metrics/metric.hpp"

namespace chokepoint {
namespace {

const Register<Metric> usd_per_million_tokens_metric{{.name = "usd_per_million_tokens",
                                                      .unit = "USD/Mtoken",
                                                      .formula = "time / 3600 * price_usd_per_h / work_tokens * 1e6",
                                                      .higher_is_better = false,
                                                      .value = [](const MetricInput& input) -> std::optional<double> {
                                                        if (input.record.work.tokens <= 0.0 || !input.price_usd_per_h)
                                                          return std::nullopt;
                                                        return input.time_s / kSecondsPerHour * *input.price_usd_per_h /
                                                               input.record.work.tokens * 1e6;
                                                      }}};

}  // namespace
}  // namespace chokepoint
