/** A world with a stand-in Odoo, reached by the real drivers, and operations on it. */
import { afterAll, beforeAll } from 'vitest'
import type { Caller } from '../../../src/platform/access.ts'
import { type StandInOdoo, startOdoo } from '../../support/odoo.ts'
import { provideOdoo } from '../../support/odoo-driver.ts'
import { createTenant, createWorld, type GraphqlAnswer, operation, type Tenant, type World } from '../../support/tenant.ts'

export type OdooWorld = ReturnType<typeof useOdoo>

/** Starts a world for the tests of a file. */
export function useOdoo(settings: Record<string, string> = {}) {
  let world: World
  let drivers: { close(): Promise<void> }
  let tenant: Tenant
  let other: Tenant
  let odoo: StandInOdoo
  beforeAll(async () => {
    world = await createWorld(settings)
    odoo = await startOdoo()
    drivers = provideOdoo(world.app, odoo.port)
    tenant = await createTenant(world.app)
    other = await createTenant(world.app)
  })
  afterAll(async () => {
    await drivers?.close()
    await odoo?.close()
    await world?.close()
  })
  const ask = (source: string, variables: Record<string, unknown> = {}, caller: Caller = tenant.owner): Promise<GraphqlAnswer> =>
    operation(world.app, caller, source, variables)
  const used = {
    get app() {
      return world.app
    },
    get world() {
      return world
    },
    get odoo() {
      return odoo
    },
    get tenant() {
      return tenant
    },
    get other() {
      return other
    },
    /** The data of an operation that succeeds. */
    async run(source: string, variables: Record<string, unknown> = {}, caller?: Caller) {
      const { data, errors } = await ask(source, variables, caller)
      if (errors) throw new Error(JSON.stringify(errors))
      return data!
    },
    /** The first error of an operation that fails. */
    async refused(source: string, variables: Record<string, unknown> = {}, caller?: Caller) {
      return (await ask(source, variables, caller)).errors?.[0]
    },
    settings: () => ({ name: 'ERP', url: odoo.url, database: odoo.database, login: odoo.login, secret: odoo.password }),
    async account(input: Record<string, unknown> = {}) {
      const { createOdooAccount } = await used.run(createText, { input: { ...used.settings(), ...input } })
      return createOdooAccount.odooAccount as { id: string; version: number }
    },
  }
  return used
}

export const createText = 'mutation ($input: CreateOdooAccountInput!) { createOdooAccount(input: $input) { odooAccount { id version } } }'
