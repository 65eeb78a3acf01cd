#include "harness/meters/rapl.hpp"

#include <fmt/format.h>

#include <filesystem>
#include <fstream>
#include <vector>

#include "harness/base/error.hpp"

namespace chokepoint {
namespace {

struct Domain {
  std::string path;
  double wrap_uj = 0.0;  // max_energy_range_uj
  double last_uj = 0.0;
  double total_uj = 0.0;  // since opening
};

std::optional<double> read_number(const std::string& path) {
  std::ifstream file(path);
  double value = 0.0;
  return file >> value ? std::optional<double>(value) : std::nullopt;
}

class Rapl final : public EnergyCounter {
 public:
  explicit Rapl(std::vector<Domain> domains) : domains_(std::move(domains)) {}

  double joule() override {
    double total_uj = 0.0;
    for (Domain& domain : domains_) {
      const std::optional<double> now_uj = read_number(domain.path + "/energy_uj");
      if (!now_uj)
        throw Error(Fault::io, fmt::format("{}/energy_uj stopped being readable", domain.path),
                    "check its permissions");
      // The counter wraps within minutes under load; it is read more often than that.
      const double step = *now_uj - domain.last_uj;
      domain.total_uj += step >= 0.0 ? step : step + domain.wrap_uj;
      domain.last_uj = *now_uj;
      total_uj += domain.total_uj;
    }
    return total_uj * 1e-6;
  }

 private:
  std::vector<Domain> domains_;
};

std::vector<std::string> package_folders(const std::string& root) {
  std::vector<std::string> folders;
  std::error_code code;
  for (const auto& entry : std::filesystem::directory_iterator(root, code)) {
    const std::string name = entry.path().filename();
    if (name.starts_with("intel-rapl:") && name.find(':', 11) == std::string::npos)
      folders.push_back(entry.path());
  }
  return folders;
}

const Register<EnergyMeter> rapl_meter{
    {.name = "rapl",
     .device = "cpu",
     .scope = "cpu_package",
     .open = [] { return open_rapl(); },
     .describe = []() -> std::string {
       if (open_rapl()) return "readable";
       if (package_folders("/sys/class/powercap").empty())
         return "no powercap domains (virtual machine, or intel_rapl_msr not loaded); power is provisioned, "
                "from profiles";
       return "present but not readable; run as root or chmod a+r /sys/class/powercap/intel-rapl:*/energy_uj";
     }}};

}  // namespace

std::unique_ptr<EnergyCounter> open_rapl(const std::string& root) {
  std::vector<Domain> domains;
  for (const std::string& folder : package_folders(root)) {
    const std::optional<double> now_uj = read_number(folder + "/energy_uj");
    const std::optional<double> wrap_uj = read_number(folder + "/max_energy_range_uj");
    if (now_uj && wrap_uj) domains.push_back({folder, *wrap_uj, *now_uj, 0.0});
  }
  if (domains.empty()) return nullptr;
  return std::make_unique<Rapl>(std::move(domains));
}

}  // namespace chokepoint
