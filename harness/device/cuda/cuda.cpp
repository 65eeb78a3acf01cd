// NVIDIA GPUs as devices: discovery, facts, memory, streams, and a stopwatch of CUDA events.
//
// Links the static CUDA runtime, which loads the driver when first used: the program starts on machines
// without one. CUDA_VISIBLE_DEVICES (numbers or UUIDs) is the runtime's business: cuda:N counts what it shows.
#include <cuda_runtime.h>
#include <fmt/format.h>

#include <chrono>
#include <cstring>
#include <map>
#include <variant>

#include "harness/base/error.hpp"
#include "harness/base/gpu_driver.hpp"
#include "harness/device/cuda/background_copies.hpp"
#include "harness/device/cuda/background_traffic.hpp"
#include "harness/device/cuda/check.hpp"
#include "harness/device/cuda/green_context.hpp"
#include "harness/device/cuda/same_bytes.hpp"
#include "harness/device/cuda/short_copies.hpp"
#include "harness/device/cuda/timer.hpp"
#include "harness/device/cuda/timer_tick.hpp"
#include "harness/device/device.hpp"

namespace chokepoint {
namespace {

std::string version_text(int version) { return fmt::format("{}.{}", version / 1000, version % 1000 / 10); }

// "GPU-xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx", as nvidia-smi writes it.
std::string uuid_text(const cudaUUID_t& uuid) {
  std::string text = "GPU";
  for (int i = 0; i < 16; ++i) {
    if (i == 0 || i == 4 || i == 6 || i == 8 || i == 10) text += '-';
    text += fmt::format("{:02x}", static_cast<unsigned char>(uuid.bytes[i]));
  }
  return text;
}

DeviceFacts facts_of(int index) {
  cudaDeviceProp properties{};
  check(cudaGetDeviceProperties(&properties, index));
  int driver = 0, runtime = 0;
  check(cudaDriverGetVersion(&driver));
  check(cudaRuntimeGetVersion(&runtime));
  DeviceFacts facts;
  facts.kind = "cuda";
  facts.name = properties.name;
  facts.architecture = fmt::format("sm_{}{}", properties.major, properties.minor);
  facts.workers = properties.multiProcessorCount;
  facts.last_level_cache_bytes = properties.l2CacheSize;
  facts.memory_bytes = static_cast<std::int64_t>(properties.totalGlobalMem);
  facts.own_memory = true;
  facts.more = {{"cuda_driver", version_text(driver)},
                {"cuda_runtime", version_text(runtime)},
                {"uuid", uuid_text(properties.uuid)},
                {"pci_bus_id", fmt::format("{:08x}:{:02x}:{:02x}.0", properties.pciDomainID, properties.pciBusID,
                                           properties.pciDeviceID)},
                {"shared_memory_per_block_bytes", properties.sharedMemPerBlockOptin},
                {"ecc", properties.ECCEnabled != 0}};
  return facts;
}

class Stream {
 public:
  explicit Stream(bool first) {
    int least = 0, greatest = 0;
    check(cudaDeviceGetStreamPriorityRange(&least, &greatest));
    check(cudaStreamCreateWithPriority(&stream_, cudaStreamNonBlocking, first ? greatest : least));
  }
  ~Stream() { cudaStreamDestroy(stream_); }
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;
  cudaStream_t get() const { return stream_; }

 private:
  cudaStream_t stream_ = nullptr;
};

// A pair of events per sample of a block.
class EventPairs {
 public:
  ~EventPairs() {
    for (cudaEvent_t event : events_) cudaEventDestroy(event);
  }
  cudaEvent_t before(std::size_t i) { return event(2 * i); }
  cudaEvent_t after(std::size_t i) { return event(2 * i + 1); }
  double elapsed_s(std::size_t i) {
    float milliseconds = 0.0F;
    check(cudaEventElapsedTime(&milliseconds, before(i), after(i)));
    return static_cast<double>(milliseconds) * 1e-3;
  }

