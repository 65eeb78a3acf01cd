// How is a trace of routing fitted to a layer, and where is the one that ships?
#include <fmt/format.h>

#include <cstdlib>

#include "harness/base/error.hpp"
#include "kernels/moe_layer/imposed_ids.hpp"

namespace chokepoint::moe {

std::string default_trace_path() {
  const char* configs = std::getenv("CHOKEPOINT_CONFIGS");
  return std::string(configs != nullptr && *configs != '\0' ? configs : CHOKEPOINT_SOURCE_DIR "/configs") +
         "/traces/default.json";
}

std::vector<std::int32_t> fold_trace(const RoutingTrace& trace, std::int64_t experts, std::int64_t top_k,
                                     std::int64_t tokens) {
  const std::string remedy =
      fmt::format("make a trace with scripts/make_routing_trace.py --experts {} --top-k {}", experts, top_k);
  if (trace.experts % experts != 0)
    throw Error(
        Fault::config,
        fmt::format("the trace is of {} experts, which {} experts do not divide", trace.experts, experts),
        remedy);
  if (top_k > trace.top_k)
    throw Error(Fault::config,
                fmt::format("the trace has {} experts per token, and top_k is {}", trace.top_k, top_k),
                remedy);
  std::vector<std::int32_t> ids;
  for (std::int64_t token = 0; token < tokens; ++token) {
    std::vector<bool> taken(static_cast<std::size_t>(experts), false);
    for (std::int64_t k = 0; k < top_k; ++k) {
      std::int64_t expert = trace.ids[static_cast<std::size_t>(token % trace.tokens * trace.top_k + k)] /
                            (trace.experts / experts);
      while (taken[static_cast<std::size_t>(expert)]) expert = (expert + 1) % experts;
      taken[static_cast<std::size_t>(expert)] = true;
      ids.push_back(static_cast<std::int32_t>(expert));
    }
  }
  return ids;
}

}  // namespace chokepoint::moe
