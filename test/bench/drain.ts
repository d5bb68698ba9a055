/** SIGTERM under a load of requests, twenty times: how many accepted requests failed, and how long the shutdown took. */

import { loadApi } from '../support/api-load.ts'
import { startServer } from '../support/server.ts'
import { until } from '../support/wait.ts'
import type { BenchResult } from './run.ts'

const rounds = 20

export default async function bench(): Promise<BenchResult> {
  const server = await startServer()
  const rows: BenchResult['rows'] = []
  try {
    for (const [name, pauseMs] of [
      ['without a pause', 0],
      ['with pauses up to 20 ms', 20],
    ] as const) {
      const failures: string[] = []
      const tookMs: number[] = []
      let answered = 0
      for (let round = 0; round < rounds; round++) {
        const { load, ended } = loadApi({ url: server.url, key: server.key, pauseMs })
        await until('requests are answered', () => load.answered > 100)
        const begun = performance.now()
        await server.kill('SIGTERM')
        tookMs.push(performance.now() - begun)
        const done = await ended
        answered += done.answered
        failures.push(...done.failures)
        await server.start()
      }
      tookMs.sort((a, b) => a - b)
      const [median, longest] = [tookMs[rounds / 2]!, tookMs.at(-1)!].map(Math.round)
      rows.push({ load: name, SIGTERMs: rounds, answered, failed: failures.length, 'median ms': median!, 'longest ms': longest! })
      for (const failure of failures) console.error(failure)
    }
  } finally {
    await server.close()
  }
  return { scenario: 'drain', rows, passed: rows.every((row) => row.failed === 0) }
}
