/** Servers that run and do not respond. */
import { readFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { specOf } from '../../../src/domain/resources/database/index.ts'
import { createManagedPostgres } from '../../../src/drivers/postgres/managed.ts'
import { createManagedReplicas } from '../../../src/drivers/postgres/managed-replica.ts'
import { responds } from '../../../src/drivers/postgres/response.ts'
import type { Database } from '../../../src/generated/prisma/client.ts'
import { type Connection, openConnection } from '../../../src/platform/db/connection.ts'
import { row, sql } from '../../../src/platform/db/index.ts'
import { decodeId } from '../../../src/platform/id.ts'
import { until } from '../../support/wait.ts'
import { ports, useShop } from './support.ts'

const responseTimes = { everyMs: 200, answerMs: 1_000 }
const shop = useShop(
  ({ settings }) => createManagedPostgres({ dataDir: settings.DATA_DIR, ports, responseTimes }),
  ({ settings }) => createManagedReplicas({ dataDir: settings.DATA_DIR, responseTimes }),
)

const idOf = (id: string) => decodeId(id.startsWith('db_') ? 'Database' : 'DatabaseReplica', id)
const dataOf = (id: string) => join(shop.app.settings.DATA_DIR, 'databases', idOf(id), 'data')
const postmaster = async (id: string) => Number((await readFile(join(dataOf(id), 'postmaster.pid'), 'utf8')).split('\n')[0])
const socketOf = async (id: string) => {
  const [, , , port, folder] = (await readFile(join(dataOf(id), 'postmaster.pid'), 'utf8')).split('\n')
  return `${folder}/.s.PGSQL.${port}`
}
const eventsOf = async (id: string): Promise<string[]> => {
  const { rows } = await shop.app.db.pool.query('select type from event where subject_id = $1 order by id', [idOf(id)])
  return rows.map(({ type }) => type)
}

/** Stops all execution of a server while `work` runs. */
async function paused(pid: number, work: () => Promise<void>): Promise<void> {
  process.kill(pid, 'SIGSTOP')
  try {
    await work()
  } finally {
    process.kill(pid, 'SIGCONT')
  }
}

it('a database and a replica are FAILED while their server hangs, and RUNNING when it responds again, on the same server', async () => {
  const database = await shop.createDatabase('Hanging')
  const neighbor = await shop.createDatabase('Neighbor')
  const { createDatabaseReplica } = await shop.run(
    'mutation ($d: ID!) { createDatabaseReplica(input: {databaseId: $d}) { databaseReplica { id } } }',
    { d: database.id },
  )
  const copy: string = createDatabaseReplica.databaseReplica.id
  type Shown = { status: string; statusMessage: string | null }
  const shownReplica = async (): Promise<Shown> =>
    (await shop.run('query ($id: ID!) { database(id: $id) { replicas { status statusMessage } } }', { id: database.id })).database
      .replicas[0]
  const untilBoth = (status: string) =>
    until(`both are ${status}`, async () => {
      const states = [await shop.status(database.id), await shownReplica()]
      return states.every((one) => one?.status === status)
    })
  await untilBoth('RUNNING')
  const pids = [await postmaster(database.id), await postmaster(copy)]

  await paused(pids[0]!, () =>
    paused(pids[1]!, async () => {
      await untilBoth('FAILED')
      expect((await shop.status(database.id))?.statusMessage).toMatch(/^The database does not respond\./)
      expect((await shownReplica()).statusMessage).toMatch(/^The replica does not respond\./)
      expect(await responds(await socketOf(database.id), 100)).toBe(false)
    }),
  )
  await untilBoth('RUNNING')

  expect([await postmaster(database.id), await postmaster(copy)]).toEqual(pids)
  expect(await shop.status(database.id)).toEqual({ status: 'RUNNING', statusMessage: null })
  for (const [id, name] of [
    [database.id, 'database'],
    [copy, 'database_replica'],
  ] as const)
    expect(await eventsOf(id)).toEqual(['created', 'started', 'failed', 'recovered'].map((verb) => `${name}.${verb}`))
  expect(await eventsOf(neighbor.id)).toEqual(['database.created', 'database.started'])
})

describe('a question to a server', () => {
  it('is answered when all its connections are in use, and leaves nothing in its log', async () => {
    const { id } = await shop.createDatabase('Busy')
    const found = (await row<Database>(shop.app.db, sql`select * from database where id = ${idOf(id)}::uuid`))!
    const { superuserPassword, port } = await specOf({ app: shop.app, tx: shop.app.db }, found)
    const socket = await socketOf(id)
    const host = encodeURIComponent(dirname(socket))
    expect(await responds(socket, 10_000)).toBe(true)
    const sessions: Connection[] = []
    try {
      await expect(openAll(`postgresql://quayside:${superuserPassword}@localhost:${port}/postgres?host=${host}`, sessions)).rejects.toThrow(
        'too many clients',
      )
      expect(await responds(socket, 10_000)).toBe(true)
    } finally {
      for (const session of sessions) await session.close()
    }
    const logged = (await readFile(join(dataOf(id), '../server.log'), 'utf8')).split('\n')
    expect(logged.filter((line) => /FATAL|startup packet|authenticat|EOF/.test(line) && !line.includes('too many clients'))).toEqual([])
  })

  it('is not answered where no server listens', async () => {
    expect(await responds(join(shop.app.settings.DATA_DIR, 'nothing'), 10_000)).toBe(false)
  })
})

/** Opens sessions until the server refuses one, and throws that. */
async function openAll(url: string, sessions: Connection[]): Promise<never> {
  for (;;) sessions.push(await openConnection(url))
}
