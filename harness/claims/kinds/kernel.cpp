// kernel: rate of one kernel at one shape, from what others than the claimant measured.
#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "harness/base/error.hpp"
#include "harness/base/strings.hpp"
#include "harness/claims/claim_kernels.hpp"

namespace chokepoint {
namespace {

const std::vector<std::string> kOps = {"gemm_fp8", "gemm_bf16", "mla_decode"};
const std::vector<std::string> kKernelNumbers = {"tflops", "seconds"};

std::int64_t whole(double value) { return static_cast<std::int64_t>(value + 0.5); }

Dtype dtype_of(const std::string& op) { return op == "gemm_fp8" ? Dtype::fp8_e4m3 : Dtype::bf16; }

Shape gemm_shape(const Claim& claim) {
  Shape shape;
  for (const char* field : {"m", "n", "k"}) {
    if (!claim.model.has(field)) claim.reject("model", fmt::format("has no {}", field), "name m, n and k");
    shape.set(field, whole(*claim.model.number(field)));
  }
  return shape;
}

Shape mla_shape(const Claim& claim, double context) {
  return {{"mode", "decode"},
          {"batch", whole(claim.model.number("batch", 128.0))},
          {"context", whole(context)},
          {"heads_q", whole(claim.model.number("heads", 128.0))},
          {"qk_dim", std::int64_t{576}},
          {"v_dim", std::int64_t{512}}};
}

// FLOP of one launch: a product, or every head's scores and values over the cache.
double flop_in(const Claim& claim, const Shape& shape) {
  if (claim.model.text("op") != "mla_decode")
    return 2.0 * static_cast<double>(shape["m"]) * static_cast<double>(shape["n"]) * static_cast<double>(shape["k"]);
  return 2.0 * static_cast<double>(shape["batch"]) * static_cast<double>(shape["heads_q"]) *
         static_cast<double>(shape["context"]) * static_cast<double>(shape["qk_dim"] + shape["v_dim"]);
}

double bytes_in(const Claim& claim, const Shape& shape) {
  const std::string op = claim.model.text("op");
  const auto size = [&](const char* field) { return static_cast<double>(shape[field]); };
  if (op == "mla_decode") return size("batch") * size("context") * 2.0 * size("qk_dim");
  const double input = op == "gemm_fp8" ? 1.0 : 2.0;
  return input * (size("m") + size("n")) * size("k") + 2.0 * size("m") * size("n");
}

struct Found {
  double time_s = 0.0, flop = 0.0;
  double bytes = 0.0;  // of memory, every input read once and the output written once
  std::vector<const KernelRow*> rows;
};

std::optional<Found> found_at(const Scene& scene, const KernelTable& table, const Shape& shape) {
  const bool is_mla = scene.claim.model.text("op") == "mla_decode";
  try {
    const KernelTime time = is_mla ? table.between("attention", shape, Dtype::bf16, {"batch", "context"})
                                   : table.between("matmul", shape, dtype_of(scene.claim.model.text("op")), {"m"});
    return Found{time.time_s, flop_in(scene.claim, shape), bytes_in(scene.claim, shape), time.rows};
  } catch (const Error&) {
    return std::nullopt;  // said as what is missing, with the shape
  }
}

// The fastest of the claim's shapes: several contexts are given where the claim is about the best of them.
std::optional<Found> best_of(const Scene& scene, const KernelTable& table) {
  std::vector<Shape> shapes;
  if (scene.claim.model.text("op") == "mla_decode") {
    std::vector<double> contexts = scene.claim.model.numbers("ctx");
    if (contexts.empty()) contexts = {8192.0};
    for (double context : contexts) shapes.push_back(mla_shape(scene.claim, context));
  } else {
    shapes.push_back(gemm_shape(scene.claim));
  }
  std::optional<Found> best;
  for (const Shape& shape : shapes) {
    const std::optional<Found> found = found_at(scene, table, shape);
    if (found && (!best || found->flop / found->time_s > best->flop / best->time_s)) best = found;
  }
  return best;
}

void check_kernel(const Claim& claim) {
  const std::string op = claim.model.text("op");
  if (op.empty()) claim.reject("model", "names no op", "add \"op\": " + joined(kOps, ", "));
  if (std::find(kKernelNumbers.begin(), kKernelNumbers.end(), claim.quantity.name) == kKernelNumbers.end())
    claim.reject("quantity/name", fmt::format("is \"{}\", which no kernel gives", claim.quantity.name),
                 suggestion(claim.quantity.name, kKernelNumbers));
}

// On a machine whose rates were set: what bound the kernel stretches its time, and the other one is a floor.
double time_on(const Found& found, const Machine& machine) {
  const double compute = set_ratio(machine, Resource::compute), memory = set_ratio(machine, Resource::memory);
  const double memory_rate = machine.nominal(Resource::memory), floor_s = found.bytes / memory_rate;
  const double ridge = machine.nominal(Resource::compute) / compute / (memory_rate / memory);
  const bool is_compute_bound = found.flop / found.bytes > ridge;
  return is_compute_bound ? std::max(found.time_s / compute, floor_s) : found.time_s / memory;
}

bool is_measured_here(const Found& found) {
  return std::all_of(found.rows.begin(), found.rows.end(),
                     [](const KernelRow* row) { return row->grade == Grade::a || row->grade == Grade::b; });
}

Assumption spread_of_builds(const Found& found) {
  if (is_measured_here(found))
    return {"repeats", 1.0, 0.97, 1.03, "derived", "cards and clocks of one kind differ by a few percent between runs",
            {}};
  return {"builds",
          1.0,
          0.9,
          1.1,
          "prior",
          "rate of the claim's build over the build that was measured: a month changed this by 5 % (DeepGEMM, 2025)",
          {}};
}

Prepared prepare_kernel(const Scene& scene) {
  Prepared prepared;
  check_kernel(scene.claim);
  if (!scene.machine) {
    prepared.missing.push_back("hardware, the machine that computed");
    return prepared;
  }
  const auto table = kernels_for(scene, false);
  const std::optional<Found> found = best_of(scene, *table);
  if (!found) {
    prepared.missing.push_back(
        fmt::format("a row for this shape on {} that the claimant did not publish", scene.machine->id));
    return prepared;
  }
  const bool is_time = scene.claim.quantity.name == "seconds";
  prepared.base_unit = is_time ? "s" : "FLOP/s";
  add_kernel_inputs(*table, found->rows, prepared);
  const Assumption spread = spread_of_builds(*found);
  prepared.assumptions = {spread};
  if (is_measured_here(*found))
    prepared.notes.push_back(
        "measured with a kernel of this program, which need not be the claimant's: see its source");
  prepared.notes.push_back("the claimant's own rows are left out: a claim is no evidence for itself");
  prepared.uses = {Resource::compute, Resource::memory};
  const double flop = found->flop, rate = flop / time_on(*found, *scene.machine);
  prepared.predict = [=](const Drawn& drawn) {
    const double drawn_rate = rate * drawn[spread.key];
    return std::vector{is_time ? flop / drawn_rate : drawn_rate};
  };
  return prepared;
}

const Register<Derivation> kernel_derivation{
    {.name = "kernel",
     .summary = "rate of one kernel at one shape, as others measured it",
     .settings = {{"op", SettingKind::text, 0.0, {"gemm_fp8", "gemm_bf16", "mla_decode"}},
                  {"m"},
                  {"n"},
                  {"k"},
                  {"heads"},
                  {"batch"},
                  {"ctx", SettingKind::numbers}},
     .assumption_keys = {"builds", "repeats"},
     .prepare = prepare_kernel}};

}  // namespace
}  // namespace chokepoint
