// How much arithmetic does a dollar of rented device time buy?
#include "harness/base/units.hpp"
#include "harness/metrics/metric.hpp"

namespace chokepoint {
namespace {

const Register<Metric> flop_per_usd_metric{{.name = "flop_per_usd",
                                            .unit = "FLOP/USD",
                                            .formula = "work_flop / (time / 3600 * price_usd_per_h)",
                                            .higher_is_better = true,
                                            .value = [](const MetricInput& input) -> std::optional<double> {
                                              if (input.record.work.flop <= 0.0 || !input.price_usd_per_h)
                                                return std::nullopt;
                                              return input.record.work.flop /
                                                     (input.time_s / kSecondsPerHour * *input.price_usd_per_h);
                                            }}};

}  // namespace
}  // namespace chokepoint
