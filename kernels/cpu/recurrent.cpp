#include "kernels/api/recurrent.h"

#include "kernels/cpu/recurrent_run.h"

namespace tandem::cpu {

size_t RecurrentWeights::bytes() const {
  size_t sum = 0;
  for (const auto* all : {&w, &r, &r_gates, &r_candidate})
    for (const PackedMatrix& one : *all) sum += one.bytes();
  return sum;
}
std::vector<std::span<const std::byte>> RecurrentWeights::runs() const {
  std::vector<std::span<const std::byte>> runs;
  for (const auto* all : {&w, &r, &r_gates, &r_candidate})
    for (const PackedMatrix& one : *all) runs.emplace_back(one.data(), one.bytes());
  return runs;
}

RecurrentWeights pack_recurrent(const RecurrentOptions& options, ConstTensorView w, ConstTensorView r) {
  // Rows [first, first + rows) of direction d.
  const auto pack = [](ConstTensorView all, int64_t d, int64_t first, int64_t rows) {
    const int64_t columns = all.shape[2];
    const auto offset = static_cast<size_t>((d * all.shape[1] + first) * columns) * size_of(all.dtype);
    return pack_matrix({all.data + offset, all.dtype, Shape{rows, columns}}, true);
  };
  RecurrentWeights packed;
  for (int64_t d = 0; d < options.directions; ++d) {
    if (w) packed.w.push_back(pack(w, d, 0, w.shape[1]));
    if (!r) continue;
    if (options.cell == RecurrentCell::kGru && !options.linear_before_reset) {
      const int64_t hidden = r.shape[2];
      packed.r_gates.push_back(pack(r, d, 0, 2 * hidden));
      packed.r_candidate.push_back(pack(r, d, 2 * hidden, hidden));
    } else {
      packed.r.push_back(pack(r, d, 0, r.shape[1]));
    }
  }
  return packed;
}

void check_recurrent(const RecurrentOptions& options, const RecurrentInputs& in, const RecurrentGeometry& of) {
  const Shape state = options.batch_first ? Shape{of.batch, of.directions, of.hidden} : Shape{of.directions, of.batch, of.hidden};
  const auto check = [](ConstTensorView view, const Shape& wanted, const char* name) {
    require(!view || view.shape == wanted, "an input of a recurrent op has the wrong shape (input, has, wants)", name,
            to_string(view.shape), to_string(wanted));
  };
  check(in.b, {of.directions, 2 * of.gates * of.hidden}, "B");
  check(in.initial_h, state, "initial_h");
  check(in.initial_c, state, "initial_c");
  check(in.peepholes, {of.directions, 3 * of.hidden}, "P");
  check(in.lengths, {of.batch}, "sequence_lens");
  if (!in.lengths) return;
  for (int32_t length : in.lengths.as<int32_t>())
    require(length >= 0 && length <= of.steps, "sequence_lens must be within the steps (length, steps)", length, of.steps);
}

size_t recurrent_workspace(DType dtype, const RecurrentOptions& options, const RecurrentGeometry& of, int threads) {
  return visit_float(dtype, [&]<class T>() { return RecurrentScratch<T>(options, of, false, threads).bytes; });
}

void recurrent(const KernelContext& context, const RecurrentOptions& options, const RecurrentWeights& weights,
               const RecurrentInputs& in, const RecurrentOutputs& out) {
  const RecurrentGeometry of = recurrent_geometry(options, in.x.shape, in.w.shape, in.r.shape);
  check_recurrent(options, in, of);
  if (in.lengths && out.y && out.y.bytes() > 0) std::memset(out.y.data, 0, out.y.bytes());
  visit_float(in.x.dtype, [&]<class T>() {
    for (int64_t d = 0; d < of.directions; ++d) RecurrentRun<T>(context, options, weights, in, of, d, false).run(out);
  });
}

}  // namespace tandem::cpu
