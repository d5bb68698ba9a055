/** What the Odoo bridge adds to a call: CPU time of this process, and the median duration beside a direct call of the same server. */
import { fork } from 'node:child_process'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { createApp } from '../../src/app.ts'
import { startScratchPostgres } from '../../src/cli/scratch-postgres.ts'
import { createApiKey } from '../../src/domain/access/api-key/index.ts'
import { createOdooAccount } from '../../src/domain/odoo/odoo-account/index.ts'
import { schema } from '../../src/graphql/schema.ts'
import { execute } from '../../src/platform/command.ts'
import { createDatabase } from '../../src/platform/db/database.ts'
import { migrate } from '../../src/platform/db/migrate.ts'
import { bridgeDialect } from '../../src/rest/bridge/index.ts'
import { restPlugin } from '../../src/rest/core/index.ts'
import { createTestApp } from '../support/app.ts'
import { provideOdoo } from '../support/odoo-driver.ts'
import { createTenant, request } from '../support/tenant.ts'
import type { Order, Report } from './bridge-client.ts'
import type { BenchResult } from './run.ts'

const rounds = 9
const calls = 300
const mostCpuMs = 2
const mostMoreMs = 3

export default async function bridge(): Promise<BenchResult> {
  const postgres = await startScratchPostgres()
  const url = await createDatabase(postgres.url, 'bench', 'template0')
  await migrate({ url, directory: join(import.meta.dirname, '..', '..', 'prisma', 'migrations') })
  const app = await createTestApp(url, { RATE_LIMITS: 'bridge=100000000', LOG_LEVEL: 'info' })
  const client = fork(join(import.meta.dirname, 'bridge-client.ts'), { stdio: 'inherit' })
  const drivers = provideOdoo(app, 0)
  const server = await createApp({ app, schema, rest: [restPlugin(app, [bridgeDialect])] })
  try {
    const [{ url: odooUrl }] = (await once(client, 'message')) as [{ url: string }]
    await server.listen({ port: 0, host: '127.0.0.1' })
    const origin = `http://127.0.0.1:${(server.server.address() as AddressInfo).port}`
    const { owner } = await createTenant(app, 'acme')
    const account = { name: 'ERP', url: odooUrl, database: 'acme', login: 'admin', secret: 'admin-password' }
    const { odooAccount } = await execute(request(app, owner), createOdooAccount, account)
    const bound = { name: 'bench', kind: 'BRIDGE', scope: 'WRITE', odooAccountId: odooAccount.id }
    const { plaintextKey } = await execute(request(app, owner), createApiKey, bound)
    const measure = async (what: Order['do']) => {
      const before = process.cpuUsage()
      client.send({ do: what, calls, url: origin, key: plaintextKey! } satisfies Order)
      const [report] = (await once(client, 'message')) as [Extract<Report, { durations: number[] }>]
      const { user, system } = process.cpuUsage(before)
      return { medianMs: median(report.durations), cpuMs: (user + system) / 1_000 / calls }
    }
    await measure('direct')
    await measure('bridge')
    const found: { direct: number; bridge: number; cpu: number }[] = []
    for (let round = 0; round < rounds; round++) {
      const direct = await measure('direct')
      const through = await measure('bridge')
      found.push({ direct: direct.medianMs, bridge: through.medianMs, cpu: through.cpuMs })
    }
    const more = median(found.map((each) => each.bridge - each.direct))
    const cpu = median(found.map((each) => each.cpu))
    const shown = (ms: number) => Number(ms.toFixed(2))
    const rows = [
      {
        'direct, p50 ms': shown(median(found.map(({ direct }) => direct))),
        'bridge, p50 ms': shown(median(found.map((each) => each.bridge))),
        'more, p50 ms': shown(more),
        'ms CPU a call': shown(cpu),
        'ms CPU (most)': shown(Math.max(...found.map((each) => each.cpu))),
      },
    ]
    return { scenario: 'bridge', rows, passed: cpu < mostCpuMs && more < mostMoreMs }
  } finally {
    client.disconnect()
    await server.close()
    await drivers.close()
    await app.close()
    await postgres.end()
  }
}

const median = (values: readonly number[]): number => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)]!
