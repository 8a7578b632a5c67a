#include "kernels/api/recurrent.h"

namespace tandem {

RecurrentGeometry recurrent_geometry(const RecurrentOptions& options, const Shape& x, const Shape& w, const Shape& r) {
  require(x.rank() == 3 && w.rank() == 3 && r.rank() == 3, "X, W and R must have rank 3", to_string(x), to_string(w),
          to_string(r));
  const int64_t gates = options.cell == RecurrentCell::kLstm ? 4 : options.cell == RecurrentCell::kGru ? 3 : 1;
  const RecurrentGeometry of = {
      x[options.batch_first ? 1 : 0], x[options.batch_first ? 0 : 1], x[2], r[2], options.directions, gates};
  const int64_t rows = checked_mul(gates, of.hidden, "rows of R");
  require(
      w == Shape({of.directions, rows, of.inputs}) && r == Shape({of.directions, rows, of.hidden}),
      "W must be [directions, gates * hidden, inputs] and R [directions, gates * hidden, hidden] (W, R, directions, gates, X)",
      to_string(w), to_string(r), of.directions, gates, to_string(x));
  return of;
}

}  // namespace tandem
