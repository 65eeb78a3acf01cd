// pair: a forward and a backward chunk of expert layers side by side, compute and transfers on two streams.
#include <cmath>

#include "harness/claims/chrome_trace.hpp"
#include "harness/claims/expert_step.hpp"
#include "harness/claims/kernel_source.hpp"
#include "harness/claims/nanoseconds.hpp"
#include "harness/claims/pair_schedule.hpp"

namespace chokepoint {
namespace {

PairSchedule pair_of(const PhaseSource& source, const Conditions& conditions, const Drawn& drawn) {
  TrainingPhases phases = source(conditions, drawn);
  phases.expert_layer.sync_s = drawn["sync_ms"] * 1e-3;
  return schedule_pair(phases.expert_layer);
}

Prepared prepare_pair(const Scene& scene) {
  Prepared prepared;
  if (!scene.machine) {
    prepared.missing.push_back("hardware, the machine that trained");
    return prepared;
  }
  Conditions conditions = conditions_of(*scene.machine, scene.configs);
  conditions.transfer_sms =
      static_cast<int>(std::lround(scene.claim.model.number("comm_sms", conditions.transfer_sms)));
  const double layers = scene.claim.model.number("layers", 4.0);
  prepared.base_unit = "s";
  prepared.assumptions = {
      {"gap", 1.029, 1.015, 1.05, "trace",
       "wall time of a layer pair over its kernels: 32.25 over 31.35 ms in DeepSeek profile-data 4496024, train.json",
       std::nullopt},
      {"sync_ms", 1.0, 0.6, 1.8, "trace", "waits at a collective in the same trace", std::nullopt}};
  const PhaseSource source = scene.route == "kernels" ? kernel_source(scene, prepared) : trace_source(*scene.machine, prepared);
  if (!prepared.missing.empty()) return prepared;
  prepared.uses = {Resource::memory, Resource::link, Resource::network, Resource::compute};
  prepared.predict = [=](const Drawn& drawn) {
    return std::vector{layers * to_s(pair_of(source, conditions, drawn).period_ns) * drawn["gap"]};
  };
  prepared.chrome_trace = [=](const Drawn& drawn) {
    return chrome_trace(pair_of(source, conditions, drawn), static_cast<int>(layers));
  };
  return prepared;
}

const Register<Derivation> pair_derivation{
    {.name = "pair",
     .summary = "overlapped chunks of expert layers, compute and transfers side by side",
     .settings = {{"layers"}, {"compute_sms"}, {"comm_sms", SettingKind::number, 0.0}},
     .assumption_keys = {"gap", "sync_ms", "compute_in_place", "aux_efficiency", "transfer_in_place"},
     .routes = {"trace", "kernels"},
     .default_hardware = [](const Claim&) { return std::string("h800-sxm"); },
     .prepare = prepare_pair}};

}  // namespace
}  // namespace chokepoint
