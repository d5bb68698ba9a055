import { afterEach, beforeEach, expect, it } from 'vitest'
import { bootstrapOrganization } from '../../../src/domain/access/organization/index.ts'
import '../../../src/domain/apps/server/index.ts'
import { rows, sql } from '../../../src/platform/db/index.ts'
import { createWorld, type World } from '../../support/tenant.ts'

let world: World
beforeEach(async () => {
  world = await createWorld()
})
afterEach(() => world?.close())

const count = async (table: string) => Number((await world.app.db.pool.query(`select count(*) from ${table}`)).rows[0].count)

it('two processes that start at once create one organization, with its owner and its server', async () => {
  const processes = [world.app, await world.process(), await world.process()]
  const made = await Promise.all(processes.map((app) => bootstrapOrganization(app)))
  expect(made.filter((owner) => owner !== null)).toHaveLength(1)
  const [owner] = made.filter((owner) => owner !== null)
  expect(await rows(world.app.db, sql`select id, slug from organization`)).toEqual([
    { id: owner!.organizationId, slug: owner!.organizationSlug },
  ])
  expect(await rows(world.app.db, sql`select m.user_id, r.system from member m join role r on r.id = m.role_id`)).toEqual([
    { userId: owner!.userId, system: 'OWNER' },
  ])
  expect(await rows(world.app.db, sql`select name, kind from server`)).toEqual([{ name: 'local', kind: 'local' }])
  expect([await count('user_account'), await count('event'), await count('audit_entry')]).toEqual([1, 1, 1])
  expect(await rows(world.app.db, sql`select is_administrator from user_account`)).toEqual([{ isAdministrator: true }])
})

it('a later start creates nothing', async () => {
  expect(await bootstrapOrganization(world.app)).not.toBeNull()
  expect(await bootstrapOrganization(world.app)).toBeNull()
  expect([await count('organization'), await count('user_account')]).toEqual([1, 1])
})
