#include "harness/model/cost_book.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "harness/base/error.hpp"
#include "harness/base/strings.hpp"
#include "harness/model/config_files.hpp"

namespace chokepoint {
namespace {

// A estimate whose ends have to lie in [least, most]; `above` excludes `least` itself.
Estimate bounded(Fields& fields, const std::string& key, double least, double most, bool above = false) {
  const Estimate estimate = decode_estimate(fields.object(key));
  if (estimate.low < least || (above && estimate.low <= least) || estimate.high > most)
    fields.reject(key,
                  fmt::format("reaches from {} to {}, outside {}{} to {}", estimate.low, estimate.high,
                              above ? "above " : "", least, most),
                  "correct it");
  return estimate;
}

constexpr double kMostUsd = 1e9, kMostWatts = 1e6;  // beyond these a unit was mistaken

Ownership decode_ownership(Fields fields) {
  Ownership terms;
  terms.residual_share = bounded(fields, "residual_share", 0, 1);
  terms.discount_rate_per_year = bounded(fields, "discount_rate_per_year", 0, 1);
  terms.life_years = bounded(fields, "life_years", 0, 50, true);
  terms.availability = bounded(fields, "availability", 0, 1, true);
  terms.opex_usd_per_gpu_h = bounded(fields, "opex_usd_per_gpu_h", 0, 1000);
  fields.finish();
  return terms;
}

Facility decode_facility(Fields fields) {
  Facility facility{telling_text(fields, "id"), bounded(fields, "pue", 1, 10)};
  fields.finish();
  return facility;
}

CostMachine decode_machine(Fields fields) {
  CostMachine machine;
  machine.profile = telling_text(fields, "profile");
  machine.host_w = bounded(fields, "host_w", 0, kMostWatts);
  if (fields.has("capex_usd"))
    machine.capex_usd = bounded(fields, "capex_usd", 0, kMostUsd, true);
  else
    fields.maybe_object("capex_usd");
  fields.finish();
  return machine;
}

template <class T, class Name>
void check_once(const Fields& fields, const std::string& list, const std::vector<T>& entries,
                const Name& name) {
  for (std::size_t i = 0; i < entries.size(); ++i)
    for (std::size_t j = 0; j < i; ++j)
      if (name(entries[i]) == name(entries[j]))
        fields.reject(fmt::format("{}/{}", list, i),
                      fmt::format("is {} for the second time", name(entries[i])), "keep one of the two");
}

void check_cost_book(const Fields& fields, const CostBook& book) {
  check_once(fields, "facilities", book.facilities, [](const Facility& entry) { return entry.id; });
  check_once(fields, "machines", book.machines, [](const CostMachine& entry) { return entry.profile; });
  if (book.facilities.empty()) fields.reject("facilities", "is empty", "add one, with its PUE");
  for (std::size_t i = 0; i < book.absent.size(); ++i)
    if (const CostMachine* machine = find_machine(book, book.absent[i].profile);
        machine && machine->capex_usd)
      fields.reject(fmt::format("absent/{}", i),
                    fmt::format("says {} has no price, but it has one", machine->profile),
                    "remove one of the two");
}

}  // namespace

CostBook decode_cost_book(const JsonFile& file) {
  Fields fields(file);
  CostBook book;
  book.date = date_text(fields, "date");
  book.name = telling_text(fields, "name");
  book.id = dated_id(fields, book.date, book.name, "name");
  require_usd(fields);
  book.summary = telling_text(fields, "summary");
  book.electricity_usd_per_kwh = bounded(fields, "electricity_usd_per_kwh", 0, 100);
  book.load_share = bounded(fields, "load_share", 0, 1, true);
  for (const Fields& entry : fields.objects("facilities")) book.facilities.push_back(decode_facility(entry));
  book.ownership = decode_ownership(fields.object("ownership"));
  for (const Fields& entry : fields.objects("machines")) book.machines.push_back(decode_machine(entry));
  for (Fields& entry : fields.maybe_objects("absent")) {
    book.absent.push_back({telling_text(entry, "profile"), telling_text(entry, "reason")});
    entry.finish();
  }
  fields.finish();
  check_cost_book(fields, book);
  book.path = file.path;
  book.hash = sha256_hex(file.text);
  return book;
}

std::vector<CostBook> load_cost_books(const std::string& configs) {
  std::vector<CostBook> books;
  for (const std::string& path : json_files_of(configs + "/costs"))
    books.push_back(decode_cost_book(read_json(path)));
  std::stable_sort(books.begin(), books.end(), [](const auto& a, const auto& b) { return a.date < b.date; });
  return books;
}

const CostBook& find_cost_book(const std::vector<CostBook>& books, const std::string& id) {
  if (!id.empty()) return find_by_id(books, id, "cost book");
  if (books.empty()) throw Error(Fault::config, "there is no cost book", "add one to configs/costs");
  return books.back();
}

const Facility& find_facility(const CostBook& book, const std::string& id) {
  return find_by_id(book.facilities, id, "facility");
}

const CostMachine* find_machine(const CostBook& book, const std::string& profile) {
  for (const CostMachine& machine : book.machines)
    if (machine.profile == profile) return &machine;
  return nullptr;
}

std::string capex_absence(const CostBook& book, const std::string& profile) {
  for (const CostAbsence& absent : book.absent)
    if (absent.profile == profile) return fmt::format("{} ({})", absent.reason, book.id);
  return fmt::format("{} has no purchase price for {}", book.id, profile);
}

}  // namespace chokepoint
