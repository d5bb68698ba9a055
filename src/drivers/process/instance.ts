/**
 * The lifecycle of instances. No process of the control plane owns an instance: each one reads its state from disk (instance-store.ts) and
 * compares it with the process table.
 */
import { spawn } from 'node:child_process'
import { open } from 'node:fs/promises'
import { constants } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import type { Address, Measurement, Observation, ProbeRequest, ProbeResult, StartRequest } from '../../domain/deploys/instance/ports.ts'
import { PortError } from '../../platform/errors.ts'
import type { LoopbackPorts } from '../../platform/loopback-port.ts'
import { bootId, markOf, type ProcessMark } from '../../platform/process-mark.ts'
import { machineCapacity, readProcessTree } from '../../platform/process-usage.ts'
import { namingFullDisk, type Quotas, requireRoom } from './disk.ts'
import { runEnv } from './env.ts'
import { createInstanceStore, type Run, runName, runNumber } from './instance-store.ts'
import { fileName, type Layout } from './layout.ts'
import { listeningSockets, signalProcess } from './linux.ts'
import type { PersistentDisks } from './persistent-disk.ts'
import { withFiles } from './private-file.ts'
import { probeAddress, refused } from './probe.ts'
import type { Releases } from './release.ts'
import { killAll, killStillborn } from './report.ts'
import { type Cell, feed, type Mount, type Sandbox } from './sandbox.ts'
import { forgetSpool, openSpool } from './spool.ts'
import type { Tools } from './tool.ts'
import { removeTree } from './tree.ts'
import { discard } from './workspace.ts'

export type InstanceParts = {
  layout: Layout
  sandbox: Sandbox
  releases: Releases
  ports: LoopbackPorts
  tools: Tools
  quotas: Quotas
  disks: Pick<PersistentDisks, 'hold'>
}

export type Instances = {
  start(request: StartRequest): Promise<void>
  observe(instanceIds: string[]): Promise<Observation[]>
  measure(instanceIds: string[]): Promise<Measurement>
  probe(request: ProbeRequest): Promise<ProbeResult>
  stop(instanceId: string, options: { graceMs: number }): Promise<void>
  forget(instanceId: string): Promise<void>
  list(): Promise<string[]>
  addressOf(instanceId: string, which?: 'second'): Address | null
  isReleaseUsed(digest: string): Promise<boolean>
  /** Whether a run of an instance is running. Kills what a run that has ended left behind. */
  isRunning(run: { instanceId: string; run: number }): Promise<boolean>
  /** Directory with the output of an instance. */
  spool(instanceId: string): string
}

const loopback = '127.0.0.1'
const at = (port: number): Address => ({ host: loopback, port })

/** Owner of an instance's second port, and the instance of an owner. */
const secondOwner = (instanceId: string): string => `${fileName(instanceId)}.second`
export const instanceOf = (owner: string): string => owner.replace(/\.second$/, '')
const pollMs = 20
const forgetGraceMs = 2000
/** Maximum time for setting up the sandbox, which usually takes about 10 ms. */
const launchMs = 10_000

