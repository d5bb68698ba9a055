/** Databases for tests: copies of the migrated template, real and alone. Made once for a file, or for a test that spoils its own. */
import { randomUUID } from 'node:crypto'
import { inject } from 'vitest'
import { createDatabase, dropDatabase, executeScript } from '../../src/platform/db/database.ts'
import { assertNoLeak, canaryOf } from './canary.ts'
import { assertPublished } from './published.ts'

export type TestDatabase = { url: string; drop(): Promise<void> }

/** A migrated database with no rows but those that migrations make. `drop` cuts whatever is still connected, and throws when it holds a secret of a test in the clear, or an event that doesn't fit its schema. */
export async function createTestDatabase(): Promise<TestDatabase> {
  return make(inject('templateName'))
}

/** A database with nothing in it. */
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

/** Moves the time of one database, as its SQL sees it (`app_now()`), by so many milliseconds from the real time. */
export async function shiftClock(url: string, byMs: number): Promise<void> {
  const shift = `now() + interval ''${byMs} milliseconds''`
  await executeScript(
    url,
    `CREATE OR REPLACE FUNCTION app_now() RETURNS timestamptz LANGUAGE sql STABLE PARALLEL SAFE AS 'SELECT ${shift}'`,
  )
}
