#include "harness/meters/nvml.hpp"

#include <fmt/format.h>

#include <array>
#include <cmath>
#include <cstdlib>

#include "harness/base/error.hpp"
#include "harness/meters/meter.hpp"
#include "harness/meters/nvml_functions.hpp"
#include "harness/meters/nvml_instrument.hpp"

namespace chokepoint {
namespace {

using nvml::Code;
using nvml::FieldValue;
using nvml::Handle;
using nvml::PciInfo;
using nvml::ProcessInfo;

// The type differs from driver to driver for the same field, so it is asked, not assumed.
std::optional<double> number_in(const FieldValue& field) {
  switch (field.value_type) {
    case 0: return field.value.as_double;
    case 1: return field.value.as_unsigned;
    case 2: return static_cast<double>(field.value.as_unsigned_long);
    case 3: return static_cast<double>(field.value.as_unsigned_long_long);
    case 4: return static_cast<double>(field.value.as_long_long);
    case 5: return field.value.as_int;
    case 6: return field.value.as_unsigned_short;
    default: return std::nullopt;
  }
}

}  // namespace

Nvml::Nvml(std::unique_ptr<const NvmlFunctions> functions) : functions_(std::move(functions)) {}

std::shared_ptr<const Nvml> Nvml::open() {
  const char* override = std::getenv("CHOKEPOINT_NVML");
  const std::array names = {std::string(override && *override ? override : "libnvidia-ml.so.1")};
  std::optional<Library> library = Library::open(names);
  if (!library)
    throw Error(Fault::device, fmt::format("{} does not load", names[0]),
                "install the NVIDIA driver, or name its NVML in CHOKEPOINT_NVML");
  auto functions = std::make_unique<NvmlFunctions>(std::move(*library));
  functions->demand("start", functions->init);
  return std::shared_ptr<const Nvml>(new Nvml(std::move(functions)));
}

Nvml::~Nvml() {
  if (functions_->shutdown) functions_->shutdown();
}

int Nvml::gpu_count() const {
  unsigned count = 0;
  functions_->demand("count GPUs", functions_->count, &count);
  return static_cast<int>(count);
}

std::string Nvml::library() const { return functions_->library.name(); }

std::string Nvml::driver_version() const {
  std::array<char, 80> text{};
  functions_->demand("tell the driver's version", functions_->driver_version, text.data(), unsigned{text.size()});
  return text.data();
}

NvmlGpu Nvml::find(const std::string& bus_id_or_uuid) const {
  Handle handle = nullptr;
  functions_->demand(fmt::format("find GPU {}", bus_id_or_uuid),
                     bus_id_or_uuid.starts_with("GPU-") || bus_id_or_uuid.starts_with("MIG-")
                         ? functions_->by_uuid : functions_->by_bus_id,
                     bus_id_or_uuid.c_str(), &handle);
  return NvmlGpu(shared_from_this(), handle);
}

NvmlGpu Nvml::by_index(int nvml_index) const {
  Handle handle = nullptr;
  functions_->demand(fmt::format("find its GPU {}", nvml_index), functions_->by_index,
                     static_cast<unsigned>(nvml_index), &handle);
  return NvmlGpu(shared_from_this(), handle);
}

std::optional<unsigned> Nvml::nvlink_bandwidth_mode() const {
  unsigned mode = 0;
  if (!functions_->ask("read the NVLink bandwidth mode", functions_->get_nvlink_mode, &mode)) return std::nullopt;
  return mode;
}

void Nvml::set_nvlink_bandwidth_mode(unsigned mode) const {
  functions_->demand(fmt::format("set NVLink bandwidth mode {}", mode), functions_->set_nvlink_mode, mode);
}

namespace {

constexpr std::size_t kTextSize = 96;

template <class Function>
std::string required_text(const NvmlFunctions& api, Handle handle, const char* what, Function* function) {
  std::array<char, kTextSize> text{};
  api.demand(what, function, handle, text.data(), unsigned{kTextSize});
  return text.data();
}

// An unsigned reading times `scale`.
template <class Function, class... Arguments>
std::optional<double> scaled(const NvmlFunctions& api, const char* what, double scale, Function* function,
                             Arguments... arguments) {
  unsigned value = 0;
  if (!api.ask(what, function, arguments..., &value)) return std::nullopt;
  return value * scale;
}

unsigned megahertz(double hz) { return static_cast<unsigned>(std::lround(hz * 1e-6)); }

// Asked with no room for a list, NVML says how long it is.
template <class Function, class... Before>
std::optional<std::vector<double>> listed_clocks_hz(const NvmlFunctions& api, const char* what, Function* function,
                                                    Before... before) {
  unsigned count = 0;
  const Code code = function ? function(before..., &count, nullptr) : nvml::kFunctionNotFound;
  if (code != nvml::kInsufficientSize && !api.given(what, code)) return std::nullopt;
  std::vector<unsigned> list_mhz(count);
  if (count > 0) api.demand(what, function, before..., &count, list_mhz.data());
  std::vector<double> list_hz;
  for (const unsigned mhz : list_mhz) list_hz.push_back(mhz * 1e6);
  return list_hz;
}

}  // namespace

std::string NvmlGpu::uuid() const { return required_text(api(), handle_, "tell a GPU's UUID", api().uuid); }
std::string NvmlGpu::name() const { return required_text(api(), handle_, "tell a GPU's name", api().name); }

std::string NvmlGpu::bus_id() const {
  PciInfo info{};
  api().demand("tell a GPU's bus id", api().pci_info, handle_, &info);
  return info.bus_id;
}

std::optional<std::string> NvmlGpu::vbios_version() const {
  std::array<char, kTextSize> text{};
  if (!api().ask("tell the VBIOS version", api().vbios, handle_, text.data(), unsigned{kTextSize}))
    return std::nullopt;
  return text.data();
}

std::optional<double> NvmlGpu::field(unsigned id, unsigned scope, double* stamp_s) const {
  FieldValue value;
  value.field = id;
  value.scope = scope;
  const std::string what = fmt::format("read field {} of scope {}", id, scope);
  if (!api().ask(what, api().field_values, handle_, 1, &value)) return std::nullopt;
  if (value.code == nvml::kInvalidArgument) return std::nullopt;  // a field or scope that this driver does not know
  if (!api().given(what, value.code)) return std::nullopt;
  if (stamp_s) *stamp_s = static_cast<double>(value.stamp_us) * 1e-6;
  return number_in(value);
}

std::optional<double> NvmlGpu::energy_j() const {
  unsigned long long millijoule = 0;
  if (api().ask("read the energy counter", api().total_energy, handle_, &millijoule))
    return static_cast<double>(millijoule) * 1e-3;
  for (const unsigned id : {nvml::kFieldEnergy, nvml::kFieldTotalEnergy})
    if (const std::optional<double> value = field(id, 0)) return *value * 1e-3;
  return std::nullopt;
}

std::optional<NvmlPower> NvmlGpu::instant_power(PowerScope scope) const {
  NvmlPower power;
  const std::optional<double> milliwatt = field(nvml::kFieldPowerInstant, static_cast<unsigned>(scope), &power.stamp_s);
  if (!milliwatt) return std::nullopt;
  power.w = *milliwatt * 1e-3;
  return power;
}

std::optional<NvmlPower> NvmlGpu::average_power(PowerScope scope) const {
  NvmlPower power;
  const std::optional<double> milliwatt = field(nvml::kFieldPowerAverage, static_cast<unsigned>(scope), &power.stamp_s);
  if (!milliwatt) return std::nullopt;
  power.w = *milliwatt * 1e-3;
  return power;
}

std::optional<double> NvmlGpu::sm_clock_hz() const {
  return scaled(api(), "read the SM clock", 1e6, api().clock, handle_, nvml::kClockSm);
}
std::optional<double> NvmlGpu::max_sm_clock_hz() const {
  return scaled(api(), "read the highest SM clock", 1e6, api().max_clock, handle_, nvml::kClockSm);
}
std::optional<double> NvmlGpu::memory_clock_hz() const {
  return scaled(api(), "read the memory clock", 1e6, api().clock, handle_, nvml::kClockMemory);
}
std::optional<double> NvmlGpu::max_memory_clock_hz() const {
  return scaled(api(), "read the highest memory clock", 1e6, api().max_clock, handle_, nvml::kClockMemory);
}
std::optional<std::vector<double>> NvmlGpu::supported_memory_clocks_hz() const {
  return listed_clocks_hz(api(), "list memory clocks", api().memory_clocks, handle_);
}
std::optional<std::vector<double>> NvmlGpu::supported_sm_clocks_hz(double memory_clock_hz) const {
  return listed_clocks_hz(api(), "list SM clocks", api().sm_clocks, handle_, megahertz(memory_clock_hz));
}
std::optional<double> NvmlGpu::temperature_c() const {
  return scaled(api(), "read the temperature", 1.0, api().temperature, handle_, nvml::kTemperatureGpu);
}

std::optional<std::uint64_t> NvmlGpu::throttle_mask() const {
  unsigned long long mask = 0;
  if (!api().ask("read the throttle reasons", api().throttle, handle_, &mask)) return std::nullopt;
  return mask;
}

NvmlGpu::SlowedS NvmlGpu::slowed_s() const {
  const auto seconds = [&](unsigned id) -> std::optional<double> {
    const std::optional<double> nanoseconds = field(id, 0);
    return nanoseconds ? std::optional(*nanoseconds * 1e-9) : std::nullopt;
  };
  return {seconds(74), seconds(269), seconds(270), seconds(271)};
}

std::optional<double> NvmlGpu::power_limit_w() const {
  return scaled(api(), "read the power limit", 1e-3, api().power_limit, handle_);
}
std::optional<double> NvmlGpu::default_power_limit_w() const {
  return scaled(api(), "read the default power limit", 1e-3, api().default_power_limit, handle_);
}

std::optional<NvmlGpu::PowerRange> NvmlGpu::power_limit_range() const {
  unsigned least = 0, most = 0;
  if (!api().ask("read the range of the power limit", api().power_limits, handle_, &least, &most)) return std::nullopt;
  return PowerRange{least * 1e-3, most * 1e-3};
}

std::optional<bool> NvmlGpu::mig_enabled() const {
  unsigned now = 0, pending = 0;
  if (!api().ask("read the MIG mode", api().mig, handle_, &now, &pending)) return std::nullopt;
  return now != 0;
}

std::optional<bool> NvmlGpu::persistence_enabled() const {
  int mode = 0;
  if (!api().ask("read the persistence mode", api().persistence, handle_, &mode)) return std::nullopt;
  return mode != 0;
}

std::optional<bool> NvmlGpu::ecc_enabled() const {
  int now = 0, pending = 0;
  if (!api().ask("read the ECC mode", api().ecc, handle_, &now, &pending)) return std::nullopt;
  return now != 0;
}

std::optional<int> NvmlGpu::compute_processes() const {
  std::array<ProcessInfo, 64> list{};
  unsigned count = list.size();
  const Code code = api().processes ? api().processes(handle_, &count, list.data()) : nvml::kFunctionNotFound;
  if (code != nvml::kInsufficientSize && !api().given("list the GPU's processes", code)) return std::nullopt;
  return static_cast<int>(count);
}

void NvmlGpu::lock_sm_clock(double least_hz, double most_hz) const {
  api().demand(fmt::format("lock the SM clock to {} to {} MHz", megahertz(least_hz), megahertz(most_hz)),
               api().lock_sm, handle_, megahertz(least_hz), megahertz(most_hz));
}
void NvmlGpu::reset_sm_clock() const { api().demand("unlock the SM clock", api().reset_sm, handle_); }
void NvmlGpu::lock_memory_clock(double least_hz, double most_hz) const {
  api().demand(fmt::format("lock the memory clock to {} to {} MHz", megahertz(least_hz), megahertz(most_hz)),
               api().lock_memory, handle_, megahertz(least_hz), megahertz(most_hz));
}
void NvmlGpu::reset_memory_clock() const { api().demand("unlock the memory clock", api().reset_memory, handle_); }
void NvmlGpu::set_power_limit(double w) const {
  api().demand(fmt::format("set a power limit of {:.0f} W", w), api().set_power_limit, handle_,
               static_cast<unsigned>(std::lround(w * 1e3)));
}

std::vector<std::string> throttle_words(std::uint64_t mask) {
  constexpr std::array<std::string_view, 9> kWords = {
      "idle",           "applications_clocks", "power_cap",      "hw_slowdown",   "sync_boost",
      "sw_thermal",     "hw_thermal",          "hw_power_brake", "display_clocks"};
  std::vector<std::string> words;
  for (std::size_t bit = 0; bit < 64; ++bit)
    if (mask >> bit & 1U) words.push_back(bit < kWords.size() ? std::string(kWords[bit]) : fmt::format("bit_{}", bit));
  return words;
}

namespace {

std::string described() {
  try {
    const std::shared_ptr<const Nvml> nvml = Nvml::open();
    std::string text = fmt::format("{}, driver {}", nvml->library(), nvml->driver_version());
    for (int i = 0; i < nvml->gpu_count(); ++i) {
      const NvmlGpu gpu = nvml->by_index(i);
      text += fmt::format("; {} {}: {}", gpu.name(), gpu.bus_id(),
                          gpu.instant_power() ? "instant power" : "no instant power");
      for (const EnergyCondition& condition : energy_conditions(gpu))
        if (!condition.holds.value_or(true)) text += "; " + condition.text;
    }
    return text;
  } catch (const Error& error) {
    return fmt::format("{} (energy is then provisioned, from profiles)", error.what());
  }
}

// `open` gives nothing on purpose: a bare difference of this counter is off by tens of percent over windows below
// 5 s; harness/meters/energy.hpp reads it in windows cut at its ticks.
const Register<EnergyMeter> nvml_meter{{.name = "nvml",
                                        .device = "cuda",
                                        .scope = "gpu_board",
                                        .open = []() -> std::unique_ptr<EnergyCounter> { return nullptr; },
                                        .describe = described}};

}  // namespace
}  // namespace chokepoint
