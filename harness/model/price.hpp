// What does an hour of a machine cost, who says so, and when did they say it?
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "harness/base/json.hpp"
#include "harness/model/estimate.hpp"

namespace chokepoint {

// One price in US dollars per GPU-hour.
struct PriceItem {
  std::string profile;
  std::string term;            // one of price_terms()
  double usd_per_gpu_h = 0.0;  // the middle, or the only one
  std::optional<double> low, high;
  std::vector<std::string> includes;  // "electricity", "host", ...: what need not be added again
  std::string source;
  std::string note;
  bool verified = true;
};

// A price that was looked for and not found: the reason is the answer.
struct PriceAbsence {
  std::string profile, reason;
};

// configs/prices/<date>_<seller>.json. Never edited, only superseded by a later one.
struct PriceBook {
  std::string id;    // <date>_<seller>, the file's stem
  std::string date;  // "2026-05" or "2026-05-20"
  std::string seller;
  std::string source_kind;  // quote | survey | model | assumption | hearsay
  std::string summary;
  std::vector<PriceItem> items;
  std::vector<PriceAbsence> absent;
  std::string path;
  std::string hash;  // SHA-256 of the file

  bool is_market() const { return source_kind == "quote" || source_kind == "survey"; }
};

const std::vector<std::string>& price_terms();

PriceBook load_price_book(const std::string& path);  // throws Error{config} or Error{io}
PriceBook decode_price_book(const JsonFile& file);
std::vector<PriceBook> load_price_books(const std::string& configs);  // `configs`/prices/*.json, oldest first

// Throws Error{config} with the nearest known id.
const PriceBook& find_price_book(const std::vector<PriceBook>& books, const std::string& id);

// Null when the book has no such item.
const PriceItem* find(const PriceBook& book, const std::string& profile, const std::string& term);

// A price with everything the output has to print beside it.
struct PriceQuote {
  PriceItem item;
  std::string book, date, seller, source_kind, hash;

  // "$2.95/h (2026-05 market, rental_on_demand, survey)"
  std::string text() const;

  // Of an hour; exact where the book gives no range.
  Estimate usd_per_h() const;
};

// The newest market price of `profile` on demand; absent when no book of quotes or surveys has one. A model's
// or a claimant's figure never stands in for a market price.
std::optional<PriceQuote> quote(const std::vector<PriceBook>& books, const std::string& profile);

// The same from the book the user names: "2025-02_deepseek" or "2026-03-29_semianalysis:rental_3y". Absent
// when that book has no price for the profile. Throws Error{config} for an unknown book or term, and when the
// book has several terms and none is named.
std::optional<PriceQuote> quote(const std::vector<PriceBook>& books, const std::string& profile,
                                const std::string& choice);

// Why there is no market price, as far as the books say: "no market quote found (2026-05_market)".
std::string absence(const std::vector<PriceBook>& books, const std::string& profile);

}  // namespace chokepoint
