// How does NVIDIA's management library look from outside? Names and numbers of its binary interface, with our own
// declarations, and its entry points in a library opened at run time.
#pragma once

#include <string>

#include "harness/base/library.hpp"

namespace chokepoint {

// As NVML's reference documents them (API 13.0).
namespace nvml {

using Handle = void*;
using Code = int;
inline constexpr Code kSuccess = 0, kInvalidArgument = 2, kNotSupported = 3, kInsufficientSize = 7,
                      kFunctionNotFound = 13, kNoData = 21, kDeprecated = 26, kNotReady = 27;
inline constexpr int kClockSm = 1, kClockMemory = 2, kTemperatureGpu = 0;
inline constexpr unsigned kFieldEnergy = 191, kFieldTotalEnergy = 83, kFieldPowerAverage = 185,
                          kFieldPowerInstant = 186;

union Value {
  double as_double;
  int as_int;
  unsigned as_unsigned;
  unsigned long as_unsigned_long;
  unsigned long long as_unsigned_long_long;
  long long as_long_long;
  unsigned short as_unsigned_short;
};

struct FieldValue {
  unsigned field = 0, scope = 0;
  long long stamp_us = 0;  // of the processor's clock
  long long latency_us = 0;
  int value_type = 0;
  Code code = 0;
  Value value{};
};
static_assert(sizeof(FieldValue) == 40, "nvmlFieldValue_t");

struct PciInfo {
  char bus_id_short[16];
  unsigned domain, bus, device, device_id, subsystem_id;
  char bus_id[32];
};
static_assert(sizeof(PciInfo) == 68, "nvmlPciInfo_t");

struct ProcessInfo {
  unsigned pid;
  unsigned long long memory_bytes;
  unsigned gpu_instance, compute_instance;
};
static_assert(sizeof(ProcessInfo) == 24, "nvmlProcessInfo_t");

}  // namespace nvml

struct NvmlFunctions {
  Library library;
  nvml::Code (*init)() = nullptr;
  nvml::Code (*shutdown)() = nullptr;
  const char* (*error_string)(nvml::Code) = nullptr;
  nvml::Code (*driver_version)(char*, unsigned) = nullptr;
  nvml::Code (*count)(unsigned*) = nullptr;
  nvml::Code (*by_index)(unsigned, nvml::Handle*) = nullptr;
  nvml::Code (*by_uuid)(const char*, nvml::Handle*) = nullptr;
  nvml::Code (*by_bus_id)(const char*, nvml::Handle*) = nullptr;
  nvml::Code (*uuid)(nvml::Handle, char*, unsigned) = nullptr;
  nvml::Code (*name)(nvml::Handle, char*, unsigned) = nullptr;
  nvml::Code (*vbios)(nvml::Handle, char*, unsigned) = nullptr;
  nvml::Code (*pci_info)(nvml::Handle, nvml::PciInfo*) = nullptr;
  nvml::Code (*total_energy)(nvml::Handle, unsigned long long*) = nullptr;
  nvml::Code (*field_values)(nvml::Handle, int, nvml::FieldValue*) = nullptr;
  nvml::Code (*clock)(nvml::Handle, int, unsigned*) = nullptr;
  nvml::Code (*max_clock)(nvml::Handle, int, unsigned*) = nullptr;
  nvml::Code (*memory_clocks)(nvml::Handle, unsigned*, unsigned*) = nullptr;
  nvml::Code (*sm_clocks)(nvml::Handle, unsigned, unsigned*, unsigned*) = nullptr;
  nvml::Code (*temperature)(nvml::Handle, int, unsigned*) = nullptr;
  nvml::Code (*throttle)(nvml::Handle, unsigned long long*) = nullptr;
  nvml::Code (*power_limit)(nvml::Handle, unsigned*) = nullptr;
  nvml::Code (*default_power_limit)(nvml::Handle, unsigned*) = nullptr;
  nvml::Code (*power_limits)(nvml::Handle, unsigned*, unsigned*) = nullptr;
  nvml::Code (*mig)(nvml::Handle, unsigned*, unsigned*) = nullptr;
  nvml::Code (*persistence)(nvml::Handle, int*) = nullptr;
  nvml::Code (*ecc)(nvml::Handle, int*, int*) = nullptr;
  nvml::Code (*processes)(nvml::Handle, unsigned*, nvml::ProcessInfo*) = nullptr;
  nvml::Code (*lock_sm)(nvml::Handle, unsigned, unsigned) = nullptr;
  nvml::Code (*reset_sm)(nvml::Handle) = nullptr;
  nvml::Code (*lock_memory)(nvml::Handle, unsigned, unsigned) = nullptr;
  nvml::Code (*reset_memory)(nvml::Handle) = nullptr;
  nvml::Code (*set_power_limit)(nvml::Handle, unsigned) = nullptr;
  nvml::Code (*get_nvlink_mode)(unsigned*) = nullptr;
  nvml::Code (*set_nvlink_mode)(unsigned) = nullptr;

  explicit NvmlFunctions(Library from);

  [[noreturn]] void fail(nvml::Code code, const std::string& what) const;

  // Something chokepoint cannot do without.
  template <class Function, class... Arguments>
  void demand(const std::string& what, Function* function, Arguments... arguments) const {
    const nvml::Code code = function ? function(arguments...) : nvml::kFunctionNotFound;
    if (code != nvml::kSuccess) fail(code, what);
  }

  bool given(const std::string& what, nvml::Code code) const;

  // A reading; false when this GPU or driver does not have it.
  template <class Function, class... Arguments>
  bool ask(const std::string& what, Function* function, Arguments... arguments) const {
    return given(what, function ? function(arguments...) : nvml::kFunctionNotFound);
  }
};

}  // namespace chokepoint
