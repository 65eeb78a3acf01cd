// a2a: rates and times of one all-to-all of an expert layer, from rows, bytes and the two kinds of wire.
#include <fmt/format.h>

#include <algorithm>

#include "harness/base/error.hpp"
#include "harness/base/strings.hpp"
#include "harness/claims/derivation.hpp"
#include "harness/claims/routing_volumes.hpp"
#include "harness/claims/transfer_time.hpp"

namespace chokepoint {
namespace {

constexpr std::int64_t kGpusPerNode = 8;  // of all H800 and H100 nodes here

// A rate that counts copies to the own node is logical; what crosses the wire is physical. Each has its own name.
const std::vector<std::string> kA2ANumbers = {"logical_rdma_gbps", "physical_rdma_gbps", "seconds"};

struct Exchange {
  TransferRows rows;
  std::int64_t nodes = 1;
  double dispatch_bytes = 0.0, combine_bytes = 0.0;  // of a row
  double network_bytes_per_s = 0.0, link_bytes_per_s = 0.0;
  std::string number;
};

double a2a_value_of(const Exchange& exchange, double row_bytes, const Drawn& drawn) {
  const WireRates rates{.network_bytes_per_s = exchange.network_bytes_per_s,
                        .link_bytes_per_s = exchange.link_bytes_per_s,
                        .network_efficiency = std::min(1.0, drawn["network_efficiency"]),
                        .link_efficiency = std::min(1.0, drawn["link_efficiency"])};
  const double time_s = transfer_time(exchange.rows, row_bytes, rates).time_s;
  if (exchange.number == "seconds") return time_s;
  const PhysicalRate wire{exchange.rows.network.rows * row_bytes / time_s};
  return exchange.number == "physical_rdma_gbps" ? wire.bytes_per_s : logical(wire, exchange.nodes).bytes_per_s;
}

std::vector<double> predict(const Exchange& exchange, const Drawn& drawn) {
  return {a2a_value_of(exchange, exchange.dispatch_bytes, drawn),
          a2a_value_of(exchange, exchange.combine_bytes, drawn)};
}

Dtype format_of(const Claim& claim, const std::string& key, const std::string& fallback) {
  return claim.model.text(key, fallback) == "fp8" ? Dtype::fp8_e4m3 : Dtype::bf16;
}

Exchange exchange_of(const Scene& scene) {
  const Claim& claim = scene.claim;
  Exchange exchange;
  exchange.number = claim.quantity.name;
  const auto ep = static_cast<std::int64_t>(claim.system.number("ep", claim.model.number("ep", 64.0)));
  exchange.nodes = ep / kGpusPerNode;
  const double visited = std::min(claim.model.number("nodes_limit", 4.0), static_cast<double>(exchange.nodes));
  const auto experts = static_cast<std::int64_t>(claim.model.number("experts", 256.0));
  const auto per_node = static_cast<std::int64_t>(claim.model.number("topk", 8.0) / visited);
  const RankPlacement placement{.nodes = exchange.nodes, .gpus_per_node = kGpusPerNode};
  const double gpus = distinct_bins(experts / exchange.nodes, kGpusPerNode, per_node);
  exchange.rows = transfer_rows(claim.model.number("tokens", 4096.0), visited, gpus, placement);
  const auto hidden = static_cast<std::int64_t>(claim.model.number("hidden", 7168.0));
  exchange.dispatch_bytes = row_bytes(hidden, format_of(claim, "dispatch", "fp8"));
  exchange.combine_bytes = row_bytes(hidden, format_of(claim, "combine", "bf16"));
  exchange.network_bytes_per_s = scene.machine->nominal(Resource::network);
  exchange.link_bytes_per_s = scene.machine->nominal(Resource::link);
  return exchange;
}

void check_a2a(const Claim& claim) {
  if (std::find(kA2ANumbers.begin(), kA2ANumbers.end(), claim.quantity.name) == kA2ANumbers.end())
    claim.reject("quantity/name", fmt::format("is \"{}\", which no all-to-all gives", claim.quantity.name),
                 suggestion(claim.quantity.name, kA2ANumbers));
  const auto ep = static_cast<std::int64_t>(claim.system.number("ep", claim.model.number("ep", 64.0)));
  if (ep % kGpusPerNode != 0 || ep < 2 * kGpusPerNode)
    claim.reject("system/ep", fmt::format("is {}; nothing crosses the network, or nodes are not full", ep),
                 "take a multiple of 8, at least 16");
}

// The same wire counted in the other way: the trap.
void add_alternative(const Exchange& exchange, Prepared& prepared) {
  if (exchange.number == "seconds") return;
  Exchange other = exchange;
  const bool is_logical = exchange.number == "logical_rdma_gbps";
  other.number = is_logical ? "physical_rdma_gbps" : "logical_rdma_gbps";
  prepared.alternatives.push_back(
      {fmt::format("copies to the own node {}", is_logical ? "left out (physical)" : "counted (logical)"),
       [other](const Drawn& drawn) { return predict(other, drawn); }});
}

Prepared prepare_a2a(const Scene& scene) {
  Prepared prepared;
  if (!scene.machine) {
    prepared.missing.push_back("hardware, the machine that exchanged");
    return prepared;
  }
  check_a2a(scene.claim);
  const Exchange exchange = exchange_of(scene);
  prepared.rows = {"dispatch", "combine"};
  prepared.base_unit = exchange.number == "seconds" ? "s" : "B/s";
  prepared.assumptions = {
      {"network_efficiency",
       0.88,
       0.8,
       0.97,
       "published",
       "of a 400 Gb/s NIC: 40 GB/s (DeepEP, low-latency plateau) to 48.5 GB/s (SimAI cef83f9, bus bandwidth)",
       {}},
      {"link_efficiency", 0.8, 0.75, 0.85, "published", "DeepEP docs/legacy.md: about 160 of 200 GB/s on NVLink", {}}};
  for (const Resource resource : {Resource::network, Resource::link})
    prepared.inputs.push_back({"machine." + std::string(to_string(resource)), scene.machine->nominal(resource), "B/s",
                               Grade::c, scene.machine->rate[resource].source});
  prepared.inputs.push_back({"a2a.dispatch.rows", exchange.rows.network.rows, "rows over the network", Grade::c,
                             "closed form: tokens x nodes per token, less the own node"});
  prepared.uses = {Resource::network, Resource::link};
  add_alternative(exchange, prepared);
  prepared.notes.push_back(
      fmt::format("logical rates count the own node: x{:.3f} of what crosses the wire between {} nodes",
                  static_cast<double>(exchange.nodes) / static_cast<double>(exchange.nodes - 1), exchange.nodes));
  prepared.predict = [exchange](const Drawn& drawn) { return predict(exchange, drawn); };
  return prepared;
}

const Register<Derivation> a2a_derivation{{.name = "a2a",
                                           .summary = "one all-to-all of an expert layer, from rows, bytes and wires",
                                           .settings = {{"tokens"},
                                                        {"hidden"},
                                                        {"nodes_limit"},
                                                        {"topk"},
                                                        {"experts"},
                                                        {"ep"},
                                                        {"dispatch", SettingKind::text, 0.0, {"fp8", "bf16"}},
                                                        {"combine", SettingKind::text, 0.0, {"fp8", "bf16"}}},
                                           .assumption_keys = {"network_efficiency", "link_efficiency"},
                                           .prepare = prepare_a2a}};

}  // namespace
}  // namespace chokepoint
