/** Databases for tests: copies of the migrated template. Created once for a file, or for a single test that would disturb others. */
import { randomUUID } from 'node:crypto'
import { inject } from 'vitest'
import { createDatabase, dropDatabase, executeScript } from '../../src/platform/db/database.ts'
import type { App } from '../../src/platform/work.ts'
import { assertNoLeak, canaryOf } from './canary.ts'
import { assertPublished } from './published.ts'

export type TestDatabase = { url: string; drop(): Promise<void> }

/**
 * A migrated database with only the rows that migrations insert. `drop` closes remaining connections, and throws if the database
 * contains a secret of a test in plaintext, or an event that does not match its schema.
 */
export async function createTestDatabase(): Promise<TestDatabase> {
  return make(inject('templateName'))
}

/** An empty database. */
export async function createEmptyDatabase(): Promise<TestDatabase> {
  return make('template0')
}

async function make(template: string): Promise<TestDatabase> {
  const server = inject('postgresUrl')
  const name = `test_${randomUUID().replaceAll('-', '')}`
  const url = await createDatabase(server, name, template)
  let isDropped = false
  const drop = async () => {
    if (isDropped) return
    isDropped = true
    try {
      assertNoLeak(await canaryOf(url).searchDatabase(url))
      await assertPublished(url, { inventedTypes: true })
    } finally {
      await dropDatabase(server, name)
    }
  }
  return { url, drop }
}

/**
 * Sets the clocks of a database and of some processes to the middle of a minute, so that none ends during a test. Returns the shift from the
 * real time in milliseconds.
 */
export async function setToMidMinute(url: string, ...apps: App[]): Promise<number> {
  const byMs = 20_000 - (Date.now() % 60_000)
  await shiftClock(url, byMs)
  for (const app of apps) app.clock = { now: () => new Date(Date.now() + byMs), elapsedMs: () => performance.now() }
  return byMs
}

/** Shifts `app_now()` of one database by a number of milliseconds from the real time. */
export async function shiftClock(url: string, byMs: number): Promise<void> {
  const shift = `now() + interval ''${byMs} milliseconds''`
  await executeScript(
    url,
    `CREATE OR REPLACE FUNCTION app_now() RETURNS timestamptz LANGUAGE sql STABLE PARALLEL SAFE AS 'SELECT ${shift}'`,
  )
}
