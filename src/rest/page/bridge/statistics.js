/** What the history of speed tests says, as numbers. */

/** @typedef {{ test_type: 'light' | 'heavy', latency_ms: number | null, status: 'succeeded' | 'failed', tested_at: string, details: string | null }} Test */

/** The smallest value that at least a share of the values does not exceed. @param {number[]} values @param {number} share */
export function percentile(values, share) {
  const sorted = values.toSorted((one, other) => one - other)
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)]
}

/** Latencies of the tests of a type that succeeded. @param {Test[]} tests @param {string} type */
export const latenciesOf = (tests, type) =>
  tests.flatMap(({ test_type, status, latency_ms }) =>
    test_type === type && status === 'succeeded' && latency_ms !== null ? [latency_ms] : [],
  )

/** @param {Test[]} tests @param {string} type */
export function summaryOf(tests, type) {
  const latencies = latenciesOf(tests, type)
  if (latencies.length === 0) return 'no test succeeded'
  const runs = latencies.length === 1 ? '1 test' : `${latencies.length} tests`
  return `p50 ${percentile(latencies, 0.5)} ms, p95 ${percentile(latencies, 0.95)} ms (${runs})`
}

/**
 * The columns of the plot, oldest first: milliseconds since 1970, latencies of light and of heavy tests, and 0 where a test failed.
 * @param {Test[]} tests newest first
 * @returns {[number[], (number | null)[], (number | null)[], (number | null)[]]}
 */
export function columnsOf(tests) {
  const oldestFirst = tests.toReversed()
  /** @param {(test: Test) => number | null} read */
  const column = (read) => oldestFirst.map(read)
  /** @param {string} type @returns {(test: Test) => number | null} */
  const latency = (type) => (test) => (test.test_type === type && test.status === 'succeeded' ? test.latency_ms : null)
  return [
    oldestFirst.map(({ tested_at }) => Date.parse(tested_at)),
    column(latency('light')),
    column(latency('heavy')),
    column(({ status }) => (status === 'failed' ? 0 : null)),
  ]
}
