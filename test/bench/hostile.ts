/** CPU time until a hostile body of POST /graphql is refused: decoding, counting, parsing, limits, validation. Required: 10 ms. */

import { plainParams } from '../../src/graphql/parameters.ts'
import { createPerformer } from '../../src/graphql/perform.ts'
import { schema } from '../../src/graphql/schema.ts'
import { systemCaller } from '../../src/platform/access.ts'
import { systemClock } from '../../src/platform/clock.ts'
import { refusalOfJson } from '../../src/platform/json-body.ts'
import { utf8Text } from '../../src/platform/utf8.ts'
import type { App } from '../../src/platform/work.ts'
import { hostileBodies } from '../support/hostile.ts'
import type { BenchResult } from './run.ts'

const mostMs = 10
const rounds = 5

export default async function hostile(): Promise<BenchResult> {
  // Refusing needs no database.
  const app = { clock: systemClock, db: { outages: { note: () => null } } } as unknown as App
  const performer = createPerformer({ app, schema })
  const asker = { caller: systemCaller('0190a6c8-0000-7000-8000-000000000002'), requestId: 'bench' }

  const isRefused = (bytes: Buffer): boolean => {
    if (refusalOfJson(bytes)) return true
    const params = plainParams(utf8Text(bytes))
    return params !== null && 'errors' in performer.prepare(params, asker)
  }
  const rows = hostileBodies.map(({ name, body, code, limit }) => {
    const taken: number[] = []
    for (let round = 0; round < rounds; round++) {
      // Each round has another text, since documents are cached.
      const bytes = Buffer.from(body.replace(/"}$/, `${' '.repeat(round)}"}`))
      const before = process.cpuUsage()
      if (!isRefused(bytes)) throw new Error(`${name} is not refused`)
      const { user, system } = process.cpuUsage(before)
      taken.push((user + system) / 1_000)
    }
    taken.sort((a, b) => a - b)
    const kB = Math.round(body.length / 1_000)
    return { body: name, kB, refused: limit ?? code, 'median ms CPU': Number(taken[Math.floor(rounds / 2)]!.toFixed(2)), limit: mostMs }
  })
  return { scenario: 'Hostile bodies', rows, passed: rows.every((row) => row['median ms CPU'] < mostMs) }
}
