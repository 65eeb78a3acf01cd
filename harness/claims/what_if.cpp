#include "harness/claims/what_if.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "harness/base/error.hpp"
#include "harness/claims/checks.hpp"
#include "harness/claims/routing_volumes.hpp"

namespace chokepoint {
namespace {

double bytes_per_value(Dtype dtype, const char* name) {
  if (dtype != Dtype::fp8_e4m3 && dtype != Dtype::bf16)
    throw Error(Fault::config, fmt::format("{} in {} is not known", name, to_string(dtype)),
                "take fp8_e4m3 or bf16");
  constexpr std::int64_t kValuesPerScale = 128;
  return row_bytes(kValuesPerScale, dtype) / kValuesPerScale;
}

void check_what_if(const Conditions& c) {
  require_positive(c.gemm_flop_per_s, "gemm rate", "give a rate or a share");
  require_positive(c.attention_flop_per_s, "attention rate", "give a rate or a share");
  require_positive(c.memory_bytes_per_s, "memory rate", "give a rate or a share");
  require_positive(c.link_bytes_per_s, "link rate", "give a rate or a share");
  require_positive(c.network_bytes_per_s, "network rate", "give a rate or a share");
  require_positive(c.link_efficiency, "link efficiency", "give a rate or a share");
  require_positive(c.network_efficiency, "network efficiency", "give a rate or a share");
  require_positive(c.tensor_clock, "tensor clock", "give a rate or a share");
  require_positive(c.bf16_gemm_time, "bf16 gemm time", "give a rate or a share");
  if (!(c.nodes_per_token >= 0.0) || !(c.gpus_per_token >= 0.0))
    throw Error(Fault::config,
                fmt::format("a token goes to {} nodes and {} GPUs", c.nodes_per_token, c.gpus_per_token),
                "0 or above, of which 0 means no transfers");
  bytes_per_value(c.gemm, "gemm");
  if (c.transfer_sms < 0 || c.transfer_sms >= c.sms)
    throw Error(Fault::config,
                fmt::format("transfers on {} of {} SMs leave none to compute", c.transfer_sms, c.sms),
                fmt::format("take 0 to {}", c.sms - 1));
}

// Rates of what is left to compute with.
double share_of_sms(const Conditions& c) { return static_cast<double>(c.sms - c.transfer_sms) / c.sms; }
double gemm_rate(const Conditions& c) { return c.gemm_flop_per_s * c.tensor_clock * share_of_sms(c); }
double attention_rate(const Conditions& c) {
  return c.attention_flop_per_s * c.tensor_clock * share_of_sms(c);
}
double gemm_time(const Conditions& c) { return c.gemm == Dtype::bf16 ? c.bf16_gemm_time : 1.0; }

// Time of a transfer, but for what all conditions have in common.
double transfer_time(const Conditions& c, double bytes) {
  return bytes * std::max(c.nodes_per_token / (c.network_bytes_per_s * c.network_efficiency),
                          c.gpus_per_token / (c.link_bytes_per_s * c.link_efficiency));
}

// How much longer each kind of work takes.
struct Factors {
  double gemm, fixed_gemm, attention, memory, dispatch, combine, network;
};

Factors factors_of(const Conditions& from, const Conditions& to) {
  require_positive(transfer_time(from, 1.0), "time of transfers that others are compared with", "give a rate or a share");
  const double gemm = gemm_rate(from) / gemm_rate(to);
  const auto transfer = [&](Dtype before, Dtype after, const char* name) {
    return transfer_time(to, bytes_per_value(after, name)) /
           transfer_time(from, bytes_per_value(before, name));
  };
  return {.gemm = gemm * gemm_time(to) / gemm_time(from),
          .fixed_gemm = gemm,
          .attention = attention_rate(from) / attention_rate(to),
          .memory = from.memory_bytes_per_s / to.memory_bytes_per_s,
          .dispatch = transfer(from.dispatch, to.dispatch, "dispatch"),
          .combine = transfer(from.combine, to.combine, "combine"),
          .network = from.network_bytes_per_s * from.network_efficiency /
                     (to.network_bytes_per_s * to.network_efficiency)};
}

double rescaled(double seconds, const ComputeParts& parts, const Factors& factors, const char* name) {
  const double gemm_s = seconds - parts.attention_s - parts.fixed_gemm_s - parts.memory_s;
  if (gemm_s < -1e-9 * seconds)
    throw Error(Fault::config,
                fmt::format("parts of {} are {} s longer than the phase itself", name, -gemm_s),
                "correct the parts");
  return gemm_s * factors.gemm + parts.fixed_gemm_s * factors.fixed_gemm +
         parts.attention_s * factors.attention + parts.memory_s * factors.memory;
}

void rescale(PassTimes& times, const PassParts& parts, const Factors& factors, const char* name) {
  times.forward_s = rescaled(times.forward_s, parts.forward, factors, name);
  times.backward_input_s = rescaled(times.backward_input_s, parts.backward_input, factors, name);
  times.weight_s = rescaled(times.weight_s, parts.weight, factors, name);
}

}  // namespace

TrainingPhases rescaled(const TrainingPhases& phases, const PhaseParts& parts, const Conditions& from,
                        const Conditions& to, RescaleReach reach) {
  check_what_if(from);
  check_what_if(to);
  const Factors factors = factors_of(from, to);
  TrainingPhases changed = phases;
  ExpertLayerTimes& layer = changed.expert_layer;
  rescale(layer.attention, parts.attention, factors, "attention");
  rescale(layer.mlp, parts.mlp, factors, "mlp");
  // Gradients go the other way: those of combine leave in dispatch's format, and those of dispatch in
  // combine's.
  layer.dispatch_forward_s *= factors.dispatch;
  layer.combine_backward_s *= factors.dispatch;
  layer.combine_forward_s *= factors.combine;
  layer.dispatch_backward_s *= factors.combine;
  if (reach == RescaleReach::expert_layers) return changed;
  rescale(changed.dense_mlp, parts.dense_mlp, factors, "dense_mlp");
  rescale(changed.head, parts.head, factors, "head");
  rescale(changed.projection, parts.projection, factors, "projection");
  changed.hop_s *= factors.network;
  changed.optimizer_s *= factors.network;
  return changed;
}

double break_even_link_bytes_per_s(const Conditions& c) {
  check_what_if(c);
  return c.network_bytes_per_s * c.network_efficiency * c.gpus_per_token /
         (c.nodes_per_token * c.link_efficiency);
}

}  // namespace chokepoint
