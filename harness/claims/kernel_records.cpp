#include "harness/claims/kernel_records.hpp"

#include <fmt/format.h>

#include <filesystem>
#include <optional>

#include "harness/base/error.hpp"
#include "harness/base/files.hpp"
#include "harness/base/strings.hpp"
#include "harness/claims/kernel_scaling.hpp"

namespace chokepoint {
namespace {

// Operations of chokepoint that are single kernels of a table.
bool is_kernel(const Record& record) {
  return record.operation == "matmul" || record.operation == "attention";
}

std::string device_name(const Record& record) {
  const auto name = record.device.find("name");
  return name != record.device.end() && name->is_string() ? name->get<std::string>() : "";
}

// Empty when the record can stand for a kernel of this machine.
std::string why_not(const Record& record, const Profile* host, const Profile& machine) {
  if (record.status != Status::ok)
    return fmt::format("its status is {}", std::string(to_string(record.status)));
  if (!is_kernel(record)) return fmt::format("{} is no single kernel of the table", record.operation);
  if (record.basis != Basis::measured && record.basis != Basis::emulated)
    return fmt::format("its basis is {}: other silicon",
                       record.basis ? std::string(to_string(*record.basis)) : "absent");
  if (!record.time.median) return "it has no median";
  if (host == nullptr) return fmt::format("no profile names the device \"{}\"", device_name(record));
  if (host->architecture != machine.architecture)
    return fmt::format("{} is {}, not {}", host->id, host->architecture, machine.architecture);
  if (record.target != "host" && record.target != machine.id)
    return fmt::format("it plays {}", record.target);
  return "";
}

// A time on the host, told as one on the machine.
void scale_to(KernelRow& row, double factor, const char* how) {
  row.value *= factor;
  if (row.low_s) *row.low_s *= factor;
  if (row.high_s) *row.high_s *= factor;
  row.note = how;
}

KernelRow row_of_record(const Record& record, const Profile& host, const Profile& machine) {
  KernelRow row{.name = fmt::format("{} by {}", record.operation, record.kernel),
                .operation = record.operation,
                .shape = record.shape,
                .dtype = record.dtype,
                .value = record.target_time_s().value(),
                .unit = "s",
                .machine = machine.id};
  row.grade = host.id == machine.id ? Grade::a : Grade::b;
  row.source = fmt::format("record {} of run {} on {}", record.case_id, record.run_id, device_name(record));
  if (record.time.ci_low) row.low_s = *record.time.ci_low / record.dilation;
  if (record.time.ci_high) row.high_s = *record.time.ci_high / record.dilation;
  if (record.target != "host" || host.id == machine.id) return row;  // it was played, or it is the machine
  const double flop = record.work.flop, bytes = record.work.memory_bytes;
  const ScaledTime scaled = scaled_time(row.value, flop, bytes, kernel_machine(host, row.dtype),
                                        kernel_machine(machine, row.dtype));
  const std::string how = fmt::format("scaled from {} by {}", host.id, std::string(to_string(scaled.branch)));
  scale_to(row, scaled.time_s / row.value, how.c_str());
  return row;
}

}  // namespace

MeasuredRows measured_rows(const std::vector<Record>& records, const Profile& machine,
                           const std::vector<Profile>& profiles) {
  MeasuredRows measured;
  for (const Record& record : records) {
    const Profile* host = profile_of_device(profiles, device_name(record));
    if (const std::string reason = why_not(record, host, machine); !reason.empty())
      measured.left_out.push_back({record.case_id, reason});
    else
      measured.rows.push_back(row_of_record(record, *host, machine));
  }
  return measured;
}

std::vector<Record> read_record_files(const std::vector<std::string>& paths) {
  std::vector<Record> records;
  for (const std::string& named : paths) {
    const std::string path = std::filesystem::is_directory(named) ? named + "/records.jsonl" : named;
    int line = 0;
    for (const std::string& text : split(read_file(path), '\n')) {
      ++line;
      if (text.empty()) continue;
      records.push_back(record_from_json(parse_json(text, fmt::format("{}:{}", path, line))));
    }
  }
  return records;
}

}  // namespace chokepoint
