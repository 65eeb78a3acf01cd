#include "harness/run/case_runner.hpp"

#include <optional>

#include "harness/base/error.hpp"
#include "harness/run/architecture.hpp"
#include "harness/run/arm.hpp"
#include "harness/run/cap_choice.hpp"
#include "harness/run/demands.hpp"
#include "harness/run/group_driver.hpp"
#include "harness/run/sequence.hpp"

namespace chokepoint {
namespace {

void settle(std::vector<Record>& records, const Record& settled) {
  for (Record& record : records)
    if (record.target == settled.target) record = settled;
}

// Those that nothing has been said of yet.
void rest_become(std::vector<Record>& records, Status status, const std::string& reason) {
  for (Record& record : records)
    if (record.reason.empty()) {
      record.status = status;
      record.reason = reason;
    }
}

// With the headroom of what may hold them for this kernel.
std::vector<Demand> held_demands(std::vector<Demand> demands, const Kernel& kernel, const DeviceFacts& facts) {
  for (Demand& demand : demands)
    demand.least_headroom = least_headroom(mechanisms_for(kernel, demand.resource, facts));
  return demands;
}

EmulationPlan plan_of(const CaseGroup& group, const DeviceFacts& facts, const CaseContext& context,
                      const std::vector<Record>& records) {
  const PerResource<std::optional<double>> ceilings = context.ceilings.for_dtype(group.dtype);
  const Profile* host = profile_of_device(context.profiles, facts.name);
  const Kernel& kernel = find_kernel(group.operation, group.kernel);
  std::vector<TargetDemands> demands;
  for (const Record& record : records) {
    const Target target = parse_target(record.target, context.profiles);
    if (!target.is_host())
      demands.push_back({target.id,
                         held_demands(demands_of(target, record.work, group.dtype, host, ceilings), kernel, facts),
                         target.profile->architecture == facts.architecture});
  }
  return plan_emulation(demands, ceilings, group.pinned_dilation);
}

// One per target that some mechanism may hold; the records of the others say why none can.
std::vector<Arm> make_arms(const CaseGroup& group, const DeviceFacts& facts, const CaseContext& context,
                           std::vector<Record>& records) {
  const EmulationPlan plan = plan_of(group, facts, context, records);
  std::vector<Arm> arms;
  std::size_t next = 0;
  for (Record& record : records) {
    Arm arm;
    arm.target = parse_target(record.target, context.profiles);
    arm.record = record;
    if (!arm.target.is_host()) {
      arm.plans = plan.caps[next++];
      arm.record.dilation = plan.dilation;
      arm.record.provenance["profile_hash"] = arm.target.profile->hash;
    }
    if (const auto why = cap_obstacle(find_kernel(group.operation, group.kernel), arm.target, arm.plans, facts)) {
      record.status = Status::unsupported;
      record.reason = *why;
    } else {
      arms.push_back(std::move(arm));
    }
  }
  return arms;
}

}  // namespace

Record blank_record(const CaseGroup& group, const std::string& target, const DeviceFacts& facts) {
  Record record;
  record.case_id = case_id(group, target);
  record.operation = group.operation;
  record.kernel = group.kernel;
  record.shape = group.shape;
  record.dtype = group.dtype;
  record.device = {{"kind", facts.kind},
                   {"name", facts.name},
                   {"architecture", facts.architecture},
                   {"workers", facts.workers}};
  record.target = target;
  record.work = find_operation(group.operation).work(group.shape, group.dtype);
  record.provenance = {
      {"label", group.label}, {"seed", group.inputs.seed}, {"input_distribution", group.inputs.distribution}};
  return record;
}

std::vector<Record> run_group(const CaseGroup& group, Device& device, const CaseContext& context) {
  std::vector<Record> records;
  for (const std::string& target : group.targets)
    records.push_back(blank_record(group, target, device.facts()));
  std::optional<std::string> unsupported = group.unsupported;
  if (!unsupported) unsupported = architecture_obstacle(find_kernel(group.operation, group.kernel), device.facts());
  if (unsupported) {
    rest_become(records, Status::unsupported, *unsupported);
    return records;
  }
  std::vector<Arm> arms;
  std::vector<Record> left_out;
  try {
    arms = make_arms(group, device.facts(), context, records);
    if (arms.empty()) return records;
    GroupDriver driver(group, device, context, arms, left_out);
    measure(driver);
  } catch (const Error& error) {
    for (const Record& record : left_out) settle(records, record);
    for (const Arm& arm : arms)
      for (Record& record : records)
        if (record.target == arm.target.id) record.verification = arm.record.verification;
    rest_become(records, is_out_of_reach(error) ? Status::unsupported : Status::failed, error.what());
    return records;
  } catch (const std::exception& error) {
    for (const Record& record : left_out) settle(records, record);
    rest_become(records, Status::failed, error.what());
    return records;
  }
  for (const Record& record : left_out) settle(records, record);
  for (const Arm& arm : arms) settle(records, arm.record);
  return records;
}

}  // namespace chokepoint
