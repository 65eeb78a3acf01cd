// How many bytes does the target move in a second, over the resource that moves most?
#include <algorithm>

#include "harness/metrics/metric.hpp"

namespace chokepoint {
namespace {

const Register<Metric>
    bytes_per_s_metric{
        {.name = "bytes_per_s",
         .unit = "B/s",
         .formula = "largest of memory, link and network bytes of a launch / time",
         .higher_is_better = true,
         .value =
             [](const MetricInput&
                    input) -> std::
                               optional<double> {
                                 if (std::max({input.record.work.memory_bytes, input.record.work.link_bytes,
                                               input.record.work.network_bytes}) <= 0.0)
                                   return std::nullopt;
                                 return std::max({input.record.work.memory_bytes,
                                                  input.record.work.link_bytes,
                                                  input.record.work.network_bytes}) /
                                        input.time_s;
                               }}};

}  // namespace
}  // namespace chokepoint
