// `calibrate`: what this device delivers of each resource today, whether each cap can be held, and on a GPU whether
// parts of it are what they say and caps leave alone what they are not about.
#include <fmt/format.h>

#include "harness/base/units.hpp"
#include "harness/caps/cap.hpp"
#include "harness/cli/command.hpp"
#include "harness/run/cap_trials.hpp"
#include "harness/run/controls.hpp"
#include "harness/run/wire_lanes.hpp"

namespace chokepoint {
namespace {

constexpr double kSeconds = 0.5;  // of uncapped runs per resource
constexpr int kWireWanted = 24;   // multiprocessors, as many as moe_layer asks for

std::string unit_text(Resource resource) { return fmt::format("{}/s", unit_of(resource)); }

Json reason(const std::string& why) { return why.empty() ? Json(nullptr) : Json(why); }

class DeviceCalibration {
 public:
  DeviceCalibration(const std::string& name, Session& session)
      : session_(session), device_(open_device(name)), prober_(*device_) {
    line(fmt::format("{}: {}", name, device_->facts().name));
    json_ = {{"device", device_->facts().name},
             {"resources", Json::array()},
             {"partitions", Json::array()},
             {"wire_apart", nullptr},
             {"traffic", Json::array()},
             {"controls", Json::array()}};
  }

  // What clocks in device code go by; null on a CPU.
  void timer() {
    const Json& more = device_->facts().more;
    json_["globaltimer_tick_ns"] = more.value("globaltimer_tick_ns", Json(nullptr));
    if (json_["globaltimer_tick_ns"].is_null()) return;
    const double tick_s = 1e-9 * json_["globaltimer_tick_ns"].get<double>();
    line(fmt::format("  {:<17} ticks every {}: launches and messages above {} are held within {:.0f} %", "timer",
                     duration_text(tick_s, 3), duration_text(tick_s / kCapTolerance, 3), 100 * kCapTolerance));
  }

  void resources() {
    for (Resource resource : kResources)
      for (Dtype dtype : {Dtype::f32, Dtype::bf16, Dtype::fp8_e4m3})
        if (resource == Resource::compute || dtype == Dtype::f32) one_resource(resource, dtype);
  }

  void partitions() {
    const std::optional<double>& ceiling = compute_[Dtype::bf16];
    if (!ceiling) return;
    for (const PartitionTrial& trial : try_partitions(*device_, prober_, Dtype::bf16, *ceiling)) {
      std::string text = trial.why;
      if (trial.granted)
        text = fmt::format("granted {}, ran on {}{}{}{}", *trial.granted, trial.ran_on.size(),
                           trial.within ? "" : " TOO MANY", trial.why.empty() ? "" : "; ", trial.why);
      if (trial.delivered)
        text += fmt::format("; bf16 {}, {:.1f} % of the ceiling", with_unit(*trial.delivered, "FLOP/s"),
                            100 * *trial.delivered / *ceiling);
      line(fmt::format("  {:<17} {}", fmt::format("{} SMs", trial.wanted), text));
      json_["partitions"].push_back({{"wanted", trial.wanted},
                                     {"granted", trial.granted ? Json(*trial.granted) : Json(nullptr)},
                                     {"ran_on", trial.ran_on},
                                     {"within", trial.within},
                                     {"bf16_flop_per_s", or_null(trial.delivered)},
                                     {"why", reason(trial.why)}});
    }
  }

  // What launches get that send while they compute.
  void lanes() {
    if (!device_->facts().own_memory) return;
    const WireLanes lanes(*device_, kWireWanted, {});
    line(fmt::format("  {:<17} {}", "wire apart",
                     lanes.apart() ? fmt::format("{} SMs for products, {} for the wire, seen apart in a graph",
                                                 lanes.multiprocessors(Lane::compute), lanes.multiprocessors(Lane::wire))
                                   : "not here: " + lanes.why_together()));
    json_["wire_apart"] = {
        {"product_multiprocessors", lanes.apart() ? Json(lanes.multiprocessors(Lane::compute)) : Json(nullptr)},
        {"wire_multiprocessors", lanes.apart() ? Json(lanes.multiprocessors(Lane::wire)) : Json(nullptr)},
        {"why", reason(lanes.why_together())}};
  }

