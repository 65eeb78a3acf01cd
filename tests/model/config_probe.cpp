// What do the C++ readers and writers make of files? A helper of schema_test.py, which compares it with the
// schemas.
//   config_probe decode KIND FILE..   one line per file: "ok", or the error
//   config_probe records              records as the program writes them, one JSON line each
//   config_probe plan CONFIGS SUITE   one line per group: its kernel, its name, and why it cannot run, if so
//   config_probe environment          environment.json as the program writes it
#include <fmt/format.h>

#include <functional>
#include <map>
#include <string>

#include "harness/base/error.hpp"
#include "harness/claims/claim.hpp"
#include "harness/claims/kernel_table.hpp"
#include "harness/meters/instrument_facts.hpp"
#include "harness/model/cost_book.hpp"
#include "harness/model/model_shapes.hpp"
#include "harness/model/price.hpp"
#include "harness/model/profile.hpp"
#include "harness/model/record.hpp"
#include "harness/model/rule.hpp"
#include "harness/model/suite.hpp"
#include "harness/model/tuning.hpp"
#include "harness/run/environment.hpp"
#include "harness/run/plan.hpp"
#include "harness/run/probe.hpp"

namespace chokepoint {
namespace {

int decode(const std::string& kind, int count, char** paths) {
  const std::map<std::string, std::function<void(const std::string&)>> readers = {
      {"profile", [](const std::string& path) { load_profile(path); }},
      {"price", [](const std::string& path) { load_price_book(path); }},
      {"rule", [](const std::string& path) { decode_rule(read_json(path)); }},
      {"cost", [](const std::string& path) { decode_cost_book(read_json(path)); }},
      {"model", [](const std::string& path) { load_model(path); }},
      {"suite", [](const std::string& path) { load_suite(path); }},
      {"claims", [](const std::string& path) { load_claims_file(path); }},
      {"kernel", [](const std::string& path) { decode_kernel_file(read_json(path)); }},
      {"tuning", [](const std::string& path) { decode_tuning(read_json(path)); }},
      {"record", [](const std::string& path) { record_from_json(read_json(path)); }}};
  for (int i = 0; i < count; ++i) {
    std::string verdict = "ok";
    try {
      readers.at(kind)(paths[i]);
    } catch (const Error& error) {
      verdict = error.what();
      for (char& c : verdict)
        if (c == '\n') c = ' ';
    }
    fmt::print("{}\n", verdict);
  }
  return 0;
}

int plan(const std::string& configs, const std::string& suite) {
  PlanOptions options;
  options.configs = configs;
  for (const CaseGroup& group : plan_suite(load_suite(find_suite(configs, suite)), options))
    fmt::print("{} {}: {}\n", group.kernel, group.name(), group.unsupported.value_or("ok"));
  return 0;
}

Record record_before_its_run() {
  Record record;
  record.case_id = "matmul/cpu_native/bf16/k=1,m=1,n=1@h100-sxm#00000000";
  record.operation = "matmul";
  record.kernel = "cpu_native";
  record.dtype = Dtype::bf16;
  record.shape = Shape{{"m", std::int64_t{1}}, {"b_layout", std::string("nk")}};
  record.device = {{"kind", "cpu"}, {"name", "a CPU"}, {"architecture", "x86_64/avx2"}, {"workers", 2}};
  record.target = "h100-sxm";
  record.reason = "the case's process ended without a record";
  record.provenance = {{"label", ""}, {"seed", 1}, {"input_distribution", "normal"}, {"configuration", "splits=2"}};
  record.provenance.update(program_provenance({.kind = "cpu"}));
  return record;
}

Record record_after_its_run() {
  Record record = record_before_its_run();
  record.status = Status::ok;
  record.basis = Basis::scaled;
  record.reason.clear();
  record.dilation = 11350;
  for (Resource resource : kResources) {
    CapRecord cap;
    cap.resource = resource;
    cap.target_rate = 4e10;
    cap.target_rate_kind = "derived";
    cap.requested = cap.ceiling = 1e6;
    cap.headroom = 1;
    cap.delivered_before = cap.delivered_during = cap.delivered_after = 1e6;
    cap.linearity_error = cap.busy_share = 0.5;
    cap.mechanism = "resource clock";
    cap.status = CapStatus::held;
    record.caps.push_back(cap);
  }
  record.time.median = record.time.ci_low = record.time.ci_high = record.time.mean = 0.01;
  record.time.ess = 30;
  record.time.n = 2;
  record.time.samples = {0.01, 0.01};
  record.time.stopped_by = "budget";
  record.time.regime = "burst";
  record.verification = Verification{1e-5, 1e-3, true, 1, 1};
  record.energy = {"provisioned", 700, "gpu_tdp", "a datasheet", false, std::nullopt};
  record.energy.systematic_parts = {{"gain", 0.05}, {"alignment", 0.001}, {"lag", 0.0}, {"sampling", 0.002}};
  record.energy.instrument = readings_of(InstrumentFacts{.tick_s = 0.1});
  record.energy.conditions = {{"mig_off", true}, {"persistence_on", std::nullopt}};
  record.energy.duty = 0.99;
  record.energy.before = record.energy.after = {{"temperature_c", 40}, {"sm_clock_hz", 1.7e9}, {"memory_clock_hz", std::nullopt}};
  record.energy.slowed_s = {{"power_cap", 1.5}, {"sw_thermal", std::nullopt}};
  record.metrics["flop_per_s"] = {1e12, 0.9e12, std::nullopt, "FLOP/s"};
  return record;
}

Json environment() {
  class Machine final : public Device {
   public:
    const DeviceFacts& facts() const override { return facts_; }
    double time_s(const std::function<void()>&) override { return 0; }
    double now_s() override { return 0; }

   private:
    DeviceFacts facts_{.kind = "cpu", .name = "a CPU", .architecture = "x86_64/avx2"};
  };
  Ceilings ceilings;
  ceilings.compute[Dtype::bf16] = 1e11;
  ceilings.rate[Resource::memory] = 1e10;
  Json json = environment_of(Machine(), {"chokepoint", "run", "quick"});
  json["suite"] = {{"id", "quick"}, {"sha256", std::string(64, '0')}};
  json["ceilings"] = to_json(ceilings);
  return json;
}

}  // namespace
}  // namespace chokepoint

int main(int argc, char** argv) {
  using namespace chokepoint;
  const std::string mode = argc > 1 ? argv[1] : "";
  if (mode == "decode" && argc > 2) return decode(argv[2], argc - 3, argv + 3);
  if (mode == "plan" && argc == 4) return plan(argv[2], argv[3]);
  if (mode == "records") {
    fmt::print("{}\n{}\n", to_json(record_before_its_run()).dump(), to_json(record_after_its_run()).dump());
    return 0;
  }
  if (mode == "environment") {
    fmt::print("{}\n", environment().dump());
    return 0;
  }
  return 2;
}
