#include "gpu/model/rope_periods.h"

#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>
#include <numbers>

namespace signum {
namespace {

using Json = nlohmann::json;

std::vector<double> Periods(const Json& config, int64_t head_dim, int64_t positions = 2048) {
  const auto periods = RopeInversePeriods(config, head_dim, positions);
  EXPECT_TRUE(periods.has_value()) << (periods ? "" : periods.error().message);
  return periods ? *periods : std::vector<double>();
}

void ExpectNear(const std::vector<double>& got, const std::vector<double>& expected) {
  ASSERT_EQ(got.size(), expected.size());
  for (size_t i = 0; i < got.size(); ++i)
    EXPECT_NEAR(got[i], expected[i], 1e-14 * expected[i]) << i;
}

TEST(RopePeriods, ArePowersOfTheta) {
  // 10000^(-2i/8): each a tenth of the one before.
  ExpectNear(Periods(Json::object(), 8), {1, 0.1, 0.01, 0.001});
  ExpectNear(Periods({{"rope_theta", 256.0}}, 4), {1, 0.0625});
  ExpectNear(Periods({{"rope_theta", 256}, {"rope_scaling", nullptr}}, 4), {1, 0.0625});
}

TEST(RopePeriods, ReadThetaFromRopeParametersToo) {
  const Json config = {{"rope_theta", 10000.0},
                       {"rope_parameters", {{"rope_type", "default"}, {"rope_theta", 256.0}}}};
  ExpectNear(Periods(config, 4), {1, 0.0625});
}

TEST(RopePeriods, LinearDividesAll) {
  for (const char* key : {"type", "rope_type"}) {
    const Json config = {{"rope_scaling", {{key, "linear"}, {"factor", 4.0}}}};
    ExpectNear(Periods(config, 8), {0.25, 0.025, 0.0025, 0.00025});
  }
}

Json Llama3(double original) {
  return {{"rope_scaling",
           {{"rope_type", "llama3"},
            {"factor", 8.0},
            {"low_freq_factor", 1.0},
            {"high_freq_factor", 4.0},
            {"original_max_position_embeddings", original}}}};
}

TEST(RopePeriods, Llama3KeepsShortBlendsAndDividesLongWaves) {
  // Wavelengths 2π·10^i. Of 40π positions, i = 0 makes 20 turns (≥ 4: kept), i = 1 makes 2, a third
  // of the way from 1 to 4, and i = 2 and 3 less than one: divided.
  const double original = 40 * std::numbers::pi;
  ExpectNear(Periods(Llama3(original), 8),
             {1, 0.1 * (1.0 / 3 + (2.0 / 3) / 8), 0.01 / 8, 0.001 / 8});
}

TEST(RopePeriods, Llama3MeetsAtTheEdgesOfThePassage) {
  // Exactly 4 turns are kept, exactly 1 is divided.
  ExpectNear(Periods(Llama3(8 * std::numbers::pi), 2), {1});
  ExpectNear(Periods(Llama3(2 * std::numbers::pi), 2), {0.125});
}

TEST(RopePeriods, Llama3TakesMaxPositionsWhereNoOriginalIsGiven) {
  Json config = Llama3(1);
  config["rope_scaling"].erase("original_max_position_embeddings");
  Json given = Llama3(300);
  EXPECT_EQ(Periods(config, 16, 300), Periods(given, 16, 9));
}

void ExpectRefused(const Json& config, const std::string& reason, const std::string& part) {
  const auto periods = RopeInversePeriods(config, 8, 2048);
  ASSERT_TRUE(periods.has_error()) << config;
  EXPECT_EQ(periods.error().code, Errc::kUnusable);
  EXPECT_EQ(periods.error().reason, reason);
  EXPECT_NE(periods.error().message.find(part), std::string::npos) << periods.error().message;
}

TEST(RopePeriods, NameBadNumbers) {
  for (const Json& bad : std::vector<Json>{0, -1.0, "8", nullptr, Json::array()}) {
    if (!bad.is_null()) ExpectRefused({{"rope_theta", bad}}, "bad_config", "'rope_theta'");
    const Json linear = {{"rope_scaling", {{"type", "linear"}, {"factor", bad}}}};
    ExpectRefused(linear, "bad_config", "'factor'");
    for (const std::string field : {"factor", "low_freq_factor", "high_freq_factor"}) {
      Json config = Llama3(64);
      config["rope_scaling"][field] = bad;
      ExpectRefused(config, "bad_config", "'" + field + "'");
    }
  }
  Json crossed = Llama3(64);
  crossed["rope_scaling"]["high_freq_factor"] = 1.0;
  ExpectRefused(crossed, "bad_config", "high_freq_factor is not above low_freq_factor");
}

TEST(RopePeriods, NameMissingFields) {
  for (const std::string field : {"factor", "low_freq_factor", "high_freq_factor"}) {
    Json config = Llama3(64);
    config["rope_scaling"].erase(field);
    ExpectRefused(config, "bad_config", "'" + field + "'");
  }
}

TEST(RopePeriods, NameWhatTheyDoNotKnow) {
  for (const std::string type : {"yarn", "dynamic", "longrope", "ntk"}) {
    ExpectRefused({{"rope_scaling", {{"type", type}, {"factor", 2.0}}}}, "unknown_architecture",
                  "'" + type + "'");
  }
  ExpectRefused({{"rope_scaling", {{"partial_rotary_factor", 0.25}}}}, "unknown_architecture",
                "partial_rotary_factor");
  ExpectRefused({{"rope_scaling", "linear"}}, "bad_config", "'rope_scaling'");
  ExpectRefused({{"rope_scaling", 2}}, "bad_config", "'rope_scaling'");
}

}  // namespace
}  // namespace signum
