// How does a simulated step look? Events that chrome://tracing and Perfetto draw: a row per rank and stream.
#pragma once

#include <string>

#include "harness/claims/pair_schedule.hpp"
#include "harness/claims/pipeline.hpp"

namespace chokepoint {

// Trace Event Format (Google, 2016), complete events (`ph` "X") in microseconds. `pid` is the rank, `tid` the
// stream: 0 for passes, 1 for what a rank sends to others (`hop_ns` as it was run with).
std::string chrome_trace(const Pipeline& pipeline, const PipelineRun& run, std::int64_t hop_ns);

// The same for `pairs` layer pairs in a row, on rank 0: stream 0 computes, stream 1 transfers.
std::string chrome_trace(const PairSchedule& pair, int pairs);

}  // namespace chokepoint