  void traffic() {
    for (const TrafficTrial& trial : try_traffic(*device_)) {
      std::string text = trial.why;
      if (trial.moved)
        text = fmt::format("granted {}, move {} alone; asked {} got {:+.2f} %", *trial.granted,
                           with_unit(*trial.most, "B/s"), with_unit(*trial.asked, "B/s"),
                           100 * (*trial.moved / *trial.asked - 1));
      if (trial.most && rate_[Resource::memory] && *trial.most > *rate_[Resource::memory])
        text += "; more than the memory's ceiling: not all of it reaches the memory";
      line(fmt::format("  {:<17} {}", fmt::format("{} SMs copying", trial.wanted), text));
      json_["traffic"].push_back({{"wanted", trial.wanted},
                                  {"granted", trial.granted ? Json(*trial.granted) : Json(nullptr)},
                                  {"most_bytes_per_s", or_null(trial.most)},
                                  {"asked_bytes_per_s", or_null(trial.asked)},
                                  {"moved_bytes_per_s", or_null(trial.moved)},
                                  {"why", reason(trial.why)}});
    }
  }

  // On a CPU `selftest` has them.
  void controls() {
    if (!device_->facts().own_memory || !rate_[Resource::memory] || !rate_[Resource::link]) return;
    for (const Control& control :
         negative_controls(*device_, prober_, *rate_[Resource::memory], *rate_[Resource::link])) {
      const auto& interval = control.slowdown.interval;
      line(fmt::format("  {} under {} capped at {} ({}): {:.4f}x{}{}", control.work, to_string(control.capped),
                       with_unit(control.requested, "B/s"), control.mechanism, control.slowdown.ratio,
                       interval ? fmt::format(" [{:.4f}, {:.4f}]", interval->low, interval->high) : "",
                       control.good() ? "" : "  THE CAP LEAKS"));
      json_["controls"].push_back({{"work", control.work},
                                   {"capped", to_string(control.capped)},
                                   {"mechanism", control.mechanism},
                                   {"requested", control.requested},
                                   {"slowdown", control.slowdown.ratio},
                                   {"slowdown_ci_low", interval ? Json(interval->low) : Json(nullptr)},
                                   {"slowdown_ci_high", interval ? Json(interval->high) : Json(nullptr)},
                                   {"good", control.good()}});
    }
  }

  void finish() const {
    if (session_.json) print_json(json_);
  }

 private:
  void line(const std::string& text) const {
    if (session_.json) return;
    fmt::print("{}\n", text);
    std::fflush(stdout);
  }

  void one_resource(Resource resource, Dtype dtype) {
    const bool compute = resource == Resource::compute;
    const std::string unit = unit_text(resource);
    const std::optional<double> ceiling = prober_.ceiling(resource, dtype, kSeconds);
    (compute ? compute_[dtype] : rate_[resource]) = ceiling;
    line(fmt::format("  {:<17} {}", compute ? fmt::format("{} {}", to_string(resource), to_string(dtype))
                                            : std::string(to_string(resource)),
                     ceiling ? with_unit(*ceiling, unit) : "no kernel here probes it"));
    Json entry = {{"resource", to_string(resource)},
                  {"dtype", to_string(dtype)},
                  {"ceiling", or_null(ceiling)},
                  {"unit", unit},
                  {"held", Json::array()}};
    if (ceiling) held(resource, dtype, *ceiling, entry["held"]);
    json_["resources"].push_back(entry);
  }

  void held(Resource resource, Dtype dtype, double ceiling, Json& json) {
    const DeviceFacts& facts = device_->facts();
    const std::vector<CapTrial> trials =
        try_caps(prober_, facts, resource, dtype, ceiling, rates_to_try(resource, ceiling, facts));
    if (trials.empty()) line("    no cap on this device");
    for (const CapTrial& trial : trials) {
      line(fmt::format("    {:<28} asked {} {}", trial.mechanism, with_unit(trial.requested, unit_text(resource)),
                       trial.delivered ? fmt::format("got {:+.2f} %", 100 * (*trial.delivered / trial.requested - 1))
                                       : trial.why));
      json.push_back({{"mechanism", trial.mechanism},
                      {"requested", trial.requested},
                      {"delivered", or_null(trial.delivered)},
                      {"why", reason(trial.why)}});
    }
  }

  Session& session_;
  std::unique_ptr<Device> device_;
  Prober prober_;
  std::map<Dtype, std::optional<double>> compute_;
  PerResource<std::optional<double>> rate_;
  Json json_;
};

void calibrate_device(const std::string& device_name, Session& session) {
  DeviceCalibration calibration(device_name, session);
  calibration.timer();
  calibration.resources();
  calibration.partitions();
  calibration.lanes();
  calibration.traffic();
  calibration.controls();
  calibration.finish();
}

const Register<Command> calibrate_command{
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
