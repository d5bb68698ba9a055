/** S5: CPU time to resolve 50 bound secrets of three scopes and decrypt their values. Required: 0.8 ms; goal: 0.4 ms. */

import { join } from 'node:path'
import { startScratchPostgres } from '../../src/cli/scratch-postgres.ts'
import { defaultFallback, scopes } from '../../src/domain/apps/project/index.ts'
import { type Bound, openValue, resolve } from '../../src/domain/configuration/resolution/index.ts'
import { openKeyring } from '../../src/platform/crypto.ts'
import { createDatabase } from '../../src/platform/db/database.ts'
import { createDb } from '../../src/platform/db/index.ts'
import { migrate } from '../../src/platform/db/migrate.ts'
import { newId } from '../../src/platform/id.ts'
import { readSettings, Secret } from '../../src/platform/settings.ts'
import type { App } from '../../src/platform/work.ts'
import type { BenchResult } from './run.ts'

const secrets = 50
const rounds = 9
const perRound = 400
const floorMs = 0.8

export default async function s5(): Promise<BenchResult> {
  const postgres = await startScratchPostgres()
  const url = await createDatabase(postgres.url, 'bench', 'template0')
  await migrate({ url, directory: join(import.meta.dirname, '..', '..', 'prisma', 'migrations') })
  const db = createDb({ url, poolSize: 2 })
  try {
    const settings = { ...readSettings({}), MASTER_KEYS: new Secret(`1:${Buffer.alloc(32, 7).toString('base64')}`) }
    const keyring = await openKeyring(db, settings)
    const app = { db, keyring } as unknown as App
    const organizationId = newId()
    const at = new Date()
    const bindings: Bound[] = []
    for (let n = 0; n < secrets; n++) {
      const rows = []
      for (const [index, scope] of scopes.entries()) {
        // A third of them in each scope, so that fallback chains are followed.
        if (index < n % 3) continue
        const id = newId()
        const identity = `secret_version:${id}:value`
        const value = `value-${n}-${scope}-0123456789abcdef`
        rows.push({
          id,
          scope,
          isSecret: true,
          version: 1,
          isRevoked: false,
          fingerprint: await keyring.fingerprint(db, organizationId, value),
          isShort: false,
          writtenAt: at,
          writtenBy: 'bench',
          value: { identity, sealed: await keyring.seal(db, organizationId, identity, value) },
        })
      }
      bindings.push({
        id: newId(),
        alias: `SECRET_${n}`,
        key: `SECRET_${n}`,
        boundScope: 'DEVELOPMENT',
        boundAt: at,
        boundBy: 'bench',
        rows,
      })
    }
    const facts = {
      environmentType: 'PRODUCTION' as const,
      fallback: defaultFallback,
      envVars: [],
      bindings,
      connections: [],
      defaults: [],
    }
    const once = async () => {
      const values: Record<string, string> = {}
      for (const { key, value } of resolve(facts).variables) values[key] = await openValue({ app, tx: db }, organizationId, value)
      return values
    }
    const found = await once()
    const isRight = Object.keys(found).length === secrets && found.SECRET_0?.includes('PRODUCTION') && found.SECRET_1?.includes('STAGING')
    if (!isRight) throw new Error('the resolution is not the right one; nothing is measured')

    const perCall: number[] = []
    for (let round = 0; round <= rounds; round++) {
      const before = process.cpuUsage()
      for (let n = 0; n < perRound; n++) await once()
      const { user, system } = process.cpuUsage(before)
      // The first round is a warm-up.
      if (round > 0) perCall.push((user + system) / 1000 / perRound)
    }
    perCall.sort((a, b) => a - b)
    const median = perCall[Math.floor(perCall.length / 2)]!
    const shown = (ms: number) => Number(ms.toFixed(3))
    return {
      scenario: `S5 resolve ${secrets} bound secrets`,
      rows: [{ 'median ms CPU': shown(median), min: shown(perCall[0]!), max: shown(perCall.at(-1)!), floor: floorMs, goal: 0.4 }],
      passed: median < floorMs,
    }
  } finally {
    await db.close()
    await postgres.end()
  }
}
