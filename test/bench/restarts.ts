/** Restarts a server repeatedly under a load of requests, with another server beside it and alone: are any requests lost? */
import { createRepository } from '../support/git-repository.ts'
import { startServer, type TestServer } from '../support/server.ts'
import { until } from '../support/wait.ts'
import type { BenchResult } from './run.ts'

const app = `require('node:http').createServer((question, answer) => answer.end('ok')).listen(process.env.PORT, process.env.HOST)`
const restarts = 20
const clients = 3

export default async function bench(): Promise<BenchResult> {
  const server = await startServer({ ROUTER_PORT: '0' })
  const repository = await createRepository({ Procfile: 'web: node server.js\n', 'server.js': app })
  try {
    await deploy(server, repository.url)
    let worker = server.spawn({}, ['worker'])
    await until('the worker runs', () => worker.output().includes('Worker is running.'))
    const beside = await underLoad(server, async () => {
      await worker.kill('SIGTERM')
      worker = server.spawn({}, ['worker'])
      const begun = worker
      await until('the worker runs', () => begun.output().includes('Worker is running.'))
    })
    await worker.kill('SIGTERM')
    const alone = await underLoad(server, async () => {
      await server.kill('SIGTERM')
      await server.start({ ROUTER_PORT: String(server.routerPort) })
    })
    const rows = [
      { restarted: 'one of two processes', ...beside },
      { restarted: 'the only process', ...alone },
    ]
    return { scenario: 'restarts', rows, passed: beside.lost === 0 && alone['404'] === 0 && alone['other failures'] === 0 }
  } finally {
    await server.close()
    await repository.close()
  }
}

async function underLoad(server: TestServer, restart: () => Promise<void>) {
  const figures = { requests: 0, answered: 0, 'refused while away': 0, '503 with Retry-After': 0, '404': 0, 'other failures': 0 }
  let stopped = false
  const load = Array.from({ length: clients }, async () => {
    while (!stopped) {
      figures.requests++
      await server.router('bench').then(
        ({ status, headers }) => {
          if (status === 200) figures.answered++
          else if (status === 503 && headers['retry-after']) figures['503 with Retry-After']++
          else if (status === 404) figures['404']++
          else figures['other failures']++
        },
        (error: NodeJS.ErrnoException) => {
          if (error.code === 'ECONNREFUSED') figures['refused while away']++
          else figures['other failures']++
        },
      )
      await new Promise((resolve) => setTimeout(resolve, 2))
    }
  })
  for (let turn = 0; turn < restarts; turn++) await restart()
  stopped = true
  await Promise.all(load)
  return { restarts, ...figures, lost: figures.requests - figures.answered }
}

async function deploy(server: TestServer, repositoryUrl: string): Promise<void> {
  const { createProject } = await server.gql('mutation { createProject(input: { name: "Bench" }) { project { id } } }')
  const input = { projectId: createProject.project.id, name: 'Bench', slug: 'bench', repositoryUrl }
  const made = await server.gql('mutation ($input: CreateWebServiceInput!) { createWebService(input: $input) { webService { id } } }', {
    input,
  })
  const { id } = made.createWebService.webService
  await server.gql('mutation ($id: ID!) { deployWebService(input: { webServiceId: $id }) { deployment { id } } }', { id })
  await until('it answers', async () => (await server.router('bench')).status === 200)
}
