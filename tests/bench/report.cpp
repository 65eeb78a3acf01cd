// How long does a report of 1,000 records take, and how large is it? Records of a folder, copied under other token
// counts until there are enough, read from text as the command does it. Aims: under 2 s and under 5 MB as HTML.
//   bench_report FOLDER [records, default 1000]
#include "harness/report/report.hpp"

#include <fmt/format.h>

#include <chrono>
#include <cstdlib>
#include <ctime>

#include "harness/base/error.hpp"

namespace chokepoint {
namespace {

std::string lines_of(const RecordSet& set, std::size_t count) {
  std::string text;
  for (std::size_t i = 0; i < count; ++i) {
    Record record = set.records[i % set.records.size()];
    const auto copy = static_cast<std::int64_t>(i / set.records.size());
    record.shape.set("copy", copy);
    record.case_id += fmt::format("#{}", copy);
    if (!record.interleave_group.empty()) record.interleave_group += fmt::format("#{}", copy);
    text += to_json(record).dump() + '\n';
  }
  return text;
}

// Of the processor: what others do on this machine does not count.
double processor_s() { return static_cast<double>(std::clock()) / CLOCKS_PER_SEC; }

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

void run(const std::string& folder, std::size_t count) {
  const std::string text = lines_of(read_records({folder}), count);
  fmt::print("{} records, {:.1f} MB of records.jsonl\n", count, static_cast<double>(text.size()) * 1e-6);
  for (const Format& format : Registry<Format>::instance().all()) {
    const auto start = std::chrono::steady_clock::now();
    const double processor_start_s = processor_s();
    RecordSet set;
    set.files = {folder};
    add_records(text, folder, set);
    const double read_s = processor_s() - processor_start_s;
    const std::string report = render_report(format.name, std::move(set),
                                             {load_price_books(CHOKEPOINT_SOURCE_DIR "/configs"), std::nullopt}, {});
    fmt::print("{:15} {:6.2f} s on the clock, {:.2f} s of a processor ({:.2f} s reading), {:8.3f} MB\n", format.name,
               seconds_since(start), processor_s() - processor_start_s, read_s,
               static_cast<double>(report.size()) * 1e-6);
  }
}

}  // namespace
}  // namespace chokepoint

int main(int argc, char** argv) {
  try {
    chokepoint::run(argc > 1 ? argv[1] : CHOKEPOINT_SOURCE_DIR "/results/2026-11-26_h100_h800-vs-h100",
                    argc > 2 ? std::strtoul(argv[2], nullptr, 10) : 1000);
  } catch (const std::exception& error) {
    fmt::print(stderr, "error: {}\n", error.what());
    return 1;
  }
}
