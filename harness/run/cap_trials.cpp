#include "harness/run/cap_trials.hpp"

#include <fmt/format.h>

#include <chrono>
#include <thread>

#include "harness/base/error.hpp"
#include "harness/device/multiprocessors.hpp"

namespace chokepoint {
namespace {

constexpr int kRepeats = 5;
// Of one transfer: on a CPU as long as the scheduler's disturbances, on a GPU as short as clocks allow.
double seconds_on(const DeviceFacts& facts) { return facts.own_memory ? 0.02 : 0.1; }
// Per direction: an H800's effective range and its datasheet figure; a NIC of 200 and of 400 Gbit/s.
constexpr double kLinkRates[] = {100e9, 143e9, 160e9, 200e9};
constexpr double kNetworkRates[] = {25e9, 50e9};
constexpr double kMemoryShares[] = {0.5, 0.7, 0.9};
constexpr double kShares[] = {0.1, 0.5};  // of other ceilings
constexpr int kPartitions[] = {8, 24, 64, 104};
constexpr int kTrafficPartitions[] = {8, 16, 32};
constexpr std::chrono::milliseconds kTraffic{100};
constexpr double kUnheld_bytes_per_s = 1e14;  // more than any memory

std::vector<double> shares_of(double ceiling, std::span<const double> shares) {
  std::vector<double> rates;
  for (double share : shares) rates.push_back(share * ceiling);
  return rates;
}

CapTrial try_cap(Prober& prober, const DeviceFacts& facts, const Cap& cap, const CapPlan& plan, Dtype dtype) {
  CapTrial trial{cap.mechanism, plan.requested, std::nullopt, {}};
  if (plan.headroom() < cap.least_headroom) {
    trial.why = fmt::format("refused: {:.2f}x headroom, it needs {}x", plan.headroom(), cap.least_headroom);
    return trial;
  }
  try {
    trial.delivered = prober.delivered(prober.tuned(plan, dtype, cap), dtype, seconds_on(facts), kRepeats, &cap);
  } catch (const Error& error) {
    trial.why = error.message();
  }
  return trial;
}

void try_partition(Device& device, Prober& prober, const Cap& cap, CapPlan plan, Dtype dtype,
                   PartitionTrial& trial) {
  try {
    {
      const std::unique_ptr<Restriction> restriction = device.restrict_multiprocessors(trial.wanted);
      trial.granted = restriction->multiprocessors();
      trial.ran_on = restriction->ran_on();
      trial.within = within_partition(trial.ran_on, *trial.granted);
    }
    plan.setting = trial.wanted;
    trial.delivered = prober.delivered(plan, dtype, seconds_on(device.facts()), kRepeats, &cap);
  } catch (const Error& error) {
    trial.why = error.message();
  }
}

double moved_per_s(Device& device, BackgroundTraffic& traffic, double asked) {
  const double before = traffic.moved_bytes(), begin_s = device.now_s();
  traffic.start(asked);
  std::this_thread::sleep_for(kTraffic);
  traffic.stop();
  const double elapsed_s = device.now_s() - begin_s;
  return (traffic.moved_bytes() - before) / elapsed_s;
}

TrafficTrial try_traffic(Device& device, int wanted) {
  TrafficTrial trial{.wanted = wanted};
  try {
    const std::unique_ptr<BackgroundTraffic> traffic = device.background_traffic(wanted);
    trial.granted = traffic->multiprocessors();
    trial.most = moved_per_s(device, *traffic, kUnheld_bytes_per_s);
    trial.asked = *trial.most / 2;
    trial.moved = moved_per_s(device, *traffic, *trial.asked);
  } catch (const Error& error) {
    trial.why = error.message();
  }
  return trial;
}

}  // namespace

std::vector<double> rates_to_try(Resource resource, double ceiling, const DeviceFacts& facts) {
  if (!facts.own_memory) return shares_of(ceiling, kShares);
  switch (resource) {
    case Resource::memory: return shares_of(ceiling, kMemoryShares);
    case Resource::link: return {std::begin(kLinkRates), std::end(kLinkRates)};
    case Resource::network: return {std::begin(kNetworkRates), std::end(kNetworkRates)};
    default: return shares_of(ceiling, kShares);
  }
}

std::vector<CapTrial> try_caps(Prober& prober, const DeviceFacts& facts, Resource resource, Dtype dtype,
                               double ceiling, const std::vector<double>& rates) {
  std::vector<CapTrial> trials;
  for (bool clock : {true, false})
    for (const Cap* cap : find_caps(resource, facts.kind, clock))
      for (double rate : rates) {
        if (!clock && rate != rates.front()) continue;  // a setting is searched for, which takes long: once
        const CapPlan plan{.demand = {.resource = resource}, .requested = rate, .ceiling = ceiling};
        trials.push_back(try_cap(prober, facts, *cap, plan, dtype));
      }
  return trials;
}

std::vector<PartitionTrial> try_partitions(Device& device, Prober& prober, Dtype dtype, double ceiling) {
  std::vector<PartitionTrial> trials;
  const Cap* cap = find_cap(Resource::compute, device.facts().kind, false);
  if (cap == nullptr) return trials;
  const int total = device.facts().workers;
  for (int wanted : kPartitions)
    if (wanted < total) trials.push_back({.wanted = wanted});
  trials.push_back({.wanted = total});
  for (PartitionTrial& trial : trials) {
    const CapPlan plan{.demand = {.resource = Resource::compute},
                       .requested = ceiling * trial.wanted / total,
                       .ceiling = ceiling};
    try_partition(device, prober, *cap, plan, dtype, trial);
  }
  return trials;
}

std::vector<TrafficTrial> try_traffic(Device& device) {
  std::vector<TrafficTrial> trials;
  if (find_caps(Resource::memory, device.facts().kind, false).empty()) return trials;
  const int half = device.facts().workers / 2;
  for (int wanted : kTrafficPartitions)
    if (wanted < half) trials.push_back(try_traffic(device, wanted));
  trials.push_back(try_traffic(device, half));
  return trials;
}

}  // namespace chokepoint
