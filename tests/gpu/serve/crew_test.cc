#include "gpu/ops/crew.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <numeric>
#include <thread>
#include <utility>

#include "gpu/kernels/element.h"
#include "gpu/ops/paged_attention.h"
#include "gpu/ops/tenant_product.h"
#include "tests/gpu/codec_support.h"

namespace signum::ops {
namespace {

TEST(Crew, DoesEachPieceOnce) {
  for (const int threads : {1, 2, 5}) {
    Crew crew(threads);
    EXPECT_EQ(crew.threads(), threads);
    for (int call = 0; call < 2000; ++call) {
      std::vector<int> done(static_cast<size_t>(call % 37));  // each written by one thread alone
      crew.Run(static_cast<int64_t>(done.size()),
               [&](int64_t piece) { ++done[static_cast<size_t>(piece)]; });
      EXPECT_EQ(done, std::vector<int>(done.size(), 1));
    }
  }
}

TEST(Crew, WakesFromSleepAndWaitsForTheSlow) {
  Crew crew(3);
  for (int call = 0; call < 3; ++call) {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    std::vector<int> done(6);
    crew.Run(6, [&](int64_t piece) {
      std::this_thread::sleep_for(std::chrono::milliseconds(piece));
      done[static_cast<size_t>(piece)] = 1;
    });
    EXPECT_EQ(std::accumulate(done.begin(), done.end(), 0), 6);
  }
}

TEST(Crew, TwoCallersDoNotWaitForEachOther) {
  Crew crew(2);
  std::atomic<int> met = 0;
  const auto call = [&] {
    crew.Run(2, [&](int64_t) {
      ++met;
      while (met < 2) std::this_thread::yield();  // for another piece, of whichever call
    });
  };
  std::thread other(call);
  call();
  other.join();
  EXPECT_EQ(met, 4);
}

TEST(Divide, CoversEverythingInUnits) {
  Crew crew(4);
  for (const int64_t n : {0, 1, 23, 24, 100, 1000}) {
    for (const int64_t cost : {int64_t{0}, int64_t{1} << 10, int64_t{1} << 20}) {
      std::vector<int> seen(static_cast<size_t>(n));
      Divide(&crew, n, 24, cost, [&](int64_t first, int64_t count) {
        EXPECT_EQ(first % 24, 0);
        for (int64_t i = first; i < first + count; ++i) ++seen[static_cast<size_t>(i)];
      });
      EXPECT_EQ(seen, std::vector<int>(seen.size(), 1)) << n;
    }
  }
}

TEST(TenantProduct, ACrewChangesNoBit) {
  constexpr int64_t kTenants = 5, kRows = 1003, kColumns = 517;
  const auto bits = kernels::BitBytes(kColumns);
  const auto w = RandomValues(kRows * kColumns, 1, 1);
  const auto x = RandomValues(kTenants * kColumns, 2, 1);
  const auto scales = RandomValues(kRows + kColumns, 3, 1);
  std::vector<uint8_t> sign(kRows * bits), mask(kRows * bits);
  for (size_t i = 0; i < sign.size(); ++i) {
    sign[i] = static_cast<uint8_t>(i * 167 + i / 251);
    mask[i] = static_cast<uint8_t>(i * 59 + i / 31);
  }
  const SignPlane planes[] = {{sign.data(), nullptr, scales.data(), scales.data() + kRows, false},
                              {sign.data(), mask.data(), scales.data(), nullptr, true}};
  const int32_t tenants[] = {0, 1, -1, 0, 0};
  Crew crew(3);
  std::vector<std::vector<float>> results;
  for (Crew* with : {static_cast<Crew*>(nullptr), &crew}) {
    std::vector<float> y(kTenants * kRows);
    TenantProduct({kernels::Element::kF32, w.data(), planes, tenants, x.data(), y.data(), kTenants,
                   kRows, kColumns},
                  with);
    results.push_back(std::move(y));
  }
  EXPECT_EQ(results[0], results[1]);
}

TEST(PagedAttention, ACrewChangesNoBit) {
  constexpr int64_t kRows = 9, kHeads = 4, kKvHeads = 2, kDim = 64, kBlock = 16, kBlocks = 40;
  const auto q = RandomValues(kRows * kHeads * kDim, 1, 1);
  const auto k = RandomValues(kBlocks * kBlock * kKvHeads * kDim, 2, 1);
  const auto v = RandomValues(kBlocks * kBlock * kKvHeads * kDim, 3, 1);
  std::vector<int32_t> table(kBlocks), rows(kRows), lengths(kRows);
  for (int32_t i = 0; i < kBlocks; ++i) table[static_cast<size_t>(i)] = (i * 7) % kBlocks;
  for (int32_t r = 0; r < kRows; ++r) lengths[static_cast<size_t>(r)] = 1 + r * 79;
  Crew crew(3);
  std::vector<std::vector<float>> results;
  for (Crew* with : {static_cast<Crew*>(nullptr), &crew}) {
    std::vector<float> out(kRows * kHeads * kDim);
    PagedAttentionArgs args;
    args.q = q.data();
    args.k = k.data();
    args.v = v.data();
    args.out = out.data();
    args.tables = table.data();
    args.row_tables = rows.data();
    args.lengths = lengths.data();
    args.rows = kRows;
    args.table_stride = kBlocks;
    args.block_tokens = kBlock;
    args.heads = kHeads;
    args.kv_heads = kKvHeads;
    args.head_dim = kDim;
    PagedAttention(args, with);
    results.push_back(std::move(out));
  }
  EXPECT_EQ(results[0], results[1]);
}

}  // namespace
}  // namespace signum::ops
