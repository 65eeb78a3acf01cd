// Which caps can be held on this device today? Each mechanism of a resource at some rates, and the multiprocessors
// that parts of a GPU really reach.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "harness/run/probe.hpp"

namespace chokepoint {

struct CapTrial {
  std::string mechanism;
  double requested = 0.0;
  std::optional<double> delivered;  // absent when it was not tried or did not work
  std::string why;                  // of that
};

// Rates worth trying: of an H800's links and below on a GPU, shares of the ceiling elsewhere.
std::vector<double> rates_to_try(Resource resource, double ceiling, const DeviceFacts& facts);

// Every mechanism of the resource here at each of the rates. A rate that leaves it too little headroom is refused as the
// plan of a run would refuse it.
std::vector<CapTrial> try_caps(Prober& prober, const DeviceFacts& facts, Resource resource, Dtype dtype,
                               double ceiling, const std::vector<double>& rates);

struct PartitionTrial {
  int wanted = 0;
  std::optional<int> granted;
  std::vector<int> ran_on;          // ids of multiprocessors
  bool within = false;              // it ran on no more than it may
  std::optional<double> delivered;  // rate of the fastest kernel in it
  std::string why;                  // what went wrong, if anything
};

// Parts of 8, 24, 64 and 104 multiprocessors, and all of them; empty on devices that have none.
std::vector<PartitionTrial> try_partitions(Device& device, Prober& prober, Dtype dtype, double ceiling);

struct TrafficTrial {
  int wanted = 0;                // multiprocessors
  std::optional<int> granted;
  std::optional<double> most;    // bytes per second that they move alone when nothing holds them
  std::optional<double> asked;   // half of it
  std::optional<double> moved;   // when that was asked for
  std::string why;               // what went wrong, if anything
};

// Copies by 8, 16, 32 and half of the multiprocessors, with nothing beside them; empty on devices that have none.
std::vector<TrafficTrial> try_traffic(Device& device);

}  // namespace chokepoint
