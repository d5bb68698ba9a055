import { expect, it, onTestFinished } from 'vitest'
import { dataKeyVersion } from '../../../src/platform/crypto.ts'
import { rows, run, sql } from '../../../src/platform/db/index.ts'
import { rotateDataKeys } from '../../../src/platform/reseal.ts'
import { createWorld } from '../../support/tenant.ts'
import { commands, createShop } from './support.ts'

it('a value that does not open is told, and keeps no other from being sealed anew', async () => {
  const world = await createWorld()
  onTestFinished(world.close)
  const { app } = world
  const shop = await createShop(app)
  const variables = ['A', 'B', 'C'].map((key) => ({ key, value: `value of ${key}` }))
  const { envVars } = await shop.run(commands.setEnvVars, { webServiceId: shop.production, variables })
  await shop.run(commands.createSecret, { projectId: shop.projectId, key: 'TOKEN', value: 'value of a secret' })
  const broken = envVars.find(({ key }) => key === 'B')!
  await run(
    app.db.prisma,
    sql`update env_var set value = set_byte(value, length(value) - 1, get_byte(value, length(value) - 1) # 1) where id = ${broken.id}::uuid`,
  )
  await app.keyring.rotateDataKey(app.db.prisma, shop.tenant.organizationId)
  await rotateDataKeys.run(app, new AbortController().signal)
  const versions = await rows(
    app.db.prisma,
    sql`select key, ${dataKeyVersion(sql`value`)} as version from env_var
        union all select s.key, ${dataKeyVersion(sql`v.value`)} from secret s join secret_version v on v.secret_id = s.id order by 1`,
  )
  expect(versions).toEqual([
    { key: 'A', version: 2 },
    { key: 'B', version: 1 },
    { key: 'C', version: 2 },
    { key: 'TOKEN', version: 2 },
  ])
  const told = app.logged.filter(({ msg }) => String(msg).includes('could not be opened'))
  expect(told).toMatchObject([{ level: expect.anything(), table: 'env_var', column: 'value', row: broken.id }])
})
