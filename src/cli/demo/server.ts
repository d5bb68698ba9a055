/** The server that the demo uses: a given one, or its own, which it stops at the end. */
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { settingNames } from '../../platform/settings.ts'
import type { Report } from './report.ts'

export type Server = {
  url: string
  /** An API key or an access token. */
  key: string
  /** Slug of the organization to act in, for an access token. */
  organization?: string
  /** Set if the demo started the server itself. */
  dataDir?: string
}

const source = join(import.meta.dirname, '..', '..')
/** A start takes two to four seconds if the packages are installed. */
const startTimeoutMs = 60_000

/** Settings of the shell that also apply to the demo's server. */
const kept = ['SANDBOX']

/** The GraphQL URL of a server whose address is given with or without `/graphql`. */
export function graphqlUrlOf(address: string): string {
  const url = URL.parse(address)
  if (!url || !/^https?:$/.test(url.protocol)) throw new TypeError('--url must be an http or https URL.')
  const path = url.pathname.replace(/\/+$/, '')
  return url.origin + (path.endsWith('/graphql') ? path : `${path}/graphql`)
}

/** If it starts a server, it adds the steps that stop it to `undo`. */
export async function openServer(given: Server | undefined, undo: (() => Promise<unknown>)[], report: Report): Promise<Server> {
  if (given) return given
  const dataDir = await mkdtemp(join(tmpdir(), 'quayside-demo-'))
  undo.push(() => rm(dataDir, { recursive: true, force: true, maxRetries: 3 }))
  const start = performance.now()
  const child = program(dataDir, 'main.ts')
  undo.push(() => stop(child, dataDir))
  const server = await whereToGo(child, report)
  report.say(`Server ready after ${((performance.now() - start) / 1000).toFixed(1)} s.`)
  return { ...server, dataDir }
}

/** Starts a program of src with the demo's settings, in its own process group, so that Ctrl-C only reaches the demo, which then stops it. */
function program(dataDir: string, entry: string): ChildProcess {
  const unset = settingNames.filter((name) => !kept.includes(name)).flatMap((name) => ['-u', name])
  const set = [`DATA_DIR=${dataDir}`, 'PORT=0', 'ROUTER_PORT=0', 'S3_PORT=0', 'LOG_LEVEL=warn']
  return spawn('env', [...unset, ...set, process.execPath, join(source, entry)], { detached: true, stdio: ['ignore', 'pipe', 'pipe'] })
}

/** Reads and prints what the server prints at its first start. */
async function whereToGo(child: ChildProcess, report: Report): Promise<Server> {
  const words: string[] = []
  createInterface({ input: child.stderr! }).on('line', (line) => words.push(line) > 20 && words.shift())
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`The server did not become ready within ${startTimeoutMs / 1000} s.`)), startTimeoutMs)
    child.once('error', reject)
    child.once('close', (code) => reject(new Error(`The server exited with code ${code}: ${words.join('\n')}`)))
    let url: string | undefined
    createInterface({ input: child.stdout! }).on('line', (line) => {
      if (/^(GraphQL|Router|NO SANDBOX)/.test(line)) report.say(line)
      url ??= /^GraphQL (\S+)$/.exec(line)?.[1]
      const key = /^API key (\S+)$/.exec(line)?.[1]
      if (!url || !key) return
      clearTimeout(timer)
      resolve({ url, key })
    })
  })
}

/** SIGINT makes the server stop its instances and its database too. If it has crashed, `npm stop` does. */
async function stop(child: ChildProcess, dataDir: string): Promise<void> {
  if (child.exitCode === null && child.signalCode === null) child.kill('SIGINT')
  await ended(child)
  if (child.exitCode === 0) return
  const stopper = program(dataDir, 'cli/stop.ts')
  await ended(stopper)
  if (stopper.exitCode !== 0) throw new Error(`npm stop exited with code ${stopper.exitCode} for ${dataDir}`)
}

/** Waits no longer than the server's own grace period of 10 s for each of its two steps. */
async function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const timer = setTimeout(() => child.kill('SIGKILL'), 30_000)
  await new Promise<void>((resolve) => child.once('exit', () => resolve()))
  clearTimeout(timer)
}
