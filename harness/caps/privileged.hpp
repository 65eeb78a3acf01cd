// How are knobs that only root may turn changed and put back on every way out? Guards held by the parent process:
// they outlive a child that is killed, and SIGINT, SIGTERM, SIGHUP, SIGQUIT and exit() put everything back before
// the process ends. A SIGKILL of the parent itself cannot be survived: `nvidia-smi -rgc -rmc` undoes that.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <utility>

#include "harness/meters/nvml.hpp"

namespace chokepoint {

// The user's word that clocks and limits may be changed. Only the flag --allow-privileged makes one.
class PrivilegedConsent {
 public:
  static std::optional<PrivilegedConsent> from_flag(bool allow_privileged) {
    return allow_privileged ? std::optional(PrivilegedConsent()) : std::nullopt;
  }

 private:
  PrivilegedConsent() = default;
};

// Puts one knob back when destroyed; moves, never copies.
class PrivilegedGuard {
 public:
  PrivilegedGuard(PrivilegedGuard&& other) noexcept : id_(std::exchange(other.id_, 0)) {}
  PrivilegedGuard& operator=(PrivilegedGuard&& other) noexcept;
  // A refusal goes to standard error: nothing may throw here.
  ~PrivilegedGuard();

  // Puts the knob back now. Throws Error{device} when the driver refuses.
  void restore();

 private:
  explicit PrivilegedGuard(std::uint64_t id) : id_(id) {}
  friend class PrivilegedKnobs;
  std::uint64_t id_;  // 0: holds nothing
};

// All throw Error{device} with a remedy when the driver refuses (no permission, not supported, out of range).
class PrivilegedKnobs {
 public:
  PrivilegedKnobs(PrivilegedConsent consent, NvmlGpu gpu);

  // Restored by a reset: a lock that somebody set before is lost, since NVML does not tell it.
  [[nodiscard]] PrivilegedGuard lock_sm_clock(double least_hz, double most_hz);
  [[nodiscard]] PrivilegedGuard lock_memory_clock(double least_hz, double most_hz);
  // Restored to what was set before.
  [[nodiscard]] PrivilegedGuard limit_power(double w);
  // System-wide, see Nvml::nvlink_bandwidth_mode; refused while any process holds peer-to-peer mappings.
  [[nodiscard]] PrivilegedGuard set_nvlink_bandwidth_mode(unsigned mode);

 private:
  PrivilegedGuard hold(const std::function<void()>& turn, std::function<void()> put_back);
  NvmlGpu gpu_;
};

}  // namespace chokepoint
