import pg from 'pg'
import { describe, expect, it } from 'vitest'
import { databaseEngine, specOf } from '../../../src/domain/resources/database/index.ts'
import type { Database } from '../../../src/generated/prisma/client.ts'
import { row, sql } from '../../../src/platform/db/index.ts'
import { decodeId, newId } from '../../../src/platform/id.ts'
import { query, type Shop, sqlState } from './support.ts'

/** Codes that clients of a stopped or removed database get, and those with the role of another database. */
export type Refusals = { stopped: string; removed: string; stranger: string }

/** What holds for every engine. */
export function describeDatabases(shop: Shop, refused: Refusals): void {
  describe('a database', () => {
    it('is CREATING at once, and RUNNING when its role can run a query over TCP', async () => {
      const { createDatabase } = await shop.run(
        'mutation ($p: ID!) { createDatabase(input: {projectId: $p, name: "Orders"}) { database { id status desiredState host port slug } } }',
        { p: shop.projectId },
      )
      expect(createDatabase.database).toMatchObject({ status: 'CREATING', desiredState: 'RUNNING', slug: 'orders' })
      await shop.untilStatus(createDatabase.database.id, 'RUNNING')
      const url = await shop.reveal(createDatabase.database.id)
      expect(new URL(url).port).toBe(String(createDatabase.database.port))
      await query(url, 'create table orders (id int); insert into orders values (1)')
      expect(await query(url, 'select * from orders')).toEqual([{ id: 1 }])
    })

    it('is not reachable with a wrong password, or by the role of another database', async () => {
      const [one, other] = [await shop.createDatabase('one'), await shop.createDatabase('other')]
      const wrong = new URL(one.url)
      wrong.password = 'wrong'
      expect(await sqlState(query(wrong.href, 'select 1'))).toBe('28P01')
      const stranger = new URL(one.url)
      stranger.username = new URL(other.url).username
      stranger.password = new URL(other.url).password
      expect(await sqlState(query(stranger.href, 'select 1'))).toBe(refused.stranger)
    })

    it('keeps its data while it is stopped, and its address', async () => {
      const { id, url } = await shop.createDatabase('kept')
      await query(url, 'create table kept (id int)')
      await shop.run('mutation ($id: ID!) { stopDatabase(input: {id: $id}) { database { id } } }', { id })
      await shop.untilStatus(id, 'STOPPED')
      expect(await sqlState(query(url, 'select 1'))).toBe(refused.stopped)
      await shop.run('mutation ($id: ID!) { startDatabase(input: {id: $id}) { database { id } } }', { id })
      await shop.untilStatus(id, 'RUNNING')
      expect(await query(url, 'select * from kept')).toEqual([])
    })

    it('is removed with its data when it is deleted', async () => {
      const { id, url } = await shop.createDatabase('gone')
      await shop.run('mutation ($id: ID!) { deleteDatabase(input: {id: $id}) { deletedId } }', { id })
      await shop.untilGone(id)
      expect(await sqlState(query(url, 'select 1'))).toBe(refused.removed)
    })

    it('is as it was after its snapshot is restored, which disconnects clients', async () => {
      const { id, url } = await shop.createDatabase('snapped')
      const { app } = shop
      const found = await row<Database>(app.db, sql`select * from database where id = ${decodeId('Database', id)}::uuid`)
      const spec = await specOf({ app, tx: app.db }, found!)
      const engine = databaseEngine.use(app)
      const snapshotId = newId()
      expect(await engine.restoreSnapshot(spec, snapshotId)).toBe(false)

      const connect = async () => {
        const client = new pg.Client({ connectionString: url })
        const ended = new Promise<void>((resolve) => client.on('error', () => resolve()))
        await client.connect()
        return { client, ended }
      }
      const rows = 'select id from shelf order by id'
      const before = await connect()
      await before.client.query('create table shelf (id int); insert into shelf values (1)')
      await engine.takeSnapshot(spec, snapshotId)
      await before.ended
      const changing = await connect()
      await changing.client.query('insert into shelf values (2); create table other (id int)')
      // A repeated restore, as after a crash, finds nothing more to do.
      const restores = await Promise.all([engine.restoreSnapshot(spec, snapshotId), engine.restoreSnapshot(spec, snapshotId)])
      expect(restores.toSorted()).toEqual([false, true])
      await changing.ended
      expect(await engine.query(spec, `${rows} limit $1`, [9])).toEqual([{ id: 1 }])
      expect(await query(url, "select to_regclass('other') as other")).toEqual([{ other: null }])
      expect(await sqlState(query(url, 'insert into shelf values (3)'))).toBe('done')

      await engine.takeSnapshot(spec, snapshotId)
      await engine.removeSnapshot(spec, snapshotId)
      expect(await engine.restoreSnapshot(spec, snapshotId)).toBe(false)
      expect(await query(url, rows)).toEqual([{ id: 1 }, { id: 3 }])
      expect(await query(url, 'select datname from pg_database where datname ~ $1', ['^(snapshot|replaced)_'])).toEqual([])
    })
  })
}
