/** A process runtime on a fresh data directory, sample apps as sources, and checks that nothing is left when a test ends. */
import { randomInt, randomUUID } from 'node:crypto'
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { request as httpRequest } from 'node:http'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { afterEach, expect } from 'vitest'
import type {
  BuildRequest,
  BuiltRelease,
  Observation,
  OutputPosition,
  Runtime,
  SourceWriter,
  StartRequest,
  StepIo,
} from '../../src/domain/deploys/instance/ports.ts'
import { createProcessRuntime, type ProcessRuntimeOptions } from '../../src/drivers/process/index.ts'
import { fileSource } from './process-source.ts'

export { appSource, fileSource } from './process-source.ts'

export const modes = ['bwrap', 'none'] as const
export type Mode = (typeof modes)[number]

const opened: { runtime: Runtime; dataDir: string }[] = []

export const hostPath = process.env.PATH ?? ''

export async function openRuntime(
  options: Partial<ProcessRuntimeOptions> & { sandbox: ProcessRuntimeOptions['sandbox'] },
): Promise<{ runtime: Runtime; dataDir: string }> {
  const dataDir = options.dataDir ?? (await mkdtemp(join(tmpdir(), 'quayside-process-')))
  const runtime = await createProcessRuntime({ hostPath, ...options, dataDir })
  opened.push({ runtime, dataDir })
  return { runtime, dataDir }
}

afterEach(async () => {
  for (const { runtime, dataDir } of opened.splice(0)) {
    if (!(await exists(dataDir))) continue
    for (const instanceId of await runtime.list()) await runtime.forget(instanceId)
    const left = (await Promise.all((await processes()).map((pid) => commandLine(pid)))).filter((line) => line.includes(dataDir))
    await rm(dataDir, { recursive: true, force: true })
    expect(left).toEqual([])
  }
})

export function quiet(signal: AbortSignal = new AbortController().signal): StepIo {
  return { output: () => undefined, signal }
}

/** Collects all output as one text. */
export function recording(signal: AbortSignal = new AbortController().signal): StepIo & { text(): string } {
  const parts: string[] = []
  return { output: (_stream, bytes) => void parts.push(Buffer.from(bytes).toString()), signal, text: () => parts.join('') }
}

export function buildRequest(source: SourceWriter, wishes: Partial<BuildRequest> = {}): BuildRequest {
  return {
    serviceId: randomUUID(),
    deploymentId: randomUUID(),
    kind: 'web',
    source,
    rootDirectory: null,
    buildCommand: null,
    startCommand: null,
    publishDirectory: null,
    env: {},
    clearCache: false,
    ...wishes,
  }
}

export function startRequest(release: BuiltRelease, wishes: Partial<StartRequest> = {}): StartRequest {
  return {
    instanceId: randomUUID(),
    serviceId: randomUUID(),
    deploymentId: randomUUID(),
    digest: release.digest,
    kind: 'web',
    startCommand: release.startCommand ?? '',
    env: {},
    disks: [],
    ...wishes,
  }
}

/** Builds a release of plain files that runs `command`, and starts it. Returns the instance's id. */
export async function startCommand(runtime: Runtime, command: string, wishes: Partial<StartRequest> = {}): Promise<string> {
  const release = await runtime.build(buildRequest(fileSource({ 'file.txt': 'from the release\n' }), { startCommand: command }), quiet())
  const request = startRequest(release, wishes)
  await runtime.start(request)
  return request.instanceId
}

/** Runs a command as an instance until it ends. Returns its output. */
export async function outputOf(runtime: Runtime, command: string, wishes: Partial<StartRequest> = {}): Promise<string> {
  const instanceId = await startCommand(runtime, command, wishes)
  await until(async () => (await observe(runtime, instanceId)).state === 'exited')
  return await readAll(runtime, instanceId)
}

export async function observe(runtime: Runtime, instanceId: string): Promise<Observation> {
  return (await runtime.observe([instanceId]))[0] as Observation
}

export const beginning: OutputPosition = { stdout: 0, stderr: 0 }

export async function readAll(runtime: Runtime, instanceId: string): Promise<string> {
  const { chunks } = await runtime.readOutput(instanceId, beginning, 1 << 20)
  return chunks.map((chunk) => Buffer.from(chunk.bytes).toString()).join('')
}

export async function untilHealthy(runtime: Runtime, instanceId: string, path: string | null = '/'): Promise<void> {
  await until(async () => (await runtime.probe({ instanceId, path, timeoutMs: 1000 })).ok)
}

export async function get(runtime: Runtime, instanceId: string, path: string): Promise<string> {
  const address = runtime.addressOf(instanceId)
  return await new Promise((resolve, reject) => {
    const request = httpRequest({ ...address, path, agent: false }, async (response) => {
      const parts: Buffer[] = []
      for await (const part of response) parts.push(part as Buffer)
      resolve(Buffer.concat(parts).toString())
    })
    request.on('error', reject)
    request.end()
  })
}

/** Polls a condition; fails after two minutes. */
export async function until(condition: () => Promise<boolean>): Promise<void> {
  for (const deadline = performance.now() + 120_000; !(await condition()); await pause(20)) {
    if (performance.now() > deadline) throw new Error(`The condition did not come true: ${condition}`)
  }
}

/** A command that runs forever and can be found by its text, which is unique on this machine. */
export const uniqueSleep = (): string => `sleep ${randomInt(1_000_000, 1_000_000_000)}`

/** A range of free ports, below those of outgoing connections and apart from those of instances. */
export async function freePorts(count: number): Promise<{ first: number; last: number }> {
  for (;;) {
    const first = randomInt(30_000, 32_700 - count)
    const ports = Array.from({ length: count }, (_, index) => first + index)
    if ((await Promise.all(ports.map(isFree))).every(Boolean)) return { first, last: first + count - 1 }
  }
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer()
    server.once('error', () => resolve(false))
    server.listen(port, () => server.close(() => resolve(true)))
  })
}

/** Pids whose command line contains this text: of the command itself, and of the processes that started it. */
export async function pidsRunning(text: string): Promise<number[]> {
  const found: number[] = []
  for (const pid of await processes()) if ((await commandLine(pid)).includes(text)) found.push(pid)
  return found
}

/** Waits until a command itself is running, not only the processes that start it. */
export const untilRunning = (command: string): Promise<void> =>
  until(async () => (await Promise.all((await processes()).map(commandLine))).some((line) => line.trim() === command))

export async function processes(): Promise<number[]> {
  return (await readdir('/proc')).filter((name) => /^\d+$/.test(name)).map(Number)
}

export async function commandLine(pid: number): Promise<string> {
  const text = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')
  return text.replaceAll('\0', ' ')
}

export async function exists(path: string): Promise<boolean> {
  return await readdir(path).then(
    () => true,
    () => false,
  )
}
