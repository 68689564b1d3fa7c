#include "gpu/ops/matmul_bf16.h"

#include <vector>

#include "gpu/kernels/convert.h"

#if SIGNUM_HAVE_ONEDNN
#include <dnnl.hpp>

// OpenMP's, of the runtime that oneDNN brings; declared here because clang comes without its
// header.
extern "C" void omp_set_num_threads(int threads);
#endif

namespace signum::ops {
namespace {

using kernels::Element;
using Packed = std::vector<std::byte>;

// An operand as stored: rows of `columns` elements, `ld` apart.
struct Operand {
  const float* from;
  int64_t rows, columns, ld;
};
Operand A(const MatMulArgs& args) {
  const bool t = args.transpose_a;
  return {args.a, t ? args.k : args.m, t ? args.m : args.k, args.lda};
}
Operand B(const MatMulArgs& args) {
  const bool t = args.transpose_b;
  return {args.b, t ? args.n : args.k, t ? args.k : args.n, args.ldb};
}

// Its elements without what lies between rows, as `element`.
void Pack(const Operand& operand, Element element, Packed& to) {
  const size_t row = static_cast<size_t>(operand.columns) * kernels::ElementBytes(element);
  to.resize(static_cast<size_t>(operand.rows) * row);
  for (int64_t r = 0; r < operand.rows; ++r) {
    kernels::FromFloat(operand.from + r * operand.ld, static_cast<size_t>(operand.columns),
                       {element, to.data() + static_cast<size_t>(r) * row});
  }
}

// Its elements rounded to bf16, as float32.
void Round(const Operand& operand, Packed& scratch, std::vector<float>& to) {
  Pack(operand, Element::kBF16, scratch);
  to.resize(static_cast<size_t>(operand.rows * operand.columns));
  kernels::ToFloat({Element::kBF16, scratch.data()}, to.size(), to.data());
}

void EmulatedMatMul(const MatMulArgs& args) {
  thread_local Packed scratch;
  thread_local std::vector<float> a, b;
  Round(A(args), scratch, a);
  Round(B(args), scratch, b);
  MatMulArgs rounded = args;
  rounded.a = a.data();
  rounded.b = b.data();
  rounded.lda = A(args).columns;
  rounded.ldb = B(args).columns;
  MatMul(rounded);
}

}  // namespace

void Bf16MatMul(const MatMulArgs& args) {
  if (args.m == 0 || args.n == 0 || args.k == 0) return MatMul(args);
  if (HasBf16Products() && PrimitiveMatMul(args, Element::kBF16)) return;
  EmulatedMatMul(args);
}

#if SIGNUM_HAVE_ONEDNN

bool HasBf16Products() {
#if defined(__x86_64__)
  static const bool has = __builtin_cpu_supports("avx512bf16") > 0;
  return has;
#else
  return false;
#endif
}

void UseOneThread() {
  thread_local const bool single = (omp_set_num_threads(1), true);  // its own nthreads-var
  (void)single;
}

namespace {

const dnnl::engine& CpuEngine() {
  static const dnnl::engine engine(dnnl::engine::kind::cpu, 0);
  return engine;
}

// A packed operand [rows, columns], or its transpose, as oneDNN wants it described.
dnnl::memory::desc Describe(const Operand& operand, bool transpose, Element element) {
  const auto type =
      element == Element::kBF16 ? dnnl::memory::data_type::bf16 : dnnl::memory::data_type::f32;
  if (transpose) return {{operand.columns, operand.rows}, type, {1, operand.columns}};
  return {{operand.rows, operand.columns}, type, {operand.columns, 1}};
}

void Execute(const MatMulArgs& args, Element element, Packed& a, Packed& b) {
  const auto src = Describe(A(args), args.transpose_a, element);
  const auto weights = Describe(B(args), args.transpose_b, element);
  const dnnl::memory::desc dst({args.m, args.n}, dnnl::memory::data_type::f32, {args.ldc, 1});
  dnnl::primitive_attr attributes;
  if (args.accumulate) {
    dnnl::post_ops sum;
    sum.append_sum(1.0F);
    attributes.set_post_ops(sum);
  }
  const dnnl::matmul::primitive_desc primitive({src, weights, dst}, attributes, CpuEngine());
  Pack(A(args), element, a);
  Pack(B(args), element, b);
  thread_local dnnl::stream stream(CpuEngine());
  dnnl::matmul(primitive).execute(stream,
                                  {{DNNL_ARG_SRC, dnnl::memory(src, CpuEngine(), a.data())},
                                   {DNNL_ARG_WEIGHTS, dnnl::memory(weights, CpuEngine(), b.data())},
                                   {DNNL_ARG_DST, dnnl::memory(dst, CpuEngine(), args.c)}});
  stream.wait();
}

}  // namespace

bool PrimitiveMatMul(const MatMulArgs& args, Element element) {
  UseOneThread();
  thread_local Packed a, b;
  try {
    Execute(args, element, a, b);
    return true;
  } catch (const dnnl::error&) {  // thrown before anything is computed: no such primitive
    return false;
  }
}

#else

bool HasBf16Products() { return false; }
void UseOneThread() {}
bool PrimitiveMatMul(const MatMulArgs&, Element) { return false; }

#endif

}  // namespace signum::ops
