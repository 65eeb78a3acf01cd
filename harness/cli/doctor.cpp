// `doctor`: what this machine and this build offer, one line each, with the remedy for what is missing.
#include <fmt/format.h>
#include <unistd.h>

#include <filesystem>

#include "harness/base/error.hpp"
#include "harness/base/library.hpp"
#include "harness/base/parallel.hpp"
#include "harness/cli/command.hpp"
#include "harness/device/device.hpp"
#include "harness/meters/meter.hpp"
#include "harness/model/suite.hpp"
#include "harness/run/environment.hpp"
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

void examine(Session& session) {
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
  if (session.json) {
    Json json = Json::object();
    for (const Finding& finding : findings) json[finding.subject] = finding.text;
    return print_json(json);
  }
  for (const Finding& finding : findings) fmt::print("{:<10} {}\n", finding.subject, finding.text);
}

const Register<Command> doctor_command{
    {.name = "doctor",
     .place = 8,
     .summary = "machine, permissions, instruments: one line each, with the remedy",
     .add = [](CLI::App& app, Session& session) { app.callback([&session] { examine(session); }); }}};

}  // namespace
}  // namespace chokepoint
