/** Time from createDatabase until the database is RUNNING, through the API, and memory of the database while it is idle. */
import { readdir, readFile, readlink } from 'node:fs/promises'
import { startServer, type TestServer } from '../support/server.ts'
import { until } from '../support/wait.ts'
import type { BenchResult } from './run.ts'

const databases = 5
const targetS = 3
const targetMb = 30
/** Time in which the server finishes what its start has left to do. */
const calmMs = 5_000

export default async function bench(): Promise<BenchResult> {
  const server = await startServer()
  try {
    const { createProject } = await server.gql('mutation { createProject(input: { name: "Bench" }) { project { id } } }')
    const seconds: number[] = []
    for (let n = 0; n < databases; n++) seconds.push(await create(server, createProject.project.id))
    seconds.sort((one, other) => one - other)
    await new Promise((resolve) => setTimeout(resolve, calmMs))
    const memory = await memoryBelow(`${server.dataDir}/databases/`)
    const privateMb = memory.privateKb / 1024 / databases
    const medianS = seconds[Math.floor(databases / 2)]!
    const row = {
      databases,
      createMedianS: medianS,
      createSlowestS: seconds.at(-1)!,
      idlePrivateMb: privateMb,
      processes: memory.processes / databases,
    }
    return { scenario: 'database', rows: [row], passed: medianS < targetS && privateMb < targetMb }
  } finally {
    await server.close()
  }
}

async function create(server: TestServer, projectId: string): Promise<number> {
  const started = performance.now()
  const made = await server.gql('mutation ($p: ID!) { createDatabase(input: { projectId: $p, name: "Bench" }) { database { id } } }', {
    p: projectId,
  })
  const { id } = made.createDatabase.database
  await until('it runs', async () => {
    const { database } = await server.gql('query ($id: ID!) { database(id: $id) { status } }', { id })
    return database.status === 'RUNNING'
  })
  return (performance.now() - started) / 1_000
}

/** Private memory of all processes that work in a directory. */
async function memoryBelow(directory: string): Promise<{ privateKb: number; processes: number }> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name))
  const found = await Promise.all(
    pids.map(async (pid) => {
      const cwd = await readlink(`/proc/${pid}/cwd`).catch(() => '')
      if (!cwd.startsWith(directory)) return []
      const text = await readFile(`/proc/${pid}/smaps_rollup`, 'utf8').catch(() => '')
      return [[...text.matchAll(/^Private_(?:Clean|Dirty): +(\d+) kB/gm)].reduce((sum, [, kb]) => sum + Number(kb), 0)]
    }),
  )
  const all = found.flat()
  return { privateKb: all.reduce((sum, kb) => sum + kb, 0), processes: all.length }
}
