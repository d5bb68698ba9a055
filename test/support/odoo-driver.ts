/** The drivers for Odoo in tests. */
import { routerPort } from '../../src/domain/deploys/instance/index.ts'
import type { Router } from '../../src/domain/deploys/instance/ports.ts'
import { odooPort } from '../../src/domain/odoo/odoo-account/index.ts'
import { createHttpOutgoing } from '../../src/drivers/http/index.ts'
import { createOdoo } from '../../src/drivers/odoo/index.ts'
import { createEgressGuard } from '../../src/platform/egress.ts'
import type { App } from '../../src/platform/work.ts'

/** Provides the drivers for Odoo. Every service of this installation is at the port of the stand-in. */
export function provideOdoo(app: App, routerPortNumber: number): { close(): Promise<void> } {
  const remote = createHttpOutgoing({ guard: createEgressGuard({ allow: app.settings.EGRESS_ALLOW }) })
  const lookup = async () => [{ address: '127.0.0.1', family: 4 }]
  const local = createHttpOutgoing({ guard: createEgressGuard({ allow: ['127.0.0.1'], lookup }) })
  odooPort.provide(app, createOdoo({ remote, local }))
  routerPort.provide(app, { port: routerPortNumber } as Router)
  return { close: async () => void (await Promise.all([remote.close(), local.close()])) }
}
