import { expect, it } from 'vitest'
import { listResolvedEnv } from '../../../src/domain/configuration/resolution/index.ts'
import { commands, configurationWorld } from './support.ts'

const shop = configurationWorld()

it('NODE_ENV is production at run time unless a variable overrides it, and not set by Quayside at build time', async () => {
  const nodeEnv = async () => {
    const { variables } = await shop.ask(listResolvedEnv, { webServiceId: shop.production, reveal: false })
    const { value, source, buildTime, runTime } = variables.find(({ key }) => key === 'NODE_ENV')!
    return { value, from: source.kind, buildTime, runTime }
  }
  expect(await nodeEnv()).toEqual({ value: 'production', from: 'PLATFORM_DEFAULT', buildTime: false, runTime: true })
  await shop.run(commands.setEnvVars, { webServiceId: shop.production, variables: [{ key: 'NODE_ENV', value: 'test' }] })
  expect(await nodeEnv()).toEqual({ value: 'test', from: 'ENV_VAR', buildTime: true, runTime: true })
})
