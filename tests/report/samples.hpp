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
