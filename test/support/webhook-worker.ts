/**
 * A webhook worker as a separate process, for tests that kill it and for the benchmark. Fork it with the URL of the database and a name
 * for its leases ('own name' for the name that servers use). It sends 'ready' once its loops run, answers any message with the statements
 * that it has sent to the database and its CPU time so far, and drains on SIGTERM.
 */
import { operationQueue } from '../../src/domain/access/operation/jobs.ts'
import { deliverWebhooks } from '../../src/domain/webhooks/attempt/jobs.ts'
import { fanOutEvents } from '../../src/domain/webhooks/delivery/jobs.ts'
import { outgoingHttp } from '../../src/domain/webhooks/endpoint/index.ts'
import { createHttpOutgoing } from '../../src/drivers/http/index.ts'
import { startJobs } from '../../src/jobs/index.ts'
import { createEgressGuard } from '../../src/platform/egress.ts'
import { nameProcess } from '../../src/platform/process-name.ts'
import { createTestApp } from './app.ts'

const [url = '', name = 'worker', leaseMs = '1500'] = process.argv.slice(2)
const app = await createTestApp(url, { LOG_LEVEL: 'silent', WORKER_LEASE_MS: leaseMs, WEBHOOK_RETRY_SCHEDULE_MS: '50,50,50' })
const http = createHttpOutgoing({ guard: createEgressGuard({ allow: app.settings.EGRESS_ALLOW }) })
outgoingHttp.provide(app, http)
let statements = 0
app.db.onStatement(() => statements++)
const jobs = startJobs(app, {
  queues: [deliverWebhooks, operationQueue],
  chores: [fanOutEvents],
  worker: name === 'own name' ? nameProcess() : name,
})
process.on('message', () => {
  const { user, system } = process.cpuUsage()
  process.send?.({ statements, cpuMicros: user + system })
})
process.on('SIGTERM', async () => {
  await jobs.stop({ graceMs: 5_000 })
  await http.close()
  await app.close()
  process.exit(0)
})
process.send?.('ready')
