/**
 * A process that runs the steps of operations and nothing else, for tests that kill it. Fork it with the URL of the database and a name for
 * its leases. It sends 'ready' once its loop runs, and ends on SIGTERM.
 */
import { operationQueue } from '../../src/domain/access/operation/jobs.ts'
import { startJobs } from '../../src/jobs/index.ts'
import { createTestApp } from './app.ts'

const [url = '', worker = 'worker', settings = '{}'] = process.argv.slice(2)
const app = await createTestApp(url, { LOG_LEVEL: 'silent', ...(JSON.parse(settings) as Record<string, string>) })
const jobs = startJobs(app, { queues: [operationQueue], chores: [], worker })
process.on('SIGTERM', async () => {
  await jobs.stop({ graceMs: 5_000 })
  await app.close()
  process.exit(0)
})
process.send?.('ready')
