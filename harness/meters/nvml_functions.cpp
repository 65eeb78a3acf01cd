#include "harness/meters/nvml_functions.hpp"

#include <fmt/format.h>

#include <utility>

#include "harness/base/error.hpp"

namespace chokepoint {
namespace {

const char* nvml_remedy_for(nvml::Code code) {
  switch (code) {
    case 4:
      return "run as root, or have the container started with this permission";
    case 6:
      return "see `nvidia-smi -L` for the GPUs of this machine";
    case 8:
      return "attach the board's power cables";
    case 9:
      return "load the NVIDIA kernel driver (`nvidia-smi` must work)";
    case 12:
      return "install the driver's libnvidia-ml.so.1, or name the file in CHOKEPOINT_NVML";
    case 15:
      return "the GPU fell off the bus; see `dmesg` for Xid messages and reboot";
    case 16:
      return "reset the GPU or reboot";
    case 17:
      return "give this container or cgroup access to /dev/nvidia*";
    case 18:
      return "driver and library are of different versions; reboot after the driver's update";
    case 19:
      return "end the other programs that use the GPU";
    case 24:
      return "ask for a clock that `nvidia-smi -q -d SUPPORTED_CLOCKS` lists";
    default:
      return "see whether `nvidia-smi` works";
  }
}

}  // namespace

NvmlFunctions::NvmlFunctions(Library from) : library(std::move(from)) {
  const auto bind = [this]<class Function>(Function*& slot, const char* symbol) {
    slot = library.find<Function>(symbol);
  };
  bind(init, "nvmlInit_v2");
  bind(shutdown, "nvmlShutdown");
  bind(error_string, "nvmlErrorString");
  bind(driver_version, "nvmlSystemGetDriverVersion");
  bind(count, "nvmlDeviceGetCount_v2");
  bind(by_index, "nvmlDeviceGetHandleByIndex_v2");
  bind(by_uuid, "nvmlDeviceGetHandleByUUID");
  bind(by_bus_id, "nvmlDeviceGetHandleByPciBusId_v2");
  bind(uuid, "nvmlDeviceGetUUID");
  bind(name, "nvmlDeviceGetName");
  bind(vbios, "nvmlDeviceGetVbiosVersion");
  bind(pci_info, "nvmlDeviceGetPciInfo_v3");
  bind(total_energy, "nvmlDeviceGetTotalEnergyConsumption");
  bind(field_values, "nvmlDeviceGetFieldValues");
  bind(clock, "nvmlDeviceGetClockInfo");
  bind(max_clock, "nvmlDeviceGetMaxClockInfo");
  bind(memory_clocks, "nvmlDeviceGetSupportedMemoryClocks");
  bind(sm_clocks, "nvmlDeviceGetSupportedGraphicsClocks");
  bind(temperature, "nvmlDeviceGetTemperature");
  bind(throttle, "nvmlDeviceGetCurrentClocksEventReasons");
  if (!throttle) bind(throttle, "nvmlDeviceGetCurrentClocksThrottleReasons");  // its name before driver 535
  bind(power_limit, "nvmlDeviceGetPowerManagementLimit");
  bind(default_power_limit, "nvmlDeviceGetPowerManagementDefaultLimit");
  bind(power_limits, "nvmlDeviceGetPowerManagementLimitConstraints");
  bind(mig, "nvmlDeviceGetMigMode");
  bind(persistence, "nvmlDeviceGetPersistenceMode");
  bind(ecc, "nvmlDeviceGetEccMode");
  bind(processes, "nvmlDeviceGetComputeRunningProcesses_v3");
  bind(lock_sm, "nvmlDeviceSetGpuLockedClocks");
  bind(reset_sm, "nvmlDeviceResetGpuLockedClocks");
  bind(lock_memory, "nvmlDeviceSetMemoryLockedClocks");
  bind(reset_memory, "nvmlDeviceResetMemoryLockedClocks");
  bind(set_power_limit, "nvmlDeviceSetPowerManagementLimit");
  bind(get_nvlink_mode, "nvmlSystemGetNvlinkBwMode");
  bind(set_nvlink_mode, "nvmlSystemSetNvlinkBwMode");
}

void NvmlFunctions::fail(nvml::Code code, const std::string& what) const {
  const char* text = error_string ? error_string(code) : nullptr;
  throw Error(Fault::device, fmt::format("NVML cannot {}: {} (code {})", what, text ? text : "unknown error", code),
              nvml_remedy_for(code));
}

bool NvmlFunctions::given(const std::string& what, nvml::Code code) const {
  if (code == nvml::kSuccess) return true;
  if (code == nvml::kNotSupported || code == nvml::kFunctionNotFound || code == nvml::kNoData ||
      code == nvml::kDeprecated || code == nvml::kNotReady)
    return false;
  fail(code, what);
}

}  // namespace chokepoint
