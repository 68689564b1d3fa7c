#include "gpu/ops/delta_ops.h"

#include "gpu/kernels/reconstruct.h"
#include "tests/gpu/ops/cases.h"
#include "tests/gpu/ops/test_plane.h"

namespace signum::ops {
namespace {

using kernels::Element;
using kernels::RowStats;

// Bits, zeros and sums must be the reference's to the last bit.
void CheckPack(Backend& backend, Report& report, std::mt19937& random, Element base_type,
               Element fine_type, int64_t rows, int64_t columns) {
  const auto n = static_cast<size_t>(columns);
  const Floats before = RandomFloats(random, rows * columns);
  Floats after = before;
  for (float& value : after) {
    if (random() % 4 != 0) value += RandomFloats(random, 1, 0.05F)[0];
  }
  const std::vector<uint8_t> base = Encode(base_type, before);
  const std::vector<uint8_t> fine = Encode(fine_type, after);
  const size_t row_bytes = kernels::BitBytes(n);
  const OnDevice<uint8_t> on_base(backend, base);
  const OnDevice<uint8_t> on_fine(backend, fine);
  const OnDevice<uint8_t> sign(backend, static_cast<size_t>(rows) * row_bytes);
  const OnDevice<uint8_t> mask(backend, static_cast<size_t>(rows) * row_bytes);
  const OnDevice<RowStats> stats(backend, std::vector<RowStats>(static_cast<size_t>(rows)));
  DeltaOpsOf(backend).SignPack({base_type, fine_type, on_base.data(), on_fine.data(), sign.data(),
                                mask.data(), stats.data(), rows, columns});
  std::vector<uint8_t> signs(static_cast<size_t>(rows) * row_bytes);
  std::vector<uint8_t> masks(signs.size());
  const std::vector<RowStats> got = stats.Get();
  const kernels::ConstRow from{base_type, base.data()};
  const kernels::ConstRow to{fine_type, fine.data()};
  const std::string what = std::to_string(rows) + " x " + std::to_string(columns) + " types " +
                           std::to_string(static_cast<int>(base_type)) + " " +
                           std::to_string(static_cast<int>(fine_type));
  for (size_t i = 0; i < static_cast<size_t>(rows); ++i) {
    const RowStats expected =
        kernels::reference::SignPackRow(from.From(i * n), to.From(i * n), n,
                                        signs.data() + i * row_bytes, masks.data() + i * row_bytes);
    report.True(got[i].sum_abs == expected.sum_abs, what + ": sum of row " + std::to_string(i));
    report.True(got[i].zeros == expected.zeros, what + ": zeros of row " + std::to_string(i));
  }
  report.Equal(sign.Get(), signs, what + ": signs");
  report.Equal(mask.Get(), masks, what + ": mask");
}

void Packs(Backend& backend, Report& report) {
  std::mt19937 random(1);
  for (const Element type : {Element::kF64, Element::kF32, Element::kF16, Element::kBF16}) {
    for (const int64_t columns : {1, 7, 8, 64, 100, 520, 4096, 4104, 9000}) {
      CheckPack(backend, report, random, type, type, 1 + columns % 11, columns);
    }
  }
  CheckPack(backend, report, random, Element::kF32, Element::kBF16, 5, 200);
  CheckPack(backend, report, random, Element::kF16, Element::kF64, 3, 64);
}

void Reconstructs(Backend& backend, Report& report) {
  std::mt19937 random(2);
  const Element types[] = {Element::kF64, Element::kF32, Element::kF16, Element::kBF16};
  for (unsigned form = 0; form < 32; ++form) {
    const int64_t rows = 4;
    const int64_t columns = form % 3 == 0 ? 33 : form % 3 == 1 ? 64 : 2056;
    const Element base_type = types[form % 4];
    const Element out_type = form % 5 == 0 ? types[random() % 4] : base_type;
    const std::vector<uint8_t> base = Encode(base_type, RandomFloats(random, rows * columns));
    const TestPlane plane = RandomTestPlane(random, rows, columns, form / 4);
    const OnDevicePlane on_plane(backend, plane);
    const OnDevice<uint8_t> on_base(backend, base);
    const size_t bytes = static_cast<size_t>(rows * columns) * kernels::ElementBytes(out_type);
    const OnDevice<uint8_t> out(backend, bytes);
    ReconstructArgs args;
    args.weight.base_type = base_type;
    args.weight.base = on_base.data();
    args.weight.planes[0] = on_plane.get;
    args.weight.plane_count = 1;
    args.weight.rows = rows;
    args.weight.columns = columns;
    args.out_type = out_type;
    args.out = out.data();
    DeltaOpsOf(backend).Reconstruct(args);
    std::vector<uint8_t> expected(bytes);
    const size_t row_bytes = kernels::BitBytes(static_cast<size_t>(columns));
    for (int64_t i = 0; i < rows; ++i) {
      const auto first = static_cast<size_t>(i * columns);
      const size_t at = static_cast<size_t>(i) * row_bytes;
      kernels::reference::ReconstructRow(
          kernels::ConstRow{base_type, base.data()}.From(first),
          {plane.sign.data() + at, plane.mask.empty() ? nullptr : plane.mask.data() + at,
           RowAt(plane, i), plane.col.empty() ? nullptr : plane.col.data()},
          static_cast<size_t>(columns), kernels::MutableRow{out_type, expected.data()}.From(first));
    }
    report.Equal(out.Get(), expected, "form " + std::to_string(form));
  }
}

void Stages(Backend& backend, Report& report) {
  std::mt19937 random(3);
  const size_t stage = size_t{8} << 20;
  for (const size_t bytes : {size_t{0}, size_t{1}, stage, stage * 3 + 12345}) {
    const std::vector<uint8_t> from = RandomBytes(random, bytes);
    const OnDevice<uint8_t> to(backend, bytes);
    size_t next = 0;
    const bool whole = DeltaOpsOf(backend).StageUpload(
        to.data(), bytes, [&](size_t offset, void* buffer, size_t size) {
          report.True(offset == next, "pieces in order");
          next = offset + size;
          std::copy_n(from.data() + offset, size, static_cast<uint8_t*>(buffer));
          return true;
        });
    report.True(whole && next == bytes, "whole");
    report.Equal(to.Get(), from, std::to_string(bytes) + " bytes");
  }
  const OnDevice<uint8_t> to(backend, 100);
  report.True(
      !DeltaOpsOf(backend).StageUpload(to.data(), 100, [](size_t, void*, size_t) { return false; }),
      "ended by its source");
}

}  // namespace

std::vector<Case> DeltaCases() {
  return {Case{"DeltaPacks", Packs}, Case{"DeltaReconstructs", Reconstructs},
          Case{"DeltaStages", Stages}};
}

}  // namespace signum::ops