export function createInstances(parts: InstanceParts): Instances {
  const { layout, sandbox, releases, ports, quotas } = parts
  const store = createInstanceStore(layout, sandbox)

  async function launch(request: StartRequest, directory: string): Promise<void> {
    await requireRoom(layout.dataDir, quotas)
    const release = await releases.find(request.digest)
    if (release === null || release.kind !== 'app') throw new PortError('ARTIFACT_MISSING', 'The release is no longer stored.')
    const port = request.kind === 'web' ? await reservePort(request.instanceId) : null
    const secondPort = request.secondPort ? await reservePort(secondOwner(request.instanceId)) : null
    const { workingDirectory, tools = [] } = release
    if (!(await parts.tools.has(tools)))
      throw new PortError('ARTIFACT_MISSING', 'The runtime that the release was built for is no longer stored.')
    const mounts: Mount[] = []
    for (const { diskId, mountPath, readOnly } of request.disks) {
      const run = { instanceId: request.instanceId, run: runNumber(directory) }
      const held = await parts.disks.hold(diskId, run).catch((error: unknown) => {
        throw error instanceof PortError ? new PortError('START_FAILED', error.message, { cause: error }) : error
      })
      mounts.push({ directory: held, path: mountPath, readOnly })
    }
    const bare: Cell = {
      ...{ name: runName(request.instanceId, directory), directory, tree: releases.tree(request.digest), workingDirectory, tools },
      ...{ access: 'view', cache: null, mounts, lifetime: 'detached' },
    }
    const { cell, env: ofFiles } = withFiles(sandbox, bare, request.files, { port, secondPort })
    await sandbox.prepare(cell)
    const paths = sandbox.paths(cell)
    const env = { ...runEnv(paths, workingDirectory, tools), ...request.env, ...ofFiles }
    for (const { variable, mountPath } of request.disks) env[variable] = paths.mounted(mountPath)
    if (port !== null) Object.assign(env, { PORT: String(port), HOST: loopback })
    await spawnDetached(request.instanceId, directory, sandbox.launch(cell, request.startCommand, env), { port, secondPort })
  }

  async function reservePort(owner: string): Promise<number> {
    const port = await ports.reserve(owner)
    if (port === null) throw new PortError('NO_CAPACITY', 'No free port is available for another instance.')
    return port
  }

  /** The shell waits for a line of input, which it gets when the launch is recorded. Without it, the shell exits. */
  async function spawnDetached(
    instanceId: string,
    directory: string,
    launch: ReturnType<Sandbox['launch']>,
    listening: { port: number | null; secondPort: number | null },
  ): Promise<void> {
    const spool = await openSpool(store.directory(instanceId))
    const report = await open(join(directory, 'report'), 'a', 0o600)
    try {
      const script = `read -r word || exit 125; exec </dev/null; ulimit -c 0; ${launch.script}`
      const child = spawn('/bin/sh', ['-c', script, 'sh', ...launch.args], {
        cwd: launch.cwd,
        env: launch.env,
        detached: true,
        stdio: ['pipe', spool.stdout.fd, spool.stderr.fd, report.fd, ...(launch.input === null ? [] : (['pipe'] as const))],
      })
      child.on('error', () => undefined)
      child.unref()
      feed(child.stdio[4], launch.input)
      const watcher = child.pid === undefined ? null : markOf(child.pid)
      let isRecorded = false
      try {
        if (watcher === null) throw new PortError('START_FAILED', 'The instance could not be started.')
        isRecorded = await store.decide(directory, { watcher, ...listening, startedAt: new Date().toISOString() })
      } finally {
        if (isRecorded) feed(child.stdin, Buffer.from('go\n'))
        else child.stdin?.destroy()
      }
    } finally {
      await Promise.all([spool.close(), report.close()])
    }
  }

  /** The current run, once it is not being started. */
  async function settled(instanceId: string): Promise<Run | null> {
    for (;;) {
      const run = store.read(instanceId)
      if (run?.phase !== 'claimed') return run
      await pause(pollMs)
    }
  }

  /** False if the instance exits before its sandbox is set up. */
  async function untilUp(instanceId: string): Promise<boolean> {
    for (const deadline = performance.now() + launchMs; performance.now() < deadline; await pause(5)) {
      const run = store.read(instanceId)
      if (run === null || run.phase === 'ended') return run !== null && run.report.rootPid !== null
      if (run.report.rootPid !== null) return true
    }
    return false
  }

  async function requireUp(instanceId: string): Promise<void> {
    if (await untilUp(instanceId)) return
    // The sandbox reports to a file, which fails on a full disk.
    await requireRoom(layout.dataDir, quotas)
    throw new PortError('START_FAILED', 'The sandbox of the instance could not be set up.')
  }

  /** Kills the processes that an instance left running when its first process exited. */
  async function endLeftovers(run: Run): Promise<void> {
    if (run.launched === null || run.launched.watcher.bootId !== bootId()) return
    if (run.report.rootPid === null) killStillborn(run.launched.watcher)
    await killAll(sandbox, run, run.root)
  }

  /** Cleans up after a failed start and records the failure. */
  async function giveUp(instanceId: string, directory: string): Promise<void> {
    const run = store.read(instanceId)
    if (run?.launched) return await endLeftovers(run)
    // On a full disk, the record cannot be written. A run that is removed has the same meaning.
    await store.decide(directory, null).catch(() => removeTree(directory))
  }

  async function untilEnded(instanceId: string, deadline: number): Promise<Run | null> {
    for (;;) {
      const run = store.read(instanceId)
      if (run?.phase !== 'running') return run
      if (performance.now() >= deadline) return run
      await pause(pollMs)
    }
  }

  /** For each instance, the last run whose leftovers this process has killed. */
  const swept = new Map<string, number>()

  /** Roots of the instances that this process has observed running. A measurement needs nothing else, and reads no files of the instances. */
  const roots = new Map<string, ProcessMark>()

  function rootOf(instanceId: string): ProcessMark | null {
    return roots.get(instanceId) ?? store.read(instanceId)?.root ?? null
  }

  async function observeOne(instanceId: string): Promise<Observation> {
    const run = store.read(instanceId)
    if (run?.root) roots.set(instanceId, run.root)
    else roots.delete(instanceId)
    if (run === null) return { instanceId, state: 'missing' }
    if (run.phase !== 'ended') return { instanceId, state: 'running', startedAt: new Date(run.launched?.startedAt ?? run.claim.claimedAt) }
    if (swept.get(instanceId) !== run.number) await endLeftovers(run)
    swept.set(instanceId, run.number)
    const { exitedAt, cause } = run
    return { instanceId, state: 'exited', exitCode: run.report.exitCode, signal: signalOf(run.report.exitCode), exitedAt, cause }
  }

  const addresses = new Map<string, { first: Address; second: Address | null; readAt: number }>()

  const instances: Instances = {
    async start(request) {
      for (;;) {
        const former = await settled(request.instanceId)
        if (former?.phase === 'running' && (await untilUp(request.instanceId))) return
        // A starter that died may have left a shell that waits for its line of input, and must not get it any more.
        if (former !== null && former.launched === null) await store.decide(former.directory, null)
        if (former !== null) await endLeftovers(former)
        const directory = await namingFullDisk(() => store.claim(request.instanceId, former, request))
        if (directory === null) continue
        try {
          await namingFullDisk(() => launch(request, directory))
          await requireUp(request.instanceId)
        } catch (error) {
          await giveUp(request.instanceId, directory)
          throw error instanceof TypeError ? new PortError('START_FAILED', error.message, { cause: error }) : error
        }
        if (former !== null) await store.removeEarlierRuns(request.instanceId, former.number + 1)
        return
      }
    },
    observe: (instanceIds) => Promise.all(instanceIds.map(observeOne)),
    async measure(instanceIds) {
      const tree = await readProcessTree()
      const usageOf = (root: ProcessMark | null) => root && tree.usage(root)
      return { usage: instanceIds.map((instanceId) => usageOf(rootOf(instanceId))), capacity: machineCapacity() }
    },
    async probe({ instanceId, path, timeoutMs }) {
      const address = instances.addressOf(instanceId)
      if (address === null) return { ok: false, status: null, reason: 'the instance has no port', otherPorts: [], otherHosts: [] }
      const answer = await probeAddress(address, path, timeoutMs)
      if (answer.ok || answer.status !== null) return { ...answer, otherPorts: [], otherHosts: [] }
      const run = store.read(instanceId)
      const sockets = run === null ? [] : listeningSockets(sandbox.members(run, run.root))
      const secondPort = run?.launched?.secondPort ?? null
      const deaf = ({ host }: { host: string }) =>
        host !== address.host && host !== '0.0.0.0' && (host !== '::' || answer.reason === refused)
      return {
        ...answer,
        otherPorts: [...new Set(sockets.map(({ port }) => port).filter((port) => port !== address.port && port !== secondPort))],
        otherHosts: sockets.filter((socket) => socket.port === address.port && deaf(socket)).map(({ host }) => host),
      }
    },
    async stop(instanceId, { graceMs }) {
      const deadline = performance.now() + graceMs
      let run = await settled(instanceId)
      if (run === null) return
      if (run.phase === 'running') {
        await untilUp(instanceId)
        run = store.read(instanceId) ?? run
        // The sandbox's init and the watcher are not signalled, because they have to report the exit.
        // If the disk is too full to record the stop, the instance is killed without a grace period.
        await store.beginStop(run, Math.max(0, deadline - performance.now())).catch(() => undefined)
        if (graceMs > 0) for (const pid of sandbox.members(run, run.root)) signalProcess(pid, 'SIGTERM')
        run = (await untilEnded(instanceId, deadline)) ?? run
      }
      await endLeftovers(run)
      await untilEnded(instanceId, performance.now() + launchMs)
    },
    async forget(instanceId) {
      await instances.stop(instanceId, { graceMs: forgetGraceMs })
      await ports.release(fileName(instanceId))
      await ports.release(secondOwner(instanceId))
      addresses.delete(instanceId)
      swept.delete(instanceId)
      roots.delete(instanceId)
      forgetSpool(store.directory(instanceId))
      await discard(layout, store.directory(instanceId))
    },
    list: store.list,
    addressOf(instanceId, which) {
      let known = addresses.get(instanceId)
      if (known === undefined || performance.now() - known.readAt >= addressMs) {
        const { port = null, secondPort = null } = store.read(instanceId)?.launched ?? {}
        addresses.delete(instanceId)
        if (port === null) return null
        known = { first: at(port), second: secondPort === null ? null : at(secondPort), readAt: performance.now() }
        addresses.set(instanceId, known)
      }
      return which === 'second' ? known.second : known.first
    },
    async isReleaseUsed(digest) {
      const runs = (await store.list()).map((instanceId) => store.read(instanceId))
      return runs.some((run) => run !== null && run.phase !== 'ended' && run.claim.digest === digest)
    },
    async isRunning({ instanceId, run: number }) {
      const run = store.read(instanceId)
      if (run?.number !== number) return false
      if (run.phase !== 'ended') return true
      await endLeftovers(run)
      return false
    },
    spool: store.directory,
  }
  return instances
}

/** A restarted instance may have another port. */
const addressMs = 1000

/** Shells and bubblewrap report signal n as exit code 128 + n. */
function signalOf(exitCode: number | null): string | null {
  if (exitCode === null || exitCode <= 128) return null
  return Object.entries(constants.signals).find(([, number]) => number === exitCode - 128)?.[0] ?? null
}
