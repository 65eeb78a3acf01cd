#include "harness/model/price.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "harness/base/error.hpp"
#include "harness/base/strings.hpp"
#include "harness/model/config_files.hpp"

namespace chokepoint {
namespace {

PriceItem decode_item(Fields fields) {
  PriceItem item;
  item.profile = telling_text(fields, "profile");
  item.term = fields.text("term");
  require_word(fields, "term", item.term, price_terms());
  Fields price = fields.object("usd_per_gpu_h");
  item.usd_per_gpu_h = price.positive("mid");
  item.low = price.maybe_positive("low");
  item.high = price.maybe_positive("high");
  price.finish();
  if (item.low.has_value() != item.high.has_value())
    price.reject(item.low ? "low" : "high", "stands alone", "give both low and high, or neither");
  if (item.low && (*item.low > item.usd_per_gpu_h || item.usd_per_gpu_h > *item.high))
    price.reject("mid",
                 fmt::format("is {}, outside low {} to high {}", item.usd_per_gpu_h, *item.low, *item.high),
                 "order them: low <= mid <= high");
  item.includes = maybe_telling_texts(fields, "includes");
  item.source = telling_text(fields, "source");
  item.note = fields.maybe_text("note").value_or("");
  item.verified = fields.maybe_boolean("verified").value_or(true);
  fields.finish();
  return item;
}

// A profile has one price per term, or a reason why it has none.
void check_unique(const Fields& fields, const PriceBook& book) {
  for (std::size_t i = 0; i < book.items.size(); ++i)
    if (&book.items[i] != find(book, book.items[i].profile, book.items[i].term))
      fields.reject(fmt::format("items/{}", i),
                    fmt::format("prices {} ({}) again", book.items[i].profile, book.items[i].term),
                    "keep one of the two; a new price is a new book");
  for (std::size_t i = 0; i < book.absent.size(); ++i)
    for (const PriceItem& item : book.items)
      if (item.profile == book.absent[i].profile)
        fields.reject(fmt::format("absent/{}", i),
                      fmt::format("says {} has no price, but it has one", item.profile),
                      "remove one of the two");
}

std::optional<PriceQuote> quote_of(const PriceBook& book, const PriceItem* item) {
  if (item == nullptr) return std::nullopt;
  return PriceQuote{*item, book.id, book.date, book.seller, book.source_kind, book.hash};
}

}  // namespace

const std::vector<std::string>& price_terms() {
  static const std::vector<std::string> terms = {"rental_on_demand", "rental_spot",    "rental_1y",
                                                 "rental_3y",        "rental_assumed", "owned_hyperscaler",
                                                 "owned_neocloud"};
  return terms;
}

PriceBook decode_price_book(const JsonFile& file) {
  static const std::vector<std::string> source_kinds = {"quote", "survey", "model", "assumption", "hearsay"};
  Fields fields(file);
  PriceBook book;
  book.date = date_text(fields, "date");
  book.seller = telling_text(fields, "seller");
  book.id = dated_id(fields, book.date, book.seller, "seller");
  require_usd(fields);
  book.source_kind = fields.text("source_kind");
  require_word(fields, "source_kind", book.source_kind, source_kinds);
  book.summary = telling_text(fields, "summary");
  for (const Fields& item : fields.objects("items")) book.items.push_back(decode_item(item));
  for (Fields& entry : fields.maybe_objects("absent")) {
    book.absent.push_back({telling_text(entry, "profile"), telling_text(entry, "reason")});
    entry.finish();
  }
  fields.finish();
  check_unique(fields, book);
  book.path = file.path;
  book.hash = sha256_hex(file.text);
  return book;
}

PriceBook load_price_book(const std::string& path) { return decode_price_book(read_json(path)); }

std::vector<PriceBook> load_price_books(const std::string& configs) {
  std::vector<PriceBook> books;
  for (const std::string& path : json_files_of(configs + "/prices")) books.push_back(load_price_book(path));
  std::stable_sort(books.begin(), books.end(), [](const auto& a, const auto& b) { return a.date < b.date; });
  return books;
}

const PriceBook& find_price_book(const std::vector<PriceBook>& books, const std::string& id) {
  return find_by_id(books, id, "price book");
}

const PriceItem* find(const PriceBook& book, const std::string& profile, const std::string& term) {
  for (const PriceItem& item : book.items)
    if (item.profile == profile && item.term == term) return &item;
  return nullptr;
}

std::string PriceQuote::text() const {
  return fmt::format("${:.2f}/h ({} {}, {}, {}{})", item.usd_per_gpu_h, date, seller, item.term, source_kind,
                     item.verified ? "" : ", unverified");
}

Estimate PriceQuote::usd_per_h() const {
  return {item.usd_per_gpu_h, item.low.value_or(item.usd_per_gpu_h), item.high.value_or(item.usd_per_gpu_h), text(),
          item.verified};
}

std::optional<PriceQuote> quote(const std::vector<PriceBook>& books, const std::string& profile) {
  std::optional<PriceQuote> newest;
  for (const PriceBook& book : books)
    if (book.is_market() && (!newest || book.date >= newest->date))
      if (auto found = quote_of(book, find(book, profile, "rental_on_demand"))) newest = found;
  return newest;
}

std::optional<PriceQuote> quote(const std::vector<PriceBook>& books, const std::string& profile,
                                const std::string& choice) {
  const std::size_t colon = choice.find(':');
  const PriceBook& book = find_price_book(books, choice.substr(0, colon));
  if (colon != std::string::npos) {
    const std::string term = choice.substr(colon + 1);
    if (std::find(price_terms().begin(), price_terms().end(), term) == price_terms().end())
      throw Error(Fault::config, fmt::format("\"{}\" is no price term", term),
                  suggestion(term, price_terms()));
    return quote_of(book, find(book, profile, term));
  }
  std::vector<const PriceItem*> items;
  std::vector<std::string> choices;
  for (const PriceItem& item : book.items)
    if (item.profile == profile) {
      items.push_back(&item);
      choices.push_back(book.id + ":" + item.term);
    }
  if (items.size() > 1)
    throw Error(Fault::config,
                fmt::format("price book {} has {} prices for {}", book.id, items.size(), profile),
                fmt::format("name one: {}", joined(choices, ", ")));
  return items.empty() ? std::nullopt : quote_of(book, items.front());
}

std::string absence(const std::vector<PriceBook>& books, const std::string& profile) {
  const PriceBook* newest = nullptr;
  std::string reason;
  for (const PriceBook& book : books)
    for (const PriceAbsence& absent : book.absent)
      if (absent.profile == profile && (newest == nullptr || book.date >= newest->date)) {
        newest = &book;
        reason = fmt::format("{} ({})", absent.reason, book.id);
      }
  return newest != nullptr ? reason : "no price book names " + profile;
}

}  // namespace chokepoint
