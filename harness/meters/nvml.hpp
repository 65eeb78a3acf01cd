// What does NVIDIA's management library say about one GPU? NVML opened at run time, with our own declarations, so
// that nothing links a driver. A reading that this GPU or driver does not give is absent; any other refusal throws
// Error{device} with a remedy.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace chokepoint {

struct NvmlFunctions;  // the library's entry points, nvml_functions.hpp
class NvmlGpu;

// One initialised library. Every NvmlGpu keeps it alive; the last owner shuts it down.
class Nvml : public std::enable_shared_from_this<Nvml> {
 public:
  // Loads libnvidia-ml.so.1, or the file that the environment's CHOKEPOINT_NVML names.
  static std::shared_ptr<const Nvml> open();
  ~Nvml();
  Nvml(const Nvml&) = delete;
  Nvml& operator=(const Nvml&) = delete;

  int gpu_count() const;
  std::string library() const;         // file it was loaded from
  std::string driver_version() const;  // "580.65.06"

  // NVML counts all GPUs of the machine and ignores CUDA_VISIBLE_DEVICES: a CUDA device is found by its bus id
  // ("0000:3b:00.0", either domain width) or UUID ("GPU-..."), never by its index.
  NvmlGpu find(const std::string& bus_id_or_uuid) const;
  NvmlGpu by_index(int nvml_index) const;

  // NVLink bandwidth of the whole system (Hopper and newer, root sets it): 0 full, 1 off, 2 least, 3 half,
  // 4 three quarters.
  std::optional<unsigned> nvlink_bandwidth_mode() const;
  void set_nvlink_bandwidth_mode(unsigned mode) const;

 private:
  explicit Nvml(std::unique_ptr<const NvmlFunctions> functions);
  friend class NvmlGpu;
  std::unique_ptr<const NvmlFunctions> functions_;
};

// What a power field covers (NVML's scope numbers). Labels, never summed.
enum class PowerScope { gpu = 0, module = 1, memory = 2 };

struct NvmlPower {
  double w = 0.0;
  double stamp_s = 0.0;  // when NVML says it read the sensor; its own clock
};

class NvmlGpu {
 public:
  std::string uuid() const;    // "GPU-..."
  std::string bus_id() const;  // "00000000:3B:00.0"
  std::string name() const;
  std::optional<std::string> vbios_version() const;
  const Nvml& library() const { return *nvml_; }

  // Joules since the driver was loaded, whole board: the counter, else field 191 or 83. Steps of about 100 ms.
  std::optional<double> energy_j() const;
  std::optional<NvmlPower> instant_power(PowerScope scope = PowerScope::gpu) const;  // field 186
  std::optional<NvmlPower> average_power(PowerScope scope = PowerScope::gpu) const;  // field 185, trailing 1 s

  std::optional<double> sm_clock_hz() const;
  std::optional<double> max_sm_clock_hz() const;
  std::optional<double> memory_clock_hz() const;
  std::optional<double> max_memory_clock_hz() const;
  // Clocks that can be locked; those of SMs beside one of the memory's.
  std::optional<std::vector<double>> supported_memory_clocks_hz() const;
  std::optional<std::vector<double>> supported_sm_clocks_hz(double memory_clock_hz) const;
  std::optional<double> temperature_c() const;

  // Why clocks are below their maximum now, as NVML's bits; `throttle_words` names them.
  std::optional<std::uint64_t> throttle_mask() const;
  // Seconds spent slowed since the driver was loaded: power_cap (field 74), sw_thermal (269), hw_thermal (270),
  // hw_power_brake (271).
  struct SlowedS {
    std::optional<double> power_cap, sw_thermal, hw_thermal, hw_power_brake;
  };
  SlowedS slowed_s() const;

  std::optional<double> power_limit_w() const;
  std::optional<double> default_power_limit_w() const;
  struct PowerRange {
    double least_w = 0.0, most_w = 0.0;
  };
  std::optional<PowerRange> power_limit_range() const;
  std::optional<bool> mig_enabled() const;
  std::optional<bool> persistence_enabled() const;
  std::optional<bool> ecc_enabled() const;
  std::optional<int> compute_processes() const;

  // Root only. Called by the guards of harness/caps/privileged.hpp, which put things back.
  void lock_sm_clock(double least_hz, double most_hz) const;
  void reset_sm_clock() const;
  void lock_memory_clock(double least_hz, double most_hz) const;
  void reset_memory_clock() const;
  void set_power_limit(double w) const;

 private:
  friend class Nvml;
  NvmlGpu(std::shared_ptr<const Nvml> nvml, void* handle) : nvml_(std::move(nvml)), handle_(handle) {}
  std::optional<double> field(unsigned id, unsigned scope, double* stamp_s = nullptr) const;
  const NvmlFunctions& api() const { return *nvml_->functions_; }

  std::shared_ptr<const Nvml> nvml_;
  void* handle_;
};

// "power_cap", "hw_slowdown", "sw_thermal", "hw_thermal", "hw_power_brake", "sync_boost", "applications_clocks",
// "display_clocks", "idle"; a bit without a name is "bit_<n>". Empty for 0.
std::vector<std::string> throttle_words(std::uint64_t mask);

}  // namespace chokepoint