 private:
  cudaEvent_t event(std::size_t i) {
    while (events_.size() <= i) check(cudaEventCreate(&events_.emplace_back()));
    return events_[i];
  }
  std::vector<cudaEvent_t> events_;
};

// Samples that are enqueued behind a closed gate, at up to six operations each: far below the thousand or so that a stream
// holds before it makes the host wait, which would never open the gate.
constexpr std::size_t kMostInOneBlock = 64;

class Cuda final : public Device {
 public:
  explicit Cuda(int index) : index_(index), facts_((check(cudaSetDevice(index)), facts_of(index))) {
    facts_.more["samples_behind_gate"] = gate_.holds();
    const std::optional<TimerTick> tick = timer_tick(compute_.get());
    facts_.more["globaltimer_tick_ns"] = tick ? Json(tick->median_ns) : Json(nullptr);
    facts_.more["globaltimer_least_step_ns"] = tick ? Json(tick->least_ns) : Json(nullptr);
    events_.after(kMostInOneBlock - 1);  // all of them: none is made while background traffic flows
    turns_.after(0);
  }

  const DeviceFacts& facts() const override { return facts_; }

  double time_s(const std::function<void()>& work) override {
    check(cudaEventRecord(events_.before(0), places_.compute.stream));
    work();
    check(cudaEventRecord(events_.after(0), places_.compute.stream));
    check(cudaEventSynchronize(events_.after(0)));
    finish();
    return events_.elapsed_s(0);
  }

  double now_s() override {
    return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
  }

  std::unique_ptr<LaunchTimer> timer(std::vector<std::function<void()>> launches) override {
    return std::make_unique<CudaGraphTimer>(std::make_shared<TimedGraphs>(launches, places_.compute.stream));
  }

  std::vector<double> time_in_turn(std::span<LaunchTimer* const> order) override {
    std::vector<double> times;
    for (std::size_t first = 0; first < order.size(); first += kMostInOneBlock) {
      const auto block = order.subspan(first, std::min(kMostInOneBlock, order.size() - first));
      cudaEvent_t last = nullptr;
      gate_.close();
      try {
        cudaEvent_t turn = turns_.before(0);
        cudaStream_t of_turn = compute_.get();
        check(cudaEventRecord(turn, of_turn));
        for (std::size_t i = 0; i < block.size(); ++i) {
          auto& timer = dynamic_cast<CudaGraphTimer&>(*block[i]);
          if (timer.stream() != of_turn) check(cudaStreamWaitEvent(timer.stream(), turn));
          if (timer.before_sample) timer.before_sample(timer.stream());
          check(cudaEventRecord(events_.before(i), timer.stream()));
          timer.enqueue();
          check(cudaEventRecord(events_.after(i), timer.stream()));
          turn = events_.after(i);
          of_turn = timer.stream();
          if (!timer.after_sample) continue;
          timer.after_sample(of_turn);
          turn = turns_.after(0);  // a wait is for the latest record at its time: one event does for all
          check(cudaEventRecord(turn, of_turn));
        }
        last = turn;
      } catch (...) {
        gate_.open();
        throw;
      }
      gate_.open();
      check(cudaEventSynchronize(last));  // others may keep the device busy
      finish();
      for (std::size_t i = 0; i < block.size(); ++i)
        times.push_back(events_.elapsed_s(i) / block[i]->launches_per_sample());
    }
    return times;
  }

  // Of the lanes: background traffic on the device ends only when it is told to, and whoever tells it waits here.
  void finish() override {
    for (cudaStream_t stream : {compute_.get(), wire_.get(), places_.compute.stream, places_.wire.stream})
      check(cudaStreamSynchronize(stream));
  }

  std::shared_ptr<void> allocate(std::size_t bytes) override {
    void* memory = nullptr;
    check(cudaMalloc(&memory, std::max<std::size_t>(bytes, 16)));
    return {memory, [](void* address) { cudaFree(address); }};
  }

  void upload(void* to, const void* from, std::size_t bytes) override {
    const auto repeated = first_uploads_.find(from);
    const bool is_here = repeated != first_uploads_.end() && repeated->second.bytes == bytes;
    check(cudaMemcpyAsync(to, is_here ? repeated->second.at : from, bytes,
                          is_here ? cudaMemcpyDeviceToDevice : cudaMemcpyHostToDevice, compute_.get()));
    check(cudaStreamSynchronize(compute_.get()));
    if (repeated != first_uploads_.end() && repeated->second.at == nullptr) repeated->second = {to, bytes};
  }

