// Shapes of pooling (ONNX MaxPool-22, AveragePool-22), for both twins.
#include "kernels/api/pool.h"

namespace tandem {

Shape pool_shape(const Shape& x, const Window& window) {
  Shape y{x[0], x[1]};
  for (int i = 3 - window.rank; i < 3; ++i) y.push_back(window.output[static_cast<size_t>(i)]);
  return Shape(y.dims());
}

void check_pool(const Window& w, const Shape& x, const Shape& y) {
  bool fits = x.rank() == w.rank + 2;
  for (int i = 0; fits && i < w.rank; ++i) fits = x[2 + i] == w.input[static_cast<size_t>(3 - w.rank + i)];
  ensure(fits, "input of a pool does not fit its window", to_string(x));
  ensure(y == pool_shape(x, w), "output of a pool does not fit its window", to_string(y), to_string(pool_shape(x, w)));
}

void check_global_pool(const Shape& x, const Shape& y) {
  ensure(x.rank() >= 2 && y.elements() == x[0] * x[1], "global average pool of the wrong shape", to_string(x), to_string(y));
}

}  // namespace tandem
