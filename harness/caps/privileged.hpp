// How are knobs that only root may turn changed, and put back on every way out? By a process of its own, the keeper
// (privileged_keeper.hpp): it turns them when asked, and puts them back when asked or when the process that asked has
// ended, whatever ended it. Nothing outlives the end of the container or machine, or a SIGKILL of the keeper itself:
// `nvidia-smi -rgc -rmc` then unlocks the clocks.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>

namespace chokepoint {

struct KnobRequest;

// The user's word that clocks and limits may be changed. Only the flag --allow-privileged makes one.
class PrivilegedConsent {
 public:
  static std::optional<PrivilegedConsent> from_flag(bool allow_privileged) {
    return allow_privileged ? std::optional(PrivilegedConsent()) : std::nullopt;
  }

 private:
  PrivilegedConsent() = default;
};

// `gpu` is a bus id or UUID, as Nvml::find takes it. All throw Error{device} with a remedy when the driver refuses (no
// permission, not supported, out of range); nothing is changed then.
class PrivilegedKnobs {
 public:
  // Starts the keeper, by a fork: has to come before this process opens NVML or CUDA or starts a thread. Nothing is
  // opened and nothing turned yet.
  explicit PrivilegedKnobs(PrivilegedConsent consent);
  // Puts back what is turned. A refusal goes to standard error: nothing may throw here.
  ~PrivilegedKnobs();
  PrivilegedKnobs(const PrivilegedKnobs&) = delete;
  PrivilegedKnobs& operator=(const PrivilegedKnobs&) = delete;

  // To one clock or to a range, whose ends need not be clocks that the GPU supports: it then runs at what it supports
  // between them. Put back by a reset: a lock that somebody set before is lost, since NVML does not tell it.
  void lock_sm_clock(const std::string& gpu, double least_hz, double most_hz);
  void lock_memory_clock(const std::string& gpu, double least_hz, double most_hz);
  // Put back to what was set before.
  void limit_power(const std::string& gpu, double w);
  // System-wide, see Nvml::nvlink_bandwidth_mode; refused while any process holds peer-to-peer mappings.
  void set_nvlink_bandwidth_mode(unsigned mode);

  // All of them, last first. What the driver refuses to put back is tried again when this is destroyed.
  void put_back();

 private:
  void ask(const KnobRequest& request) const;

  int socket_ = -1;  // to the keeper, which takes its closing for our end
  pid_t keeper_ = -1;
};

}  // namespace chokepoint
