// Price books: shipped prices, strict decoding, quotes that prefer the market, absences that say why.
#include "harness/model/price.hpp"

#include <gtest/gtest.h>

#include "harness/base/files.hpp"
#include "harness/model/profile.hpp"
#include "tests/model/config_help.hpp"

namespace chokepoint {
namespace {

const std::vector<PriceBook>& shipped_books() {
  static const std::vector<PriceBook> books = load_price_books(shipped_configs());
  return books;
}

std::string book_path(const std::string& id) { return shipped_configs() + "/prices/" + id + ".json"; }

const std::string kMarket = "2026-05_market";

std::string book_error_with(const std::string& from, const std::string& to) {
  return error_of(
      [&] { decode_price_book(parse_json(with(read_file(book_path(kMarket)), from, to), book_path(kMarket))); });
}

PriceBook book_of(const std::string& date, const std::string& seller, const std::string& source_kind,
                  double mid) {
  PriceBook book;
  book.id = date + "_" + seller;
  book.date = date;
  book.seller = seller;
  book.source_kind = source_kind;
  PriceItem item;
  item.profile = "x";
  item.term = "rental_on_demand";
  item.usd_per_gpu_h = mid;
  book.items = {item};
  return book;
}

TEST(price, three_books_are_shipped_oldest_first) {
  std::vector<std::string> ids;
  for (const PriceBook& book : shipped_books()) ids.push_back(book.id + " " + book.source_kind);
  EXPECT_EQ(ids, (std::vector<std::string>{"2025-02_deepseek assumption", "2026-03-29_semianalysis model",
                                           "2026-05_market survey"}));
}

TEST(price, shipped_prices_are_the_published_ones) {
  const PriceItem* deepseek =
      find(find_price_book(shipped_books(), "2025-02_deepseek"), "h800-sxm", "rental_assumed");
  ASSERT_NE(deepseek, nullptr);
  EXPECT_EQ(deepseek->usd_per_gpu_h, 2.00);
  EXPECT_FALSE(deepseek->low.has_value());
  const PriceBook& tco = find_price_book(shipped_books(), "2026-03-29_semianalysis");
  const struct {
    const char* profile;
    double hyperscaler, neocloud, rental;
  } columns[] = {
      {"h100-sxm", 1.30, 1.69, 1.30}, {"h200-sxm", 1.41, 1.74, 1.60}, {"b200-sxm", 1.95, 2.34, 2.90}};
  for (const auto& [profile, hyperscaler, neocloud, rental] : columns) {
    EXPECT_EQ(find(tco, profile, "owned_hyperscaler")->usd_per_gpu_h, hyperscaler) << profile;
    EXPECT_EQ(find(tco, profile, "owned_neocloud")->usd_per_gpu_h, neocloud) << profile;
    EXPECT_EQ(find(tco, profile, "rental_3y")->usd_per_gpu_h, rental) << profile;
  }
  const PriceItem* h100 = find(find_price_book(shipped_books(), kMarket), "h100-sxm", "rental_on_demand");
  ASSERT_NE(h100, nullptr);
  EXPECT_EQ(*h100->low, 1.99);
  EXPECT_EQ(h100->usd_per_gpu_h, 2.95);
  EXPECT_EQ(*h100->high, 5.00);
  EXPECT_TRUE(h100->verified);
  EXPECT_EQ(find(find_price_book(shipped_books(), kMarket), "h100-sxm", "rental_3y"), nullptr);
}

TEST(price, every_price_names_a_shipped_profile_and_a_source) {
  const std::vector<Profile> profiles = load_profiles(shipped_configs());
  for (const PriceBook& book : shipped_books()) {
    EXPECT_EQ(book.hash.size(), 64U);
    for (const PriceItem& item : book.items) {
      EXPECT_NO_THROW(find_profile(profiles, item.profile));
      EXPECT_GE(item.source.size(), 20U) << book.id;
      if (contains(item.note, "not recorded")) {
        EXPECT_FALSE(item.verified) << book.id << item.profile;
      }
    }
    for (const PriceAbsence& absent : book.absent) EXPECT_NO_THROW(find_profile(profiles, absent.profile));
  }
}

TEST(price, the_market_is_the_default_and_what_it_lacks_is_absent_with_a_reason) {
  const auto h100 = quote(shipped_books(), "h100-sxm");
  ASSERT_TRUE(h100);
  EXPECT_EQ(h100->book, kMarket);
  EXPECT_EQ(h100->text(), "$2.95/h (2026-05 market, rental_on_demand, survey)");
  EXPECT_EQ(quote(shipped_books(), "h200-sxm")->text(),
            "$3.50/h (2026-05 market, rental_on_demand, survey, unverified)");
  EXPECT_FALSE(quote(shipped_books(), "h800-sxm"));
  EXPECT_EQ(absence(shipped_books(), "h800-sxm"),
            "no market quote found; DeepSeek's $2.00 is an assumption (2025-02_deepseek) (2026-05_market)");
  EXPECT_EQ(absence(shipped_books(), "z9000"), "no price book names z9000");
}

TEST(price, a_book_can_be_named_with_its_term) {
  EXPECT_EQ(quote(shipped_books(), "h800-sxm", "2025-02_deepseek")->text(),
            "$2.00/h (2025-02 deepseek, rental_assumed, assumption)");
  EXPECT_EQ(quote(shipped_books(), "h100-sxm", "2026-03-29_semianalysis:owned_neocloud")->item.usd_per_gpu_h, 1.69);
  EXPECT_FALSE(quote(shipped_books(), "h100-sxm", "2025-02_deepseek"));
  EXPECT_FALSE(quote(shipped_books(), "h800-sxm", "2026-03-29_semianalysis:rental_3y"));
  EXPECT_TRUE(contains(error_of([] { quote(shipped_books(), "h100-sxm", "2026-03-29_semianalysis"); }),
                       "has 3 prices for h100-sxm; name one: 2026-03-29_semianalysis:owned_hyperscaler, "));
  EXPECT_TRUE(contains(error_of([] { quote(shipped_books(), "h100-sxm", "2026-05_markt"); }),
                       "did you mean \"2026-05_market\"?"));
  EXPECT_TRUE(contains(error_of([] { quote(shipped_books(), "h100-sxm", kMarket + ":rental_2y"); }),
                       "\"rental_2y\" is no price term"));
}

TEST(price, the_newest_market_price_wins_whatever_the_order_and_a_model_never_does) {
  const PriceBook old = book_of("2026-01", "a", "quote", 1), recent = book_of("2026-04", "b", "survey", 2),
                  model = book_of("2026-09", "c", "model", 3),
                  hearsay = book_of("2026-10", "d", "hearsay", 4);
  EXPECT_EQ(quote({old, recent, model, hearsay}, "x")->item.usd_per_gpu_h, 2);
  EXPECT_EQ(quote({hearsay, model, recent, old}, "x")->item.usd_per_gpu_h, 2);
  EXPECT_FALSE(quote({model, hearsay}, "x"));
}

TEST(price, mistakes_in_a_file_name_line_and_key) {
  EXPECT_EQ(book_error_with("x", "x"), "no error");
  EXPECT_TRUE(
      contains(book_error_with("\"low\": 1.99", "\"low\": 3.99"), "mid is 2.95, outside low 3.99 to high 5"));
  EXPECT_TRUE(
      contains(book_error_with("\"low\": 1.99, ", ""), "usd_per_gpu_h.high stands alone; give both low and high"));
  EXPECT_TRUE(contains(book_error_with("\"mid\": 2.95", "\"mid\": -2.95"), "has to be above 0"));
  EXPECT_TRUE(contains(book_error_with("\"2026-05\"", "\"2026-13\""), ":2: date is \"2026-13\", not a date"));
  EXPECT_TRUE(contains(book_error_with("\"2026-05\"", "\"2026-06\""),
                       "make \"2026-06_market\", but the file is called 2026-05_market"));
  EXPECT_TRUE(contains(book_error_with("USD", "EUR"), "currency is \"EUR\"; convert to USD"));
  EXPECT_TRUE(
      contains(book_error_with("rental_on_demand", "rental_ondemand"), "did you mean \"rental_on_demand\"?"));
  EXPECT_TRUE(
      contains(book_error_with("\"survey\"", "\"surve\""), "source_kind is \"surve\"; did you mean \"survey\"?"));
  EXPECT_TRUE(contains(book_error_with("h200-sxm", "h100-sxm"), "prices h100-sxm (rental_on_demand) again"));
  EXPECT_TRUE(contains(book_error_with("\"h20\"", "\"h100-sxm\""), "says h100-sxm has no price, but it has one"));
  EXPECT_TRUE(
      contains(book_error_with("\"source\"", "\"sauce\""), "source is missing; add it (there is \"sauce\")"));
}

TEST(price, damaged_files_give_an_error_or_a_book_never_a_crash) {
  for (const PriceBook& book : shipped_books()) {
    const int rejected = rejected_mutations(read_json(book.path), 800, [](const JsonFile& file) {
      const std::vector<PriceBook> decoded = {decode_price_book(file)};
      for (const char* profile : {"h100-sxm", "h800-sxm"}) quote(decoded, profile), absence(decoded, profile);
    });
    EXPECT_GT(rejected, 200) << book.id;
    EXPECT_LT(rejected, 800) << book.id;
  }
}

}  // namespace
}  // namespace chokepoint
