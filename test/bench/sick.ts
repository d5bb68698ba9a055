/** Deploys unhealthy releases and a healthy one while a release serves a steady load: are users affected? */
import { createRepository } from '../support/git-repository.ts'
import { startServer } from '../support/server.ts'
import { until } from '../support/wait.ts'
import type { BenchResult } from './run.ts'

const listens = '.listen(process.env.PORT, process.env.HOST)'
const http = (reply: string) => `require('node:http').createServer((question, answer) => { ${reply} })${listens}`
const tcp = (reply: string) => `require('node:net').createServer((socket) => { socket.on('error', () => {}); ${reply} })${listens}`

const releases: Record<string, string> = {
  'opens its port, never answers': tcp(''),
  'resets every connection': tcp('socket.resetAndDestroy()'),
  'first answer after 15 s': http('setTimeout(() => answer.end(), 15_000)'),
  'answers once, then hangs': `let asked = 0; ${http('if (asked++ === 0) answer.end()')}`,
  healthy: http("answer.end('v2')"),
}
const clients = 4

export default async function bench(): Promise<BenchResult> {
  const server = await startServer({ SWITCH_WATCH_MS: '1500', PROBE_INTERVAL_MS: '500' })
  const repositories: { close(): Promise<void> }[] = []
  const rows: BenchResult['rows'] = []
  try {
    const { createProject } = await server.gql('mutation { createProject(input: { name: "Bench" }) { project { id } } }')
    const deploy = async (webServiceId: string) => {
      const asked = 'mutation ($id: ID!) { deployWebService(input: { webServiceId: $id }) { deployment { id } } }'
      const { id } = (await server.gql(asked, { id: webServiceId })).deployWebService.deployment
      return until('the deployment ends', async () => {
        const now = (await server.gql('query ($id: ID!) { deployment(id: $id) { status failure { phase code } } }', { id })).deployment
        return !['QUEUED', 'RUNNING', 'CANCELLING'].includes(now.status) && now
      })
    }
    for (const [index, [name, code]] of Object.entries(releases).entries()) {
      const repository = await createRepository({ Procfile: 'web: node server.js\n', 'server.js': http("answer.end('v1')") })
      repositories.push(repository)
      const slug = `bench-${index}`
      const input = { projectId: createProject.project.id, name: slug, slug, repositoryUrl: repository.url, healthTimeoutMs: 8_000 }
      const made = await server.gql('mutation ($input: CreateWebServiceInput!) { createWebService(input: $input) { webService { id } } }', {
        input,
      })
      const { id } = made.createWebService.webService
      await deploy(id)
      await repository.commit({ 'server.js': code }, 'next')
      let [stopped, failed, longestMs] = [false, 0, 0]
      const times: number[] = []
      const load = Array.from({ length: clients }, async () => {
        while (!stopped) {
          const askedAt = performance.now()
          const status = await server.router(slug).then(
            (answer) => answer.status,
            () => 0,
          )
          const tookMs = performance.now() - askedAt
          times.push(tookMs)
          longestMs = Math.max(longestMs, tookMs)
          if (status !== 200) failed++
          await new Promise((resolve) => setTimeout(resolve, 5))
        }
      })
      const ended = await deploy(id)
      stopped = true
      await Promise.all(load)
      times.sort((a, b) => a - b)
      rows.push({
        release: name,
        requests: times.length,
        failed,
        'p99 ms': Math.round(times[Math.floor(times.length * 0.99)] ?? 0),
        'longest ms': Math.round(longestMs),
        ended: ended.failure ? `${ended.failure.code} in ${ended.failure.phase}` : ended.status,
      })
    }
  } finally {
    await server.close()
    for (const repository of repositories) await repository.close()
  }
  return { scenario: 'sick', rows, passed: rows.every((row) => row.failed === 0 && Number(row['longest ms']) < 2_000) }
}
