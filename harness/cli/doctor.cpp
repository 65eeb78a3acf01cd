// `doctor`: what this machine and this build offer, one line each, with the remedy for what is missing.
#include <fmt/format.h>
#include <unistd.h>

#include <filesystem>

#include "harness/base/error.hpp"
#include "harness/base/library.hpp"
#include "harness/base/parallel.hpp"
#include "harness/base/strings.hpp"
#include "harness/cli/command.hpp"
#include "harness/device/device.hpp"
#include "harness/meters/meter.hpp"
#include "harness/model/suite.hpp"
#include "harness/run/environment.hpp"
#include "harness/run/gpu_energy.hpp"
#include "harness/run/probe.hpp"
#include "harness/track/history.hpp"
#include "kernels/kernel.hpp"

namespace chokepoint {
namespace {

struct Finding {
  std::string subject, text;
};

// Why a library kernel cannot run here, asked with a shape that every kernel takes; and libraries that speak for
// themselves.
std::vector<Finding> library_findings() {
  std::vector<Finding> findings;
  for (const OptionalLibrary& library : Registry<OptionalLibrary>::instance().all())
    findings.push_back({library.name, library.describe()});
  for (const Kernel* kernel : kernels_of("matmul")) {
    if (!kernel->paces.empty() || Registry<OptionalLibrary>::instance().find(kernel->name)) continue;
    const Shape shape = complete_shape(
        find_operation("matmul"), {{"m", std::int64_t{1}}, {"n", std::int64_t{1}}, {"k", std::int64_t{1}}});
    findings.push_back({kernel->name, kernel->unsupported(shape, Dtype::f32).value_or("found")});
  }
  return findings;
}

std::string folder_text() {
  const std::string folder = std::filesystem::current_path();
  return ::access(folder.c_str(), W_OK) == 0 ? fmt::format("{}/out can be written", folder)
                                             : fmt::format("{} is not writable; give `run` an --out", folder);
}

std::string configs_text(const std::string& configs) {
  try {
    return fmt::format("{} (suite quick reads: {} cases)", configs,
                       load_suite(find_suite(configs, "quick")).cases.size());
  } catch (const Error& error) {
    return error.what();
  }
}

// Under a load of some seconds: what the records' joules rest on.
InstrumentFacts probe_instrument_of(const std::string& device_name) {
  const std::unique_ptr<Device> device = open_device(device_name);
  Prober prober(*device);
  GpuEnergy gpu(device->facts());
  // Prepared before the probe's clock runs.
  const auto load = gpu.why_not().empty() ? prober.load() : nullptr;
  return gpu.probe([&] {
    if (!load) throw Error(Fault::unsupported, fmt::format("no kernel here loads {}", device_name), "see `list kernels`");
    const auto [launches, busy_s] = load();
    return LoadStep{launches, busy_s};
  });
}

struct ProbedInstrument {
  std::optional<InstrumentFacts> facts;
  std::string text;  // why there are none, or a line for each reading
};

ProbedInstrument probed_instrument(const std::string& device_name) {
  try {
    const InstrumentFacts facts = probe_instrument_of(device_name);
    return {facts, text_of(facts)};
  } catch (const Error& error) {
    if (error.fault() == Fault::config) throw;  // no such device
    return {std::nullopt, error.what()};
  }
}

void examine(const std::string& probed, Session& session) {
  const BuildFacts build = build_facts();
  std::vector<Finding> findings = {
      {"version", fmt::format("{}, git {}, {}, {}", build.version, build.git, build.compiler, build.flags)}};
  for (const DeviceDriver& driver : Registry<DeviceDriver>::instance().all())
    findings.push_back({driver.name, driver.describe()});
  if (!Registry<DeviceDriver>::instance().find("cuda"))
    findings.push_back(
        {"cuda", "not in this build; configure with -DENABLE_CUDA=ON where nvcc is installed"});
  for (const EnergyMeter& meter : Registry<EnergyMeter>::instance().all())
    findings.push_back({meter.name, meter.describe()});
  for (Finding& finding : library_findings()) findings.push_back(std::move(finding));
  findings.push_back({"sqlite", history_support()});
  findings.push_back({"workers", fmt::format("{} (CHOKEPOINT_THREADS changes that)", parallel_workers())});
  findings.push_back({"configs", configs_text(session.configs)});
  findings.push_back({"output", folder_text()});
  std::optional<ProbedInstrument> instrument;
  if (!probed.empty()) instrument = probed_instrument(probed);
  if (session.json) {
    Json json = Json::object();
    for (const Finding& finding : findings) json[finding.subject] = finding.text;
    if (instrument)
      json["instrument"] = instrument->facts ? readings_json(readings_of(*instrument->facts)) : Json(nullptr);
    if (instrument && !instrument->facts) json["instrument_trouble"] = instrument->text;
    return print_json(json);
  }
  if (instrument)
    for (const std::string& line : split(instrument->text, '\n')) findings.push_back({"instrument", line});
  for (const Finding& finding : findings) fmt::print("{:<10} {}\n", finding.subject, finding.text);
}

const Register<Command> doctor_command{
    {.name = "doctor",
     .place = 8,
     .summary = "machine, permissions, instruments: one line each, with the remedy",
     .add = [](CLI::App& app, Session& session) {
       auto probed = std::make_shared<std::string>();
       app.add_option("--probe", *probed,
                      "load this GPU for some seconds too: tick, lag and read latency of its power instrument")
           ->option_text("cuda:N");
       app.callback([probed, &session] { examine(*probed, session); });
     }}};

}  // namespace
}  // namespace chokepoint
