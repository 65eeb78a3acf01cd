// What does the time of a training step come to, per token, per GPU and per FLOP?
#pragma once

namespace chokepoint {

struct StepScale {
  double gpus = 0.0;
  double tokens_per_step = 0.0;
};

inline constexpr StepScale kDsv3Scale{2048, 15360.0 * 4096.0};  // DeepSeek-V3's published run

// All throw Error{config} where the step takes no time or the scale is not positive.
double tokens_per_s(double step_s, const StepScale& scale);
double tokens_per_s_per_gpu(double step_s, const StepScale& scale);
double tokens_per_day(double step_s, const StepScale& scale);
double gpu_hours_per_trillion_tokens(double step_s, const StepScale& scale);

// `flop_per_token` counts causal attention in full or half, and the multi-token prediction layer or not: say
// which.
double flop_per_s_per_gpu(double step_s, const StepScale& scale, double flop_per_token);

// Model FLOP utilisation: of the peak that the machine's maker states for `peak_flop_per_s`'s dtype.
double mfu(double flop_per_s, double peak_flop_per_s);

}  // namespace chokepoint
