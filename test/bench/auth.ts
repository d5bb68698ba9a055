/** CPU time from the headers of a request to its caller, with a credential that the process knows. Required: 20 µs. */
import { join } from 'node:path'
import { startScratchPostgres } from '../../src/cli/scratch-postgres.ts'
import { callerOfCredential, createApiKey } from '../../src/domain/access/api-key/index.ts'
import type { Caller } from '../../src/platform/access.ts'
import { execute } from '../../src/platform/command.ts'
import { credentialOfHeaders } from '../../src/platform/credential.ts'
import { createDatabase } from '../../src/platform/db/database.ts'
import { migrate } from '../../src/platform/db/migrate.ts'
import { createTestApp, type TestApp } from '../support/app.ts'
import { createTenant } from '../support/tenant.ts'
import type { BenchResult } from './run.ts'

const rounds = 9
const perRound = 50_000
const mostMicros = 20

type Headers = Record<string, string>

/** Headers with a valid credential, by its name in the table. */
const credentials: Record<string, (app: TestApp, owner: Caller) => Promise<Headers>> = {
  'API key': async (app, owner) => {
    const { plaintextKey } = await execute({ app, caller: owner, requestId: 'bench' }, createApiKey, { name: 'bench', scope: 'ADMIN' })
    return { authorization: `Bearer ${plaintextKey}` }
  },
}

export default async function bench(): Promise<BenchResult> {
  const postgres = await startScratchPostgres()
  const url = await createDatabase(postgres.url, 'bench', 'template0')
  await migrate({ url, directory: join(import.meta.dirname, '..', '..', 'prisma', 'migrations') })
  const app = await createTestApp(url, { LOG_LEVEL: 'warn' })
  try {
    const { owner } = await createTenant(app)
    const rows: BenchResult['rows'] = []
    for (const [credential, headersOf] of Object.entries(credentials)) {
      rows.push({ credential, ...(await measure(app, await headersOf(app, owner))), required: mostMicros })
    }
    return { scenario: 'auth', rows, passed: rows.every((row) => Number(row['median µs CPU']) < mostMicros) }
  } finally {
    await app.close()
    await postgres.end()
  }
}

async function measure(app: TestApp, headers: Headers): Promise<Record<string, number>> {
  const authenticate = () => callerOfCredential(app, credentialOfHeaders(headers)!)
  if ((await authenticate()) === null) throw new Error('the credential is refused; nothing is measured')
  const perRequest: number[] = []
  for (let round = 0; round <= rounds; round++) {
    const before = process.cpuUsage()
    for (let n = 0; n < perRound; n++) {
      // A promise, when the credential is looked up again, once a second.
      const caller = authenticate()
      if (caller instanceof Promise) await caller
    }
    const { user, system } = process.cpuUsage(before)
    // The first round is a warm-up.
    if (round > 0) perRequest.push((user + system) / perRound)
  }
  perRequest.sort((a, b) => a - b)
  const shown = (micros: number) => Number(micros.toFixed(2))
  return {
    'median µs CPU': shown(perRequest[Math.floor(perRequest.length / 2)]!),
    min: shown(perRequest[0]!),
    max: shown(perRequest.at(-1)!),
  }
}
