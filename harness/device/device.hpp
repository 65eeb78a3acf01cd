// What does the harness need from a machine that runs kernels? Its name, its facts, a stopwatch around
// launches, and its memory where that is not the host's.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "harness/base/json.hpp"
#include "harness/base/registry.hpp"

namespace chokepoint {

// What is known about a device; absent facts are absent.
struct DeviceFacts {
  std::string kind;  // "cpu", "cuda", "fake"
  std::string name;  // marketing name
  std::string
      architecture;  // "x86_64/avx512", "sm_90"; same architecture as a profile allows basis `emulated`
  int workers = 1;   // threads or SMs
  std::int64_t last_level_cache_bytes = 0;
  std::int64_t memory_bytes = 0;
  bool own_memory = false;  // kernels work on memory of the device: inputs are uploaded, outputs downloaded
  Json more = Json::object();
};

// What is enqueued right before or right after a sample, outside of what is timed. `stream` is that of the sample; null
// where nothing is enqueued.
using BesideSample = std::function<void(void* stream)>;

// One repeatable piece of work, as a device times it: launches over copies of one problem, taken in turn, so
// that no cache flatters them.
class LaunchTimer {
 public:
  virtual ~LaunchTimer() = default;
  // Launches between two readings of the clock: 1, or more where one is too short to be timed alone.
  virtual int launches_per_sample() const = 0;
  // The next sample begins with the first launch again, whoever of those beside each other takes it.
  virtual void start_over() = 0;
  // Another timer of the same launches. All that are beside each other take turns through the copies (copy_turns.hpp).
  virtual std::unique_ptr<LaunchTimer> beside() = 0;

  BesideSample before_sample, after_sample;  // may be empty
};

// Some bytes within a device's memory; the two places do not overlap, and are aligned to 8 bytes.
struct DeviceCopy {
  void* to = nullptr;
  const void* from = nullptr;
  std::size_t bytes = 0;  // a multiple of 8
};

// Streams of a device that enqueues. `wire` has the higher priority: transfers start while kernels compute.
enum class Lane { compute, wire };

// Some of a device's multiprocessors, and no others, for what is enqueued while it is entered. Timers made then
// stay restricted, so that restricted and free ones can be taken in turn. Given back on destruction, which comes
// after that of those timers and before that of the device.
class Restriction {
 public:
  virtual ~Restriction() = default;
  virtual int multiprocessors() const = 0;  // granted: what was wanted, rounded up to what the hardware can split
  virtual std::vector<int> ran_on() = 0;    // ids, ascending, of those that work enough for all of them ran on
  virtual void enter() = 0;                 // stream(Lane::compute) leads here
  virtual void leave() noexcept = 0;
};

// The lanes on multiprocessors of their own, so that what a wire carries does not wait for those that products hold. Both
// parts are taken from what the compute lane reaches when this is made: all, or those of a restriction, which then has
// to outlive it. For the rest as a restriction: it acts while it is entered, and on timers made then.
class LanesApart {
 public:
  virtual ~LanesApart() = default;
  virtual int multiprocessors(Lane lane) const = 0;
  virtual std::vector<int> ran_on(Lane lane) = 0;  // as of a restriction, of work that is timed
  virtual void enter() = 0;                        // both lanes lead here
  virtual void leave() noexcept = 0;
};

// Copies within a device's memory beside its launches, on a stream of their own. May be used by a thread other
// than that of the device, by one at a time.
class BackgroundCopies {
 public:
  virtual ~BackgroundCopies() = default;                // waits for what is in flight
  virtual void enqueue(std::size_t moved_bytes) = 0;    // read plus written; returns at once
  virtual std::size_t take_done_bytes() = 0;            // moved since the last call
};

// Copies within a device's memory by some of its multiprocessors, those that a restriction takes last, at a rate that
// they keep by themselves. One that is not stopped ends by itself after some seconds, and says so.
class BackgroundTraffic {
 public:
  virtual ~BackgroundTraffic() = default;              // stops
  virtual int multiprocessors() const = 0;             // granted: at least what was wanted
  virtual void start(double bytes_per_s) = 0;          // read plus written; returns once it flows
  virtual void stop() noexcept = 0;                    // returns once it does not
  // In all runs so far that were stopped. Throws what they met, an end of their own included.
  virtual double moved_bytes() = 0;
};

class Device {
 public:
  virtual ~Device() = default;
  virtual const DeviceFacts& facts() const = 0;

  // Runs `work` once and returns how long it took in seconds of the device's best clock; throws what `work`
  // throws.
  virtual double time_s(const std::function<void()>& work) = 0;

  // Seconds since some fixed moment, for budgets and warm-up; steady.
  virtual double now_s() = 0;

  // A timer over `launches` (not empty), which have to outlive it. The defaults time one launch per sample
  // with time_s.
  virtual std::unique_ptr<LaunchTimer> timer(std::vector<std::function<void()>> launches);

  // One sample of each timer, in this order and without a pause: seconds per launch. The timers are this
  // device's own.
  virtual std::vector<double> time_in_turn(std::span<LaunchTimer* const> order);

  // Blocks until all that was enqueued is done, except what flows in the background; reports faults of kernels.
  // Throws Error{device}.
  virtual void finish() {}

  // Memory where kernels of this device work; freed with its last owner. Throws Error{device} when there is
  // not enough. The defaults are the host's memory.
  virtual std::shared_ptr<void> allocate(std::size_t bytes);
  virtual void upload(void* to, const void* from, std::size_t bytes);    // from the host; blocks
  // These host arrays will be uploaded often and do not change, nor does what their first upload writes: the others may
  // be copies of it within the device. Until the next call, which has to come before that first upload is freed.
  virtual void expect_repeats(std::span<const void* const> /*arrays*/) {}
  virtual void download(void* to, const void* from, std::size_t bytes);  // to the host; waits for launches
  virtual void set_bytes(void* to, int value, std::size_t bytes);        // as memset; waits for launches

  // Whether two stretches of this device's memory, which begin at a multiple of 16 bytes, hold the same; waits for launches.
  virtual bool same_bytes(const void* a, const void* b, std::size_t bytes);

  // Short copies, in order with what else is enqueued on `stream`, not among each other; at once where that is null.
  virtual void enqueue_copies(std::span<const DeviceCopy> copies, void* stream);

  // Where launches are enqueued (a cudaStream_t); null where nothing is.
  virtual void* stream(Lane) { return nullptr; }

  // Multiprocessors that work on a lane reaches now: all, or those of what is entered.
  virtual int multiprocessors(Lane) const { return facts().workers; }
  virtual bool lanes_are_apart() const { return false; }

  // These throw Error{unsupported} where there is no such thing.
  virtual std::unique_ptr<Restriction> restrict_multiprocessors(int wanted);
  // About so many for the wire, the others for compute.
  virtual std::unique_ptr<LanesApart> lanes_apart(int wire_multiprocessors);
  virtual std::unique_ptr<BackgroundCopies> background_copies();
  virtual std::unique_ptr<BackgroundTraffic> background_traffic(int multiprocessors);
};

// How to reach a kind of device; registered from the file that implements it.
struct DeviceDriver {
  std::string name;  // "cpu", "cuda"
  // Throws Error{device} with a remedy when it is not there. `index` is N of "cuda:N".
  std::function<std::unique_ptr<Device>(int index)> open;
  // One line for `doctor`: what was found, or what is missing and how to get it.
  std::function<std::string()> describe;
};

// "cpu" or "cuda:1". Throws Error{config} for an unknown kind, Error{device} when it cannot be opened.
std::unique_ptr<Device> open_device(const std::string& name);

}  // namespace chokepoint
