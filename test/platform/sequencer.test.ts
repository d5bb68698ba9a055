import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { writeAudit } from '../../src/platform/audit.ts'
import { row, rows, run, sql } from '../../src/platform/db/index.ts'
import { publish } from '../../src/platform/events.ts'
import { encodeId, newId } from '../../src/platform/id.ts'
import { sequence, sequenceAll } from '../../src/platform/sequencer.ts'
import { type App, transact } from '../../src/platform/work.ts'
import { createTenant, createWorld, statementsOf, type Tenant, type World } from '../support/tenant.ts'
import { until } from '../support/wait.ts'
import { probeChanged, probes } from './execute-support.ts'

let world: World

beforeAll(async () => {
  world = await createWorld({}, [probes])
})
afterAll(() => world?.close())

/** A transaction that publishes an event of each subject and writes an audit entry; `hold` keeps it open. */
const write = (app: App, tenant: Tenant, subjects: readonly string[], hold: () => Promise<void> = async () => {}) =>
  transact(app, tenant.owner, { emits: app.domain.eventTypes.all }, async (work) => {
    for (const subjectId of subjects) {
      await publish(work, probeChanged, { subjectId, projectId: null, data: { projectId: encodeId('Project', subjectId), name: 'told' } })
    }
    writeAudit(work, { action: 'probe', details: { ä: 1.5, list: [1, null, 'x'] } })
    await hold()
  })

type EventRow = { position: bigint; subjectId: string; sequence: number; ordinal: bigint }
const positioned = () => rows<EventRow>(world.app.db, sql`select * from event where position is not null order by position`)

describe('positions', () => {
  it('have no gaps, keep the order of each subject, and never go behind what a reader has seen, with many writers', async () => {
    const tenant = await createTenant(world.app)
    const processes = [world.app, await world.process(), await world.process()]
    const subjects = Array.from({ length: 6 }, newId)
    let writing = true
    let last: bigint | undefined
    const seen: bigint[] = []
    let lost = 0
    const reader = (async () => {
      let cursor = 0n
      const known = new Set<bigint>()
      while (cursor !== last) {
        const found = await rows<EventRow>(world.app.db, sql`select * from event where position > ${cursor} order by position limit 50`)
        for (const event of found) {
          known.add(event.position)
          seen.push(event.position)
          cursor = event.position
        }
        lost += Number(
          (await row<{ n: number }>(
            world.app.db,
            sql`select count(*)::int as n from event where position <= ${cursor} and position <> all(${[...known]}::bigint[])`,
          ))!.n,
        )
      }
    })()
    const sequencers = [processes[1]!, processes[2]!].map(async (app) => {
      while (writing) await sequence(app)
    })
    await Promise.all(
      Array.from({ length: 8 }, async (_, writer) => {
        for (let n = 0; n < 25; n++) {
          // All writers publish subjects in the same order, because each subject is locked until the commit.
          const chosen = subjects.filter((_subject, index) => (writer * 7 + n * 3 + index) % 3 === 0)
          await write(processes[writer % 3]!, tenant, chosen)
        }
      }),
    )
    writing = false
    await Promise.all(sequencers)
    await sequenceAll(world.app)
    const events = await positioned()
    last = events.at(-1)!.position
    await reader

    expect(events.map((event) => event.position)).toEqual(events.map((_event, index) => BigInt(index + 1)))
    for (const subject of subjects) {
      const own = events.filter((event) => event.subjectId === subject).map((event) => event.sequence)
      expect(own).toEqual(own.map((_sequence, index) => index + 1))
    }
    expect({ lost, seen }).toEqual({ lost: 0, seen: events.map((event) => event.position) })
  })

  it('are assigned after the commit, in the order of commits', async () => {
    const tenant = await createTenant(world.app)
    const [slow, quick] = [newId(), newId()]
    const [inside, held] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
    const open = write(world.app, tenant, [slow], () => {
      inside.resolve()
      return held.promise
    })
    await inside.promise
    await write(world.app, tenant, [quick])
    await sequenceAll(world.app)
    held.resolve()
    await open
    await sequenceAll(world.app)
    const events = (await positioned()).filter((event) => [slow, quick].includes(event.subjectId))
    expect(events.map((event) => event.subjectId)).toEqual([quick, slow])
    expect(events[0]!.ordinal > events[1]!.ordinal).toBe(true)
  })

  it('are assigned once by two concurrent sequencers', async () => {
    const tenant = await createTenant(world.app)
    const second = await world.process()
    await sequenceAll(world.app)
    for (let n = 0; n < 5; n++) await write(world.app, tenant, [newId(), newId()])
    const waiting = 5 * 3
    const given = await Promise.all([sequence(world.app), sequence(second), sequence(world.app), sequence(second)])
    expect(given.reduce((sum, n) => sum + n, 0) + (await sequenceAll(world.app))).toBe(waiting)
    const events = await positioned()
    expect(events.map((event) => event.position)).toEqual(events.map((_event, index) => BigInt(index + 1)))
  })

  it('take one statement if nothing is waiting, and wake no listener', async () => {
    await sequenceAll(world.app)
    let woken = 0
    const off = world.app.wake.on('events', () => woken++)
    expect(await statementsOf(world.app, () => sequence(world.app))).toHaveLength(1)
    await write(world.app, await createTenant(world.app), [newId()])
    await sequenceAll(world.app)
    await until('the readers are woken', () => woken > 0)
    off()
  })
})

it('an audit entry gets its position and hash once', async () => {
  const tenant = await createTenant(world.app)
  await write(world.app, tenant, [])
  await sequenceAll(world.app)
  const again = sql`update audit_entry set position = null, hash = null where organization_id = ${tenant.organizationId}::uuid`
  await expect(run(world.app.db, again)).rejects.toThrow('append-only')
})

it.each([
  ['the action', `action = 'other'`],
  ["the actor's name", `actor_name = actor_name || ' '`],
  ['a detail', `details = '{"ä":1.5,"list":[1,null,"y"]}'`],
  ['the outcome', `outcome = 'DENIED'`],
  ['the organization', 'organization_id = gen_random_uuid()'],
  ['the id', 'id = gen_random_uuid()'],
])('an edit of %s of an audit entry together with its position is refused', async (_title, edit) => {
  const { organizationId } = await createTenant(world.app)
  await sequenceAll(world.app)
  const id = newId()
  const given = `'${id}', '${organizationId}', 'api_key', 'key', 'test', '{"ä": 1}'`
  const insertion = `insert into audit_entry (id, organization_id, actor_type, actor_name, action, details) values (${given})`
  const position = `update audit_entry set position = 2, hash = sha256('x')`
  const client = await world.app.db.pool.connect()
  try {
    for (const more of [`, ${edit}`, '']) {
      await client.query(`begin; ${insertion}`)
      const positioned = client.query(`${position}${more} where id = '${id}'`)
      if (more) await expect(positioned).rejects.toThrow('append-only')
      else await positioned
      await client.query('rollback')
    }
  } finally {
    client.release()
  }
})
