/** A new organization has a machine to deploy to. */
import { afterAll, beforeAll, expect, it } from 'vitest'
import { bootstrapOrganization } from '../../../src/domain/access/organization/index.ts'
import '../../../src/graphql/schema.ts'
import { rows, sql } from '../../../src/platform/db/index.ts'
import { createWorld, type World } from '../../support/tenant.ts'

let world: World
beforeAll(async () => {
  world = await createWorld()
})
afterAll(() => world.close())

it('an organization is created with the local server', async () => {
  const owner = await bootstrapOrganization(world.app)
  const servers = await rows<{ name: string; kind: string }>(
    world.app.db,
    sql`select name, kind from server where organization_id = ${owner!.organizationId}::uuid`,
  )
  expect(servers).toEqual([{ name: 'local', kind: 'local' }])
})
