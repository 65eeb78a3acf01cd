// Which published numbers follow from what is known? Each claim's derived interval beside the number it published.
#include <fmt/format.h>

#include <algorithm>

#include "harness/report/html/picture.hpp"

namespace chokepoint {
namespace {

constexpr double kClaimRow = 33.0, kClaimTop = 24.0, kClaimLeft = 14.0, kClaimRight = 292.0, kClaimEdge = 430.0;

std::string claim_name(const ClaimNumber& one) { return one.number.empty() ? one.id : one.id + ", " + one.number; }

std::string claim_number_text(double value, const std::string& unit) {
  return fmt::format("{}{}{}", tick_text(value), unit.empty() ? "" : " ", unit);
}

std::string claim_published_text(const ClaimNumber& one) {
  return one.published ? claim_number_text(*one.published, one.unit) : "";
}

std::string claim_derived_text(const ClaimNumber& one) {
  if (!one.derived) return "none";
  if (!one.interval) return claim_number_text(*one.derived, one.unit) + " (arithmetic)";
  return fmt::format("{} [{}, {}] {}", tick_text(*one.derived), tick_text(one.interval->low),
                     tick_text(one.interval->high), one.unit);
}

bool is_drawn_claim(const ClaimNumber& one) {
  return one.derived && one.published && *one.derived > 0.0 && *one.published > 0.0;
}

std::size_t claim_series(const ClaimNumber& one) { return one.side == ClaimSide::fails ? 1 : 0; }

DataTable claim_table(const std::vector<ClaimNumber>& claims) {
  DataTable table{{{"claim"}, {"published", true}, {"derived", true}, {"verdict"}, {"why"}, {"rests on"}, {"source"}},
                  {}};
  for (const ClaimNumber& one : claims)
    table.rows.push_back({{one.number.empty() ? one.statement : fmt::format("{} ({})", one.statement, one.number)},
                          {claim_published_text(one), one.published},
                          {claim_derived_text(one), one.derived},
                          {one.verdict},
                          {one.reason},
                          {one.inputs},
                          {one.source}});
  return table;
}

Scale claim_scale(const std::vector<const ClaimNumber*>& shown) {
  std::vector<double> values = {1.0};
  for (const ClaimNumber* one : shown) {
    values.push_back(*one->derived / *one->published);
    if (one->interval && one->interval->low > 0.0)
      values.push_back(one->interval->low / *one->published), values.push_back(one->interval->high / *one->published);
  }
  return scale_around(values, Spacing::logarithmic, kClaimLeft, kClaimRight);
}

void draw_claim(Canvas& canvas, const Scale& x, const ClaimNumber& one, double y) {
  canvas.words({kClaimLeft, y - 9}, fitted(claim_name(one), kClaimEdge - kClaimLeft), "small");
  canvas.words({kClaimEdge, y + 4}, fitted(one.verdict, kClaimEdge - kClaimRight - 8),
               one.side == ClaimSide::fails ? "small strong" : "small", Anchor::end);
  if (one.interval && one.interval->low > 0.0)
    canvas.line({x.at(one.interval->low / *one.published), y}, {x.at(one.interval->high / *one.published), y},
                "range " + series_class(claim_series(one)));
  canvas.point({x.at(*one.derived / *one.published), y}, claim_series(one),
               fmt::format("{}: published {}, derived {}: {} ({})", one.statement, claim_published_text(one),
                           claim_derived_text(one), one.verdict, one.reason),
               one.side == ClaimSide::open ? "open" : "", 3.6);
}

std::string claim_credentials(const std::vector<ClaimNumber>& claims, std::size_t drawn) {
  return fmt::format(
      "Basis: projected by models of claims. Numbers: n = {}, {} drawn. Interval: 90 % of the draws of each claim's "
      "assumptions. Source: the claim files, each with its citation in the table.",
      claims.size(), drawn);
}

DrawnPicture draw_claims(const PictureInput& input) {
  const ReportBeside& beside = input.report.beside;
  if (!beside.has_claims) return {.panels = {}, .left_out = "no claims were asked for (--claims '*')"};
  std::vector<const ClaimNumber*> shown;
  for (const ClaimNumber& one : beside.claims)
    if (is_drawn_claim(one) && shown.size() < kMostRows) shown.push_back(&one);
  const double bottom = kClaimTop + kClaimRow * static_cast<double>(shown.size()) + 6;
  Canvas canvas(bottom + 42);
  const Scale x = claim_scale(shown);
  draw_x_ticks(canvas, x, 5, kClaimTop - 6, bottom);
  canvas.line({x.at(1.0), kClaimTop - 6}, {x.at(1.0), bottom}, "one");
  canvas.words({x.at(1.0), 12}, "1 = as published", "small", x.at(1.0) > 200 ? Anchor::end : Anchor::middle);
  canvas.words({kClaimLeft, bottom + 33}, "derived over published (logarithmic)");
  for (std::size_t i = 0; i < shown.size(); ++i)
    draw_claim(canvas, x, *shown[i], kClaimTop + kClaimRow * (static_cast<double>(i) + 0.75));
  Panel panel{
      .title = "",
      .svg = canvas.svg("claims-0", "Derived against published numbers", "One row per number; the table has all."),
      .captions = {claim_credentials(beside.claims, shown.size())},
      .table = {}};
  return {.panels = {std::move(panel)}, .left_out = "", .below = claim_table(beside.claims)};
}

const Register<Picture> claims_picture{
    {.name = "claims",
     .place = 10,
     .title = "Published claims, and what follows from what is known",
     .how_to_read =
         "The mark is what was derived, the bar its interval, the dashed line what was published. A bar that "
         "reaches the line is consistent with the claim; a hollow mark stands for an interval too wide, or "
         "inputs too weak, to say more.",
     .draw = draw_claims}};

}  // namespace
}  // namespace chokepoint