  void expect_repeats(std::span<const void* const> arrays) override {
    first_uploads_.clear();
    for (const void* array : arrays) first_uploads_[array] = {};
  }

  void download(void* to, const void* from, std::size_t bytes) override {
    finish();
    check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToHost, compute_.get()));
    check(cudaStreamSynchronize(compute_.get()));
  }

  void set_bytes(void* to, int value, std::size_t bytes) override {
    finish();
    check(cudaMemsetAsync(to, value, bytes, compute_.get()));
    check(cudaStreamSynchronize(compute_.get()));
  }

  bool same_bytes(const void* a, const void* b, std::size_t bytes) override {
    finish();
    return comparer_.same(a, b, bytes);
  }

  void enqueue_copies(std::span<const DeviceCopy> copies, void* stream) override { copy_shortly(copies, stream); }

  void* stream(Lane lane) override { return place(lane).stream; }
  int multiprocessors(Lane lane) const override { return place(lane).multiprocessors; }
  bool lanes_are_apart() const override { return places_.apart; }

  std::unique_ptr<Restriction> restrict_multiprocessors(int wanted) override {
    return green_context(wanted, facts_.workers, places_);
  }
  std::unique_ptr<LanesApart> lanes_apart(int wire_multiprocessors) override {
    return green_lanes(wire_multiprocessors, facts_.workers, places_);
  }
  std::unique_ptr<BackgroundCopies> background_copies() override { return background_copies_on(index_); }
  std::unique_ptr<BackgroundTraffic> background_traffic(int multiprocessors) override {
    return background_traffic_on(multiprocessors);
  }

 private:
  struct FirstUpload {
    const void* at = nullptr;  // in the device's memory; null until it happens
    std::size_t bytes = 0;
  };

  const LanePlace& place(Lane lane) const { return lane == Lane::compute ? places_.compute : places_.wire; }

  int index_;
  DeviceFacts facts_;
  std::map<const void*, FirstUpload> first_uploads_;  // by host address
  Stream compute_{false}, wire_{true};
  LanePlaces places_{.compute = {compute_.get(), facts_.workers}, .wire = {wire_.get(), facts_.workers}};
  Gate gate_{compute_.get()};
  ByteComparer comparer_{compute_.get()};
  EventPairs events_;  // around samples
  EventPairs turns_;   // one: the gate was passed; what follows a sample is done
};

// The number of GPUs, or why there is none.
std::variant<int, GpuFault> discovered() {
  int count = 0;
  const cudaError_t code = cudaGetDeviceCount(&count);
  if (code == cudaSuccess) return count;
  CudaVersions versions;
  cudaDriverGetVersion(&versions.driver);
  cudaRuntimeGetVersion(&versions.runtime);
  return fault_of_discovery(code, cudaGetErrorString(code), versions);
}

std::unique_ptr<Device> open_gpu(int index) {
  const auto found = discovered();
  if (const GpuFault* fault = std::get_if<GpuFault>(&found)) throw Error(Fault::device, fault->what, fault->remedy);
  return std::make_unique<Cuda>(index);
}

const Register<DeviceDriver> driver{
    {.name = "cuda",
     .open = open_gpu,
     .describe = []() -> std::string {
       const auto found = discovered();
       if (const GpuFault* fault = std::get_if<GpuFault>(&found)) return fault->what + "; " + fault->remedy;
       const int count = std::get<int>(found);
       std::string text = fmt::format("{} device{}", count, count == 1 ? "" : "s");
       for (int i = 0; i < count; ++i) {
         const DeviceFacts facts = facts_of(i);
         text += fmt::format("; cuda:{} {}, {}, {} SMs, {:.0f} MiB L2, {:.1f} GiB, driver for CUDA {}", i, facts.name,
                             facts.architecture, facts.workers,
                             static_cast<double>(facts.last_level_cache_bytes) / (1 << 20),
                             static_cast<double>(facts.memory_bytes) / (1 << 30),
                             facts.more["cuda_driver"].get<std::string>());
       }
       return text;
     }}};

}  // namespace
}  // namespace chokepoint
