#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <numeric>
#include <random>
#include <string>
#include <vector>

#include "gpu/cuda/loader.h"
#include "gpu/ops/delta_ops.h"
#include "gpu/ops/serve_ops.h"

// usage: cuda_bench
// Times the kernels of the CUDA module at the shapes of a 7B model on random data, beside the two
// ceilings measured in the same run: a copy's bytes read and written a second (CopyRows over 1
// GiB), and the rate of a large float32 product. Each figure is the median of kRuns, of which each
// repeats the kernel over and over for longer than a launch takes and waits once. Exit 77 without a
// device.

namespace {

using namespace signum::ops;
using signum::kernels::Element;

constexpr int kRuns = 7;
constexpr int kRepeats = 20;

double Seconds(Backend& backend, const std::function<void(int)>& work) {
  work(0);
  std::string error = backend.TakeError();
  std::vector<double> runs;
  for (int run = 0; run < kRuns; ++run) {
    const auto start = std::chrono::steady_clock::now();
    for (int i = 0; i < kRepeats; ++i) work(i);
    error += backend.TakeError();  // waits
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
    runs.push_back(took.count() / kRepeats);
  }
  if (!error.empty()) std::printf("   ERROR %s\n", error.c_str());
  std::nth_element(runs.begin(), runs.begin() + kRuns / 2, runs.end());
  return runs[kRuns / 2];
}

// Random bytes in which every 16 bits are a bfloat16, and every 32 a float, of ordinary size.
Buffer<uint8_t> Random(Backend& backend, size_t bytes) {
  static std::mt19937_64 random(1);
  std::vector<uint64_t> words(bytes / 8 + 1);
  for (uint64_t& word : words) {
    word = (random() & 0x807f807f807f807fULL) | 0x3c003c003c003c00ULL;
  }
  Buffer<uint8_t> buffer(backend, bytes);
  if (!buffer) {
    std::printf("   ERROR no memory for %zu bytes\n", bytes);
    std::exit(1);
  }
  backend.Upload(words.data(), buffer.data(), bytes);
  return buffer;
}

struct Ceilings {
  double bytes, flops;
};

void Print(const char* what, double seconds, double amount, double ceiling, const char* unit) {
  std::printf("%-44s %9.1f us %8.1f %s %5.2f of the ceiling\n", what, seconds * 1e6,
              amount / seconds * 1e-9, unit, amount / seconds / ceiling);
}

float* Floats(const Buffer<uint8_t>& buffer) { return reinterpret_cast<float*>(buffer.data()); }

Ceilings Measure(Backend& backend) {
  const int64_t rows = 1 << 14;
  const int64_t n = 1 << 14;
  const auto from = Random(backend, static_cast<size_t>(rows * n) * 4);
  const auto to = Random(backend, static_cast<size_t>(rows * n) * 4);
  const double copy = Seconds(backend, [&](int) {
    backend.CopyRows({Floats(from), Floats(to), rows, n, n, n});
  });
  const int64_t side = 8192;
  const double product = Seconds(backend, [&](int) {
    backend.MatMul(Linear(Floats(from), Floats(to), Floats(from) + side * side, side, side, side));
  });
  Ceilings ceilings{static_cast<double>(rows * n) * 8 / copy,
                    2.0 * static_cast<double>(side * side * side) / product};
  std::printf("copy %.1f GB/s, float32 product %.1f GFLOP/s\n", ceilings.bytes * 1e-9,
              ceilings.flops * 1e-9);
  return ceilings;
}

// 4096 x 11008, the MLP of a 7B model; 90 MB in bf16, so several are taken in turn to outrun the
// second-level cache.
constexpr int64_t kRows = 11008;
constexpr int64_t kColumns = 4096;
constexpr double kWeights = static_cast<double>(kRows * kColumns);

void Deltas(Backend& backend, const Ceilings& ceilings) {
  DeltaOps& delta = DeltaOpsOf(backend);
  const int64_t sets = 4;
  const auto base = Random(backend, static_cast<size_t>(sets * kRows * kColumns) * 2);
  const auto fine = Random(backend, static_cast<size_t>(sets * kRows * kColumns) * 2);
  const auto sign = Random(backend, static_cast<size_t>(sets * kRows * kColumns) / 8);
  const auto out = Random(backend, static_cast<size_t>(kRows * kColumns) * 4);
  const auto scales = Random(backend, static_cast<size_t>(kRows + kColumns) * 4);
  const auto grads = Random(backend, static_cast<size_t>(kRows + kColumns) * 4);
  const Buffer<signum::kernels::RowStats> stats(backend, kRows);
  const auto at = [&](const Buffer<uint8_t>& all, int i) {
    return all.data() + static_cast<int64_t>(all.size()) / sets * (i % sets);
  };
  double seconds = Seconds(backend, [&](int i) {
    delta.SignPack({Element::kBF16, Element::kBF16, at(base, i), at(fine, i), at(sign, i), nullptr,
                    stats.data(), kRows, kColumns});
  });
  Print("sign and pack, bf16", seconds, kWeights * 4.125, ceilings.bytes, "GB/s");
  ReconstructArgs rebuild;
  rebuild.weight.base_type = rebuild.out_type = Element::kBF16;
  rebuild.weight.plane_count = 1;
  rebuild.weight.rows = kRows;
  rebuild.weight.columns = kColumns;
  rebuild.out = out.data();
  const auto plane = [&](int i) {
    return SignPlane{at(sign, i), nullptr, Floats(scales), Floats(scales) + kRows, false};
  };
  seconds = Seconds(backend, [&](int i) {
    rebuild.weight.base = at(base, i);
    rebuild.weight.planes[0] = plane(i);
    delta.Reconstruct(rebuild);
  });
  Print("reconstruct, bf16", seconds, kWeights * 4.125, ceilings.bytes, "GB/s");
  MaterializeArgs materialize = rebuild.weight;
  materialize.out = Floats(out);
  seconds = Seconds(backend, [&](int i) {
    materialize.base = at(base, i);
    materialize.planes[0] = plane(i);
    backend.Materialize(materialize);
  });
  Print("materialize, bf16 to float32", seconds, kWeights * 6.125, ceilings.bytes, "GB/s");
  seconds = Seconds(backend, [&](int i) {
    backend.SignGrad({plane(i), Floats(i % 2 == 0 ? base : fine), Floats(grads),
                      Floats(grads) + kRows, kRows, kColumns});
  });
  Print("scale gradients", seconds, kWeights * 4.125, ceilings.bytes, "GB/s");
  const auto x = Random(backend, size_t{512} * kRows * 4);
  const auto y = Random(backend, size_t{512} * kRows * 4);
  for (const bool input_grad : {false, true}) {
    seconds = Seconds(backend, [&](int i) {
      delta.SignProduct({plane(i), Floats(x), Floats(y), 512, kRows, kColumns, input_grad, false});
    });
    Print(input_grad ? "dY · D, 512 rows" : "X · Dᵀ, 512 rows", seconds, 1024 * kWeights,
          ceilings.flops, "GFLOP/s");
  }
  const int64_t bytes = int64_t{1} << 29;
  const auto data = Random(backend, static_cast<size_t>(bytes));
  const Buffer<uint8_t> digests(backend, static_cast<size_t>(bytes / 65536 * 32));
  seconds = Seconds(backend, [&](int) {
    delta.ChunkDigests({data.data(), digests.data(), bytes, 65536});
  });
  Print("SHA-256 of 64 KiB chunks, 512 MiB", seconds, static_cast<double>(bytes), ceilings.bytes,
        "GB/s");
}

// One token each for T tenants: the floor is the base's and T deltas' bytes at the copy's rate.
void Tenants(Backend& backend, const Ceilings& ceilings) {
  const int64_t most = 64;
  const auto base = Random(backend, static_cast<size_t>(kRows * kColumns) * 2);
  const auto signs = Random(backend, static_cast<size_t>(most * kRows * kColumns) / 8);
  const auto scales = Random(backend, static_cast<size_t>(kRows + kColumns) * 4);
  const auto x = Random(backend, static_cast<size_t>(most * kColumns) * 4);
  const auto y = Random(backend, static_cast<size_t>(most * kRows) * 4);
  std::vector<SignPlane> planes;
  std::vector<int32_t> tenants;
  for (int64_t t = 0; t < most; ++t) {
    planes.push_back({signs.data() + t * kRows * kColumns / 8, nullptr, Floats(scales),
                      Floats(scales) + kRows, false});
    tenants.push_back(static_cast<int32_t>(t));
  }
  const Buffer<SignPlane> on_planes(backend, planes.size());
  const Buffer<int32_t> on_tenants(backend, tenants.size());
  backend.Upload(planes.data(), on_planes.data(), planes.size() * sizeof(SignPlane));
  backend.Upload(tenants.data(), on_tenants.data(), tenants.size() * sizeof(int32_t));
  for (int64_t t = 1; t <= most; t *= 2) {
    const double seconds = Seconds(backend, [&](int) {
      DeltaOpsOf(backend).TenantProduct({Element::kBF16, base.data(), on_planes.data(),
                                         on_tenants.data(), Floats(x), Floats(y), t, kRows,
                                         kColumns});
    });
    const std::string what = "product for tenants, T = " + std::to_string(t);
    Print(what.c_str(), seconds, kWeights * (2 + static_cast<double>(t) / 8), ceilings.bytes,
          "GB/s");
  }
}

// A token each of 32 sequences of 4096 tokens, 32 heads over 8 of keys: the floor is their keys and
// values at the copy's rate.
void Attention(Backend& backend, const Ceilings& ceilings) {
  PagedAttentionArgs args;
  args.rows = 32;
  args.heads = 32;
  args.kv_heads = 8;
  args.head_dim = 128;
  args.block_tokens = 16;
  args.table_stride = 256;
  const int64_t tokens = args.table_stride * args.block_tokens;
  std::vector<int32_t> tables(static_cast<size_t>(args.rows * args.table_stride));
  std::iota(tables.begin(), tables.end(), 0);
  std::shuffle(tables.begin(), tables.end(), std::mt19937(2));
  std::vector<int32_t> rows(static_cast<size_t>(args.rows));
  std::iota(rows.begin(), rows.end(), 0);
  const std::vector<int32_t> lengths(rows.size(), static_cast<int32_t>(tokens));
  const auto upload = [&](const std::vector<int32_t>& values) {
    Buffer<int32_t> buffer(backend, values.size());
    backend.Upload(values.data(), buffer.data(), values.size() * sizeof(int32_t));
    return buffer;
  };
  const auto on_tables = upload(tables);
  const auto on_rows = upload(rows);
  const auto on_lengths = upload(lengths);
  const auto side = static_cast<size_t>(args.rows * tokens * args.kv_heads * args.head_dim) * 4;
  const auto k = Random(backend, side);
  const auto v = Random(backend, side);
  const auto width = static_cast<size_t>(args.rows * args.heads * args.head_dim) * 4;
  const auto q = Random(backend, width);
  const auto out = Random(backend, width);
  args.q = Floats(q);
  args.k = Floats(k);
  args.v = Floats(v);
  args.out = Floats(out);
  args.tables = on_tables.data();
  args.row_tables = on_rows.data();
  args.lengths = on_lengths.data();
  const double seconds = Seconds(backend, [&](int) { ServeOpsOf(backend)->PagedAttention(args); });
  Print("paged attention, 32 x 4096 tokens", seconds, 2 * static_cast<double>(side), ceilings.bytes,
        "GB/s");
}

// From host memory through the pinned buffers, beside what the same copy does in one piece.
void Transfers(Backend& backend) {
  const size_t bytes = size_t{1} << 29;
  const std::vector<uint8_t> host(bytes, 1);
  const Buffer<uint8_t> device(backend, bytes);
  const double staged = Seconds(backend, [&](int) {
    DeltaOpsOf(backend).StageUpload(device.data(), bytes, [&](size_t at, void* to, size_t size) {
      std::copy_n(host.data() + at, size, static_cast<uint8_t*>(to));
      return true;
    });
  });
  const double plain =
      Seconds(backend, [&](int) { backend.Upload(host.data(), device.data(), bytes); });
  std::printf("upload of 512 MiB: staged %.1f GB/s, plain %.1f GB/s\n",
              static_cast<double>(bytes) / staged * 1e-9,
              static_cast<double>(bytes) / plain * 1e-9);
}

}  // namespace

int main() {
  signum::cuda::LoadFailure failure;
  const auto backend = signum::cuda::LoadBackend({}, &failure);
  if (backend == nullptr) {
    std::printf("skipped: %s\n", failure.why.c_str());
    return 77;
  }
  const Ceilings ceilings = Measure(*backend);
  Deltas(*backend, ceilings);
  Tenants(*backend, ceilings);
  Attention(*backend, ceilings);
  Transfers(*backend);
  return 0;
}
