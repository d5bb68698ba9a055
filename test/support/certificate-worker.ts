/**
 * A process that orders certificates and is killed by a test after the authority has issued one and before it is stored. Fork it with the URL of
 * the database and its settings. It sends the chain, and then does nothing more.
 */
import { certificateAuthority } from '../../src/domain/deploys/certificate/index.ts'
import { certificateQueue } from '../../src/domain/deploys/certificate/queue.ts'
import { createAcme } from '../../src/drivers/acme/index.ts'
import { startJobs } from '../../src/jobs/index.ts'
import { createAcmeHttp } from './acme-http.ts'
import { createTestApp } from './app.ts'

const [url = '', settings = '{}'] = process.argv.slice(2)
const app = await createTestApp(url, { LOG_LEVEL: 'silent', ...(JSON.parse(settings) as Record<string, string>) })
const { ACME_DIRECTORY_URL, ACME_CA_FILE } = app.settings
const real = createAcme({ directoryUrl: ACME_DIRECTORY_URL!, email: undefined, http: await createAcmeHttp(ACME_CA_FILE) })
certificateAuthority.provide(app, {
  async issue(request, signal) {
    const result = await real.issue(request, signal)
    process.send?.(result)
    return new Promise<never>(() => {})
  },
})
startJobs(app, { queues: [certificateQueue], chores: [], worker: 'to be killed' })
