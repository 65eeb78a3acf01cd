#include "harness/claims/throughput.hpp"

#include <fmt/format.h>

#include <cmath>

#include "harness/base/error.hpp"
#include "harness/base/units.hpp"

namespace chokepoint {
namespace {

constexpr double kSecondsPerDay = 86400.0, kTrillion = 1e12;

double positive(double value, const char* name) {
  if (!(value > 0.0) || !std::isfinite(value))
    throw Error(Fault::config, fmt::format("{} is {} and has to be above 0", name, value),
                "check what it was made from");
  return value;
}

}  // namespace

double tokens_per_s(double step_s, const StepScale& scale) {
  return positive(scale.tokens_per_step, "tokens per step") / positive(step_s, "step time");
}

double tokens_per_s_per_gpu(double step_s, const StepScale& scale) {
  return tokens_per_s(step_s, scale) / positive(scale.gpus, "number of GPUs");
}

double tokens_per_day(double step_s, const StepScale& scale) {
  return tokens_per_s(step_s, scale) * kSecondsPerDay;
}

double gpu_hours_per_trillion_tokens(double step_s, const StepScale& scale) {
  return kTrillion / tokens_per_s_per_gpu(step_s, scale) / kSecondsPerHour;
}

double flop_per_s_per_gpu(double step_s, const StepScale& scale, double flop_per_token) {
  return tokens_per_s_per_gpu(step_s, scale) * positive(flop_per_token, "FLOP per token");
}

double mfu(double flop_per_s, double peak_flop_per_s) {
  return flop_per_s / positive(peak_flop_per_s, "peak");
}

}  // namespace chokepoint
