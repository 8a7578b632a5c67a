"use strict";
// What the server said, moment by moment, and what lies between two moments. Counters begin anew when a model is loaded anew.
const kKept = 120;  // snapshots, one a second
const kAll = "";    // the key of all models together

const keyOf = model => JSON.stringify([model.name, model.version]);

function grown(now, before, reset) {
  const old = new Map(reset || !before ? [] : before);
  return now.map(([at, count]) => [at, count - (old.get(at) || 0)]).filter(([, count]) => count > 0);
}

// What one model did between two snapshots.
function change(now, before) {
  const reset = !before || before.requests === undefined || now.requests < before.requests || now.failures < before.failures;
  const since = name => now[name] - (reset ? 0 : before[name]);
  return {requests: since("requests"), failures: since("failures"), queued: now.queued,
          batches: grown(now.batches, before && before.batches, reset), latency: grown(now.latency_ns, before && before.latency_ns, reset)};
}

function sumPairs(lists) {
  const sums = new Map();
  for (const list of lists) for (const [at, count] of list) sums.set(at, (sums.get(at) || 0) + count);
  return [...sums].sort((a, b) => a[0] - b[0]);
}

// The value that `share` of all do not exceed; null if there are none.
function percentile(pairs, share) {
  let left = share * pairs.reduce((sum, [, count]) => sum + count, 0);
  if (left === 0) return null;
  for (const [at, count] of pairs) if ((left -= count) <= 1e-9) return at;
  return pairs[pairs.length - 1][0];
}

class History {
  constructor() { this.snapshots = []; }

  add(status, seconds) {
    const models = new Map(status.models.filter(model => model.requests !== undefined).map(model => [keyOf(model), model]));
    this.snapshots.push({status, seconds, models, points: new Map()});
    if (this.snapshots.length > kKept) this.snapshots.shift();
  }

  get last() { return this.snapshots[this.snapshots.length - 1]; }

  // What happened up to snapshot `index` in the `window` before it, of one model or of all.
  between(index, window, key) {
    const now = this.snapshots[index], before = this.snapshots[Math.max(0, index - window)];
    const keys = key === kAll ? [...now.models.keys()] : now.models.has(key) ? [key] : [];
    const changes = index === 0 ? [] : keys.map(k => change(now.models.get(k), before.models.get(k) || {}));
    const sum = name => changes.reduce((total, one) => total + one[name], 0);
    const seconds = Math.max(now.seconds - before.seconds, 1e-3);
    const latency = sumPairs(changes.map(one => one.latency));
    return {seconds: now.seconds, rate: sum("requests") / seconds, failures: sum("failures") / seconds, queued: sum("queued"),
            batches: sumPairs(changes.map(one => one.batches)), p50: percentile(latency, .5), p99: percentile(latency, .99)};
  }

  // A point for each snapshot, kept with it: rates of one second, percentiles of five.
  points(key) {
    return this.snapshots.map((snapshot, index) => {
      if (!snapshot.points.has(key)) {
        const {p50, p99} = this.between(index, 5, key), {seconds, rate, queued} = this.between(index, 1, key);
        snapshot.points.set(key, {seconds, rate, queued, p50, p99});
      }
      return snapshot.points.get(key);
    });
  }

  recent(window, key) { return this.between(this.snapshots.length - 1, window, key); }
}
