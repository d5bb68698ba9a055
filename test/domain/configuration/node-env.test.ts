import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { setEnvVars } from '../../../src/domain/configuration/env-var/index.ts'
import { listResolvedEnv } from '../../../src/domain/configuration/resolution/index.ts'
import { createWorld, type World } from '../../support/tenant.ts'
import { createShop } from './support.ts'

let world: World
beforeAll(async () => {
  world = await createWorld()
})
afterAll(() => world?.close())

describe('NODE_ENV', () => {
  it('is production at run time unless a variable says otherwise, and is left to the tools at build time', async () => {
    const shop = await createShop(world.app)
    const nodeEnv = async () => {
      const { variables } = await shop.ask(listResolvedEnv, { webServiceId: shop.production, reveal: false })
      const { value, source, buildTime, runTime } = variables.find(({ key }) => key === 'NODE_ENV')!
      return { value, from: source.kind, buildTime, runTime }
    }
    expect(await nodeEnv()).toEqual({ value: 'production', from: 'PLATFORM_DEFAULT', buildTime: false, runTime: true })
    await shop.run(setEnvVars, { webServiceId: shop.production, variables: [{ key: 'NODE_ENV', value: 'test' }] })
    expect(await nodeEnv()).toEqual({ value: 'test', from: 'ENV_VAR', buildTime: true, runTime: true })
  })
})
