// Records made by hand, with figures that can be followed on paper.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "harness/base/error.hpp"
#include "harness/model/price.hpp"
#include "harness/model/record.hpp"
#include "harness/report/report.hpp"

namespace chokepoint::test {

// Blocks of 2 samples of B against a constant A of `time_a_s`, 30 of them, whose ratios A/B are a third each 0.675,
// 0.685 and 0.695: the median is 0.685, and the interval reaches from 0.675 to 0.695 for every ESS from 6 to 30, since
// its ranks lie in the outer thirds.
inline std::vector<double> slower_samples(double time_a_s) {
  std::vector<double> samples;
  for (int block = 0; block < 30; ++block) {
    const double ratio = block % 3 == 0 ? 0.675 : block % 3 == 1 ? 0.685 : 0.695;
    samples.insert(samples.end(), 2, time_a_s / ratio);
  }
  return samples;
}

inline Style plain(int width) { return {.width = width, .color = false, .unicode = true}; }

inline std::vector<double> constant_samples(double time_s) { return std::vector<double>(60, time_s); }

// An ok record: a layer of mixture-of-experts of 64 tokens on a CPU that plays `target` 5800 times slower.
inline Record scaled_record(const std::string& target, std::vector<double> samples, double median_s) {
  Record record;
  record.run_id = "run-1";
  record.operation = "moe_layer";
  record.kernel = "cpu_native";
  record.shape = Shape{{"tokens", std::int64_t{64}}, {"experts", std::int64_t{32}}, {"overlap", std::string("off")}};
  record.dtype = Dtype::bf16;
  record.device = {{"kind", "cpu"}, {"name", "Two-core test machine"}, {"architecture", "x86_64"}, {"workers", 2}};
  record.target = target;
  record.case_id = "moe_layer/cpu_native/bf16/64@" + target;
  record.basis = Basis::scaled;
  record.status = Status::ok;
  record.dilation = 5800;
  record.time.median = median_s;
  record.time.ci_low = 0.99 * median_s;
  record.time.ci_high = 1.01 * median_s;
  record.time.mean = median_s;
  record.time.n = static_cast<std::int64_t>(samples.size());
  record.time.ess = 48.5;
  record.time.stopped_by = "precision";
  record.time.regime = "short";
  record.time.window_s = 2.5;
  record.time.samples = std::move(samples);
  record.interleave_group = "moe_layer/cpu_native/bf16/64";
  record.verification = Verification{0.001, 0.02, true, 64, 64};
  record.work = {.flop = 5.8e9, .memory_bytes = 5.8e6, .link_bytes = 5.8e5, .network_bytes = 0, .tokens = 64};
  record.energy = {"provisioned", 700.0, "gpu_tdp", "datasheet of the maker", true, std::nullopt};
  CapRecord link;
  link.resource = Resource::link;
  link.target_rate = 160e9;
  link.target_rate_kind = "achieved";
  link.requested = 160e9 / 5800;
  link.delivered_before = link.delivered_during = link.requested;
  link.delivered_after = link.requested * 1.004;
  link.ceiling = 5e9;
  link.headroom = 180;
  link.mechanism = "resource clock";
  link.status = CapStatus::held;
  record.caps = {link};
  record.provenance = {{"label", "deepseek-v3/moe"},
                       {"seed", 7},
                       {"input_distribution", "normal"},
                       {"suite", "quick"},
                       {"version", "0.1.0"},
                       {"git", "abc1234"},
                       {"finished", "2026-11-24T10:00:00Z"}};
  return record;
}

// h100-sxm at 5.8 ms of host time = 1 us on the target, h800-sxm at 0.685 of its speed: 1 us / 0.685 = 1.46 us.
inline std::vector<Record> scaled_pair() {
  const double time_s = 5.8e-3;
  return {scaled_record("h100-sxm", constant_samples(time_s), time_s),
          scaled_record("h800-sxm", slower_samples(time_s), time_s / 0.685)};
}

inline PriceBook book(std::string date, std::string seller, std::string kind) {
  PriceBook book;
  book.id = date + "_" + seller;
  book.date = std::move(date);
  book.seller = std::move(seller);
  book.source_kind = std::move(kind);
  book.hash = "0123";
  return book;
}

inline PriceItem item(std::string profile, std::string term, double usd_per_h) {
  PriceItem item;
  item.profile = std::move(profile);
  item.term = std::move(term);
  item.usd_per_gpu_h = usd_per_h;
  item.source = "a page";
  return item;
}

// A market that prices the h100-sxm alone, an assumption for the h800-sxm alone, and a model with both.
inline std::vector<PriceBook> books() {
  PriceBook assumed = book("2025-02", "deepseek", "assumption"), model = book("2026-03", "tco", "model"),
            market = book("2026-05", "market", "survey");
  assumed.items = {item("h800-sxm", "rental_assumed", 2.00)};
  model.items = {item("h100-sxm", "rental_3y", 2.00), item("h800-sxm", "rental_3y", 1.30)};
  market.items = {item("h100-sxm", "rental_on_demand", 2.00)};
  market.items[0].low = 1.50;
  market.items[0].high = 5.00;
  market.absent = {{"h800-sxm", "no market quote found"}};
  return {assumed, model, market};
}

inline RecordSet set_of(std::vector<Record> records) {
  RecordSet set;
  set.files = {"results/hand/records.jsonl"};
  int line = 0;
  for (Record& record : records) {
    set.records.push_back(std::move(record));
    set.places.push_back({set.files[0], ++line});
  }
  return set;
}

inline Record with_tokens(Record record, std::int64_t tokens) {
  record.shape.set("tokens", tokens);
  record.work.tokens = static_cast<double>(tokens);
  record.case_id += std::to_string(tokens);
  record.interleave_group += std::to_string(tokens);
  return record;
}

inline Record without_result(Record record, Status status, const std::string& reason) {
  record.status = status;
  record.basis.reset();
  record.reason = reason;
  if (status != Status::invalid) record.time = {}, record.caps = {}, record.energy = {};
  return record;
}

inline Record on_gpu(Record record, Basis basis) {
  record.operation = "matmul";
  record.kernel = "hopper";
  record.device = {{"kind", "cuda"}, {"name", "NVIDIA H100 80GB HBM3"}, {"architecture", "sm_90"}, {"workers", 132}};
  record.dilation = 1;
  record.basis = basis;
  record.work = {.flop = 4e12, .memory_bytes = 1e9};
  record.shape = Shape{{"m", std::int64_t{8192}}, {"n", std::int64_t{8192}}};
  record.provenance["label"] = "";
  if (basis == Basis::measured) {
    record.caps.clear();
    record.energy = {"measured", 655.4, "gpu_board", "nvml energy counter", true, std::nullopt};
  } else {
    record.caps[0].requested = record.caps[0].target_rate;
    record.caps[0].delivered_before = record.caps[0].delivered_after = record.caps[0].target_rate;
    record.caps[0].target_rate_kind = "datasheet";
    record.caps[0].target_rate_verified = false;
    record.energy.verified = false;
  }
  return record;
}

// Of everything one: ok pairs scaled and emulated, no price for one target, an invalid cap, something unsupported,
// failed and skipped, texts of a stranger, absent figures, a cut line and an older attempt.
inline RecordSet everything() {
  std::vector<Record> records;
  for (const Record& record : scaled_pair()) records.push_back(record);
  for (const Record& record : scaled_pair()) records.push_back(with_tokens(record, 256));
  records[3].time.stopped_by = "budget";
  Record invalid = with_tokens(scaled_pair()[1], 1024);
  invalid.caps[0].status = CapStatus::missed;
  records.push_back(without_result(invalid, Status::invalid,
                                   "link cap missed: requested 27.59 MB/s, delivered 25.01 MB/s before"));
  Record failed = scaled_pair()[0];
  failed.operation = "attention";
  records.push_back(without_result(failed, Status::failed, "killed by \x1b[31mSIGSEGV\x1b[0m | `rm -rf`\n<b>now</b>"));
  failed.target = "h800-sxm";
  records.push_back(without_result(failed, Status::unsupported, "kernel openblas does not pace link"));
  failed.target = "h20";
  records.push_back(without_result(failed, Status::skipped, "=HYPERLINK(\"x\")"));
  Record host = on_gpu(scaled_pair()[0], Basis::measured);
  host.target = "host";
  records.push_back(host);
  records.push_back(on_gpu(scaled_pair()[1], Basis::emulated));
  Record bare = scaled_pair()[0];
  bare.operation = "stream";
  bare.target = "host";
  bare.basis = Basis::measured;
  bare.dilation = 1;
  bare.shape = Shape{{"bytes", std::int64_t{1} << 30}};
  bare.caps.clear();
  bare.energy = {};
  bare.time = {.median = 0.25, .n = 2, .stopped_by = "budget", .regime = "burst", .samples = {0.25, 0.25}};
  bare.work = {.memory_bytes = 2e9};
  bare.provenance = Json::object();
  records.push_back(bare);
  RecordSet set = set_of(std::move(records));
  set.cut_lines = {{"results/hand/records.jsonl", 12}};
  set.superseded = 1;
  return set;
}

template <class Body>
std::string error_of(const Body& body) {
  try {
    body();
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

}  // namespace chokepoint::test
