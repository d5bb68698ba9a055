/** The order and number of the supervisor's actions, with servers that only pretend to run. */
import { availableParallelism } from 'node:os'
import { expect, it } from 'vitest'
import type { DatabaseEngine } from '../../../src/domain/resources/database/ports.ts'
import { systemClock } from '../../../src/platform/clock.ts'
import { decodeId } from '../../../src/platform/id.ts'
import { until } from '../../support/wait.ts'
import { useShop } from './support.ts'

const running = new Set<string>()
/** Starts of databases whose name begins with `hanging`. */
const hanging: PromiseWithResolvers<void>[] = []
const removals: string[] = []
/** What observations and removals wait for. */
let [looking, removing] = [Promise.resolve(), Promise.resolve()]
let looks = 0
let starting = 0
let startingMost = 0

const engine: Partial<DatabaseEngine> = {
  place: async () => ({ host: '127.0.0.1', candidates: Array.from({ length: 50 }, (_, n) => 20_000 + n), ownsPort: true, version: '18.4' }),
  async observe(databases) {
    looks++
    await looking
    return new Map(databases.map(({ id }) => [id, running.has(id) ? 'running' : 'stopped']))
  },
  async start({ id, databaseName }) {
    starting++
    startingMost = Math.max(startingMost, starting)
    if (databaseName.startsWith('hanging')) {
      const start = Promise.withResolvers<void>()
      hanging.push(start)
      await start.promise
    }
    running.add(id)
    starting--
  },
  async remove({ id }) {
    removals.push(id)
    await removing
    running.delete(id)
  },
}
const shop = useShop(() => engine as DatabaseEngine)

async function create(name: string): Promise<string> {
  const { createDatabase } = await shop.run(
    'mutation ($p: ID!, $name: String!) { createDatabase(input: {projectId: $p, name: $name}) { database { id } } }',
    { p: shop.projectId, name },
  )
  return createDatabase.database.id
}

it('starts a few servers at a time, and one that hangs holds its place for a few seconds only', async () => {
  const places = Math.max(3, availableParallelism())
  const stuck = await Promise.all(Array.from({ length: places }, () => create('hanging')))
  await until('they hang', () => hanging.length === places)
  const waiting = await Promise.all(Array.from({ length: 20 }, () => create('waiting')))
  expect(startingMost).toBe(places)

  let laterMs = 0
  Object.assign(shop.app, { clock: { ...systemClock, elapsedMs: () => systemClock.elapsedMs() + laterMs } })
  laterMs = 5_000
  for (const id of waiting) await shop.untilStatus(id, 'RUNNING')
  for (const id of stuck) expect(await shop.status(id)).toMatchObject({ status: 'CREATING' })
  expect(startingMost).toBeLessThanOrEqual(2 * places)
  for (const { resolve } of hanging) resolve()
  for (const id of stuck) await shop.untilStatus(id, 'RUNNING')
})

it('does not repeat an action that has ended since it looked at the rows', async () => {
  const id = await create('going')
  await shop.untilStatus(id, 'RUNNING')
  const [look, removal] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
  removing = removal.promise
  await shop.run('mutation ($id: ID!) { deleteDatabase(input: {id: $id}) { deletedId } }', { id })
  await until('it is being removed', () => removals.length === 1)
  looking = look.promise
  const before = looks
  await until('another pass has read its row', () => looks > before)
  removal.resolve()
  await shop.untilGone(id)
  look.resolve()
  const after = looks
  await until('the next pass looks', () => looks > after)
  expect(removals).toEqual([decodeId('Database', id)])
})
