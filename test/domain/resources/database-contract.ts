import { describe, expect, it } from 'vitest'
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
  })
}
