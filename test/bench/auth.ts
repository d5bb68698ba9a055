/** CPU time to authenticate a request whose credential was used a moment ago: an access token and an API key. Required: under 20 µs. */
import { join } from 'node:path'
import { startScratchPostgres } from '../../src/cli/scratch-postgres.ts'
import { callerOfCredential, createApiKey } from '../../src/domain/access/api-key/index.ts'
import { login, type SignedIn } from '../../src/domain/access/session/index.ts'
import { execute } from '../../src/platform/command.ts'
import { credentialOfHeaders } from '../../src/platform/credential.ts'
import { createDatabase } from '../../src/platform/db/database.ts'
import { migrate } from '../../src/platform/db/migrate.ts'
import { createTestApp } from '../support/app.ts'
import { password, withPassword } from '../support/person.ts'
import { createTenant, request } from '../support/tenant.ts'
import type { BenchResult } from './run.ts'

const rounds = 9
const perRound = 50_000
const mostMicroseconds = 20

export default async function auth(): Promise<BenchResult> {
  const postgres = await startScratchPostgres()
  const url = await createDatabase(postgres.url, 'bench', 'template0')
  await migrate({ url, directory: join(import.meta.dirname, '..', '..', 'prisma', 'migrations') })
  const app = await createTestApp(url)
  try {
    const { owner } = await createTenant(app, 'acme')
    const email = await withPassword(app, owner)
    const { accessToken } = (await login(app, { email, password }, 'bench')) as SignedIn
    const { plaintextKey } = await execute(request(app, owner), createApiKey, { name: 'bench', scope: 'ADMIN' })
    const usual = {
      host: '127.0.0.1:4000',
      'content-type': 'application/json',
      accept: '*/*',
      'user-agent': 'bench',
      'content-length': '99',
    }
    const rows = []
    for (const [name, headers] of [
      ['access token', { ...usual, authorization: `Bearer ${accessToken}` }],
      ['access token in the cookie', { ...usual, cookie: `theme=dark; access_token=${accessToken}` }],
      ['access token, X-Org-Slug', { ...usual, authorization: `Bearer ${accessToken}`, 'x-org-slug': 'acme' }],
      ['API key', { ...usual, authorization: `Bearer ${plaintextKey}` }],
    ] as const) {
      const once = () => callerOfCredential(app, credentialOfHeaders(headers)!)
      const times: number[] = []
      for (let round = 0; round < rounds; round++) {
        if ((await once()) === null) throw new Error(`the ${name} is not valid`)
        const before = process.cpuUsage()
        for (let n = 0; n < perRound; n++) {
          // A cached caller is returned at once. The second that it is cached for ends several times a round.
          const caller = once()
          if (caller instanceof Promise) await caller
        }
        const { user, system } = process.cpuUsage(before)
        times.push((user + system) / perRound)
      }
      times.sort((a, b) => a - b)
      rows.push({
        credential: name,
        'µs CPU (median)': Number(times[Math.floor(rounds / 2)]!.toFixed(2)),
        'µs CPU (most)': Number(times.at(-1)!.toFixed(2)),
      })
    }
    return { scenario: 'Authentication', rows, passed: rows.every((row) => row['µs CPU (median)'] < mostMicroseconds) }
  } finally {
    await app.close()
    await postgres.end()
  }
}
