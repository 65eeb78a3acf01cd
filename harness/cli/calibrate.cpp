// `calibrate`: what this device delivers of each resource today, and whether each cap can be held.
#include <fmt/format.h>

#include "harness/base/units.hpp"
#include "harness/caps/cap.hpp"
#include "harness/cli/command.hpp"
#include "harness/run/probe.hpp"

namespace chokepoint {
namespace {

constexpr double kSeconds = 0.5;          // of uncapped runs per resource
constexpr double kShares[] = {0.1, 0.5};  // of the ceiling, at which a cap is tried

struct Held {
  double requested, delivered;
};

std::string unit_text(Resource resource) { return fmt::format("{}/s", unit_of(resource)); }

std::vector<Held> try_cap(Prober& prober, Resource resource, Dtype dtype, double ceiling) {
  std::vector<Held> held;
  for (double share : kShares) {
    const CapPlan plan{.demand = {.resource = resource}, .requested = share * ceiling, .ceiling = ceiling};
    held.push_back({plan.requested, prober.delivered(plan, dtype, 0.1, 5)});
  }
  return held;
}

void calibrate_device(const std::string& device_name, Session& session) {
  const std::unique_ptr<Device> device = open_device(device_name);
  if (!session.json) fmt::print("{}: {}\n", device_name, device->facts().name);
  Prober prober(*device);
  Json json = Json::array();
  for (Resource resource : kResources)
    for (Dtype dtype : {Dtype::f32, Dtype::bf16, Dtype::fp8_e4m3}) {
      if (resource != Resource::compute && dtype != Dtype::f32) continue;
      const std::string name = resource == Resource::compute
                                   ? fmt::format("{} {}", to_string(resource), to_string(dtype))
                                   : std::string(to_string(resource));
      const std::optional<double> ceiling = prober.ceiling(resource, dtype, kSeconds);
      const Cap* cap = find_cap(resource, device->facts().kind);
      Json entry = {{"resource", to_string(resource)},
                    {"dtype", to_string(dtype)},
                    {"ceiling", ceiling ? Json(*ceiling) : Json(nullptr)},
                    {"unit", unit_text(resource)},
                    {"mechanism", cap ? Json(cap->mechanism) : Json(nullptr)},
                    {"held", Json::array()}};
      std::string text = ceiling ? with_unit(*ceiling, unit_text(resource)) : "no kernel here probes it";
      if (ceiling && cap)
        for (const Held& held : try_cap(prober, resource, dtype, *ceiling)) {
          const double off = held.delivered / held.requested - 1.0;
          text += fmt::format("; asked {} got {:+.2f} %", with_unit(held.requested, unit_text(resource)),
                              100 * off);
          entry["held"].push_back({{"requested", held.requested}, {"delivered", held.delivered}});
        }
      if (ceiling && !cap) text += "; no cap on this device";
      if (!session.json) fmt::print("  {:<17} {}\n", name, text);
      json.push_back(entry);
    }
  if (session.json) print_json(json);
}

const Register<Command> command{
    {.name = "calibrate",
     .place = 4,
     .summary = "ceilings of this device and whether each cap can be held",
     .add = [](CLI::App& app, Session& session) {
       auto device = std::make_shared<std::string>("cpu");
       app.add_option("--device", *device, "cpu or cuda:N")->option_text("DEVICE");
       app.callback([device, &session] { calibrate_device(*device, session); });
     }}};

}  // namespace
}  // namespace chokepoint
