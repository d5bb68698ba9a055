/** A process of the control plane for tests: the real platform on a test database. A database can have several. */
import { randomUUID } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { concepts } from '../../src/domain/index.ts'
import { systemClock } from '../../src/platform/clock.ts'
import { assemble, type Concept } from '../../src/platform/concept.ts'
import { type Keyring, openKeyring } from '../../src/platform/crypto.ts'
import { createDb } from '../../src/platform/db/index.ts'
import { createWake } from '../../src/platform/db/wake.ts'
import { createLogger } from '../../src/platform/log.ts'
import { readSettings } from '../../src/platform/settings.ts'
import type { App } from '../../src/platform/work.ts'
import { assertNoLeak, canaryOf } from './canary.ts'

/** One master key for all test processes, so that each can open what another has sealed. */
const masterKey = `1:${Buffer.alloc(32, 7).toString('base64')}`

export type TestApp = App & {
  /** The parsed lines of the log so far. */
  logged: Record<string, unknown>[]
  close(): Promise<void>
}

/** `settings` are environment variables that override the defaults, e.g. `{ WORKER_LEASE_MS: '500' }`. `extra`: concepts of the test itself. */
export async function createTestApp(url: string, settings: Record<string, string> = {}, extra: readonly Concept[] = []): Promise<TestApp> {
  const directory = await mkdtemp(join(tmpdir(), 'quayside-app-'))
  // Tests send more requests than a minute admits.
  const RATE_LIMITS = 'platform=1000000,auth=1000000,oec-ro=1000000,oec-rw=1000000,ocore=1000000,bridge=1000000,authentication=1000000'
  const read = readSettings({
    RATE_LIMITS,
    PATH: process.env.PATH,
    DATA_DIR: directory,
    MASTER_KEYS: masterKey,
    LOG_LEVEL: 'debug',
    ...settings,
  })
  const logged: Record<string, unknown>[] = []
  const log = createLogger(read.LOG_LEVEL, { write: (line) => void logged.push(JSON.parse(line) as Record<string, unknown>) })
  const db = createDb({ url, poolSize: 10, log })
  const wake = await createWake(db)
  return {
    db,
    wake,
    log,
    keyring: recorded(url, await openKeyring(db, read)),
    clock: systemClock,
    settings: read,
    domain: assemble([...concepts, ...extra]),
    processId: `test ${randomUUID()}`,
    logged,
    async close() {
      await wake.close()
      await db.close()
      await rm(directory, { recursive: true, force: true })
      assertNoLeak(canaryOf(url).search("the program's log", logged.map((line) => JSON.stringify(line)).join('\n')))
    },
  }
}

/** A keyring whose plaintext values are searched for when the database is dropped. */
function recorded(url: string, keyring: Keyring): Keyring {
  const record = (identity: string, plain: string) => {
    if (/^(certificate|acme_account):/.test(identity)) return canaryOf(url).addPrivateKey(plain)
    if (!/^(mail|outbox_mail):/.test(identity)) return canaryOf(url).add(plain)
    const { text, html } = JSON.parse(plain) as { text?: string | null; html?: string | null }
    for (const body of [text, html]) if (body) canaryOf(url).addText(body)
  }
  return {
    ...keyring,
    seal(tx, organizationId, identity, plain) {
      record(identity, plain)
      return keyring.seal(tx, organizationId, identity, plain)
    },
    sealAll(tx, organizationId, values) {
      for (const { identity, plain } of values) record(identity, plain)
      return keyring.sealAll(tx, organizationId, values)
    },
  }
}
