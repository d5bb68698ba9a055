/**
 * The runtime driver for plain processes: builds and instances on this host, sandboxed by bubblewrap if it works. All state is under
 * DATA_DIR, shared by all processes of the control plane, none of which has to keep running. It knows no database, no deployment rules and
 * no router. Made for Linux.
 */
import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { ReleaseCommandRequest, Runtime, StepIo } from '../../domain/deploys/instance/ports.ts'
import { PortError } from '../../platform/errors.ts'
import { createLoopbackPorts, type PortRange } from '../../platform/loopback-port.ts'
import { build } from './build.ts'
import { createCaches } from './cache.ts'
import { namingFullDisk, type Quotas, requireRoom } from './disk.ts'
import { runEnv } from './env.ts'
import { createInstances, instanceOf } from './instance.ts'
import { createLayout, fileName } from './layout.ts'
import { closeInherited } from './linux.ts'
import { createPersistentDisks } from './persistent-disk.ts'
import { withFiles } from './private-file.ts'
import { createReleases } from './release.ts'
import { runToEnd } from './run.ts'
import { type Cell, createSandbox, type Mount } from './sandbox.ts'
import { readSpool } from './spool.ts'
import { createTools } from './tool.ts'
import { sweepWorkspaces, withWorkspace } from './workspace.ts'

export type ProcessRuntimeOptions = {
  dataDir: string
  /** `auto`: bubblewrap if it works. `bwrap`: fail without bubblewrap. `none`: no sandbox. */
  sandbox: 'auto' | 'bwrap' | 'none'
  /** The host's PATH. Entries that end in node_modules/.bin are ignored. */
  hostPath: string
  /** Further directories to hide from builds and instances, such as that of Quayside itself. */
  hidden?: string[]
  quotas?: Partial<Quotas>
  /** Maximum size of unread output per stream of an instance. */
  outputCapBytes?: number
  /** Ports for instances. By default outside the range of outgoing connections. */
  portRange?: PortRange
}

const defaults = {
  quotas: { releaseBytes: 2 * 2 ** 30, dataDirFreeBytes: 256 * 2 ** 20, cacheBytes: 2 * 2 ** 30, allCachesBytes: 10 * 2 ** 30 },
  outputCapBytes: 64 * 2 ** 20,
  portRange: { first: 20_000, last: 29_999 },
}

/** Throws if `sandbox` is `bwrap` and bubblewrap does not work. */
export async function createProcessRuntime(options: ProcessRuntimeOptions): Promise<Runtime> {
  const quotas: Quotas = { ...defaults.quotas, ...options.quotas }
  const outputCapBytes = options.outputCapBytes ?? defaults.outputCapBytes
  const layout = await createLayout(options.dataDir)
  closeInherited()
  const { hostPath, hidden = [] } = options
  const sandbox = await createSandbox({ choice: options.sandbox, layout, hostPath, hidden })
  const releases = createReleases(layout)
  const isOwner = async (owner: string) => (await stat(join(layout.instances, instanceOf(owner))).catch(() => null)) !== null
  const ports = createLoopbackPorts({ directory: layout.ports, range: options.portRange ?? defaults.portRange, isOwner })
  const tools = createTools(layout, sandbox)
  const caches = createCaches(layout, quotas)
  const disks = createPersistentDisks({ layout, quotas, isRunning: (run) => instances.isRunning(run) })
  const instances = createInstances({ layout, sandbox, releases, ports, tools, quotas, disks })
  const { isReleaseUsed } = instances
  await sweepWorkspaces(layout, sandbox)

  async function runReleaseCommand(request: ReleaseCommandRequest, io: StepIo): Promise<void> {
    await requireRoom(layout.dataDir, quotas)
    const release = await releases.find(request.digest)
    if (release === null) throw new PortError('ARTIFACT_MISSING', 'The release is no longer stored.')
    const used = release.tools ?? []
    if (!(await tools.has(used))) throw new PortError('ARTIFACT_MISSING', 'The runtime that the release was built for is no longer stored.')
    const inCell = (mounts: Mount[]) =>
      withWorkspace(layout, fileName(request.deploymentId), async (directory) => {
        const bare: Cell = {
          ...{ name: directory.slice(directory.lastIndexOf('/') + 1), directory, tree: releases.tree(request.digest), mounts },
          ...{ access: 'view', workingDirectory: release.workingDirectory, tools: used, cache: null, lifetime: 'bound' },
        }
        const { cell, env: ofFiles } = withFiles(sandbox, bare, request.files)
        await sandbox.prepare(cell)
        const paths = sandbox.paths(cell)
        const env = { ...runEnv(paths, release.workingDirectory, used), ...request.env, ...ofFiles }
        for (const { variable, mountPath } of request.disks ?? []) env[variable] = paths.mounted(mountPath)
        return runToEnd(sandbox, cell, request.command, env, io)
      })
    const exitCode = await disks.use(request.disks ?? [], inCell)
    if (exitCode === 0) return
    throw new PortError('RELEASE_COMMAND_FAILED', `The release command exited with code ${exitCode}.`, { exitCode })
  }

  async function removeRelease(digest: string): Promise<void> {
    if (!(await isReleaseUsed(digest))) await releases.remove(digest)
  }

  return {
    sandbox: sandbox.kind,
    sandboxMissing: sandbox.missing,
    build: (request, io) => build({ layout, sandbox, releases, caches, tools, quotas, isUsed: isReleaseUsed }, request, io),
    runReleaseCommand: (request, io) => namingFullDisk(() => runReleaseCommand(request, io)),
    hasRelease: async (digest) => (await releases.find(digest)) !== null,
    removeRelease,
    async kept() {
      return { digests: await releases.digests(), serviceIds: await caches.list() }
    },
    async describeRelease(digest) {
      const found = await releases.find(digest)
      return found && { serviceId: found.serviceId, deploymentId: found.deploymentId, sizeBytes: found.sizeBytes }
    },
    async sweep() {
      await sweepWorkspaces(layout, sandbox)
      await tools.sweep(releases)
    },
    async removeService(serviceId) {
      await caches.remove(serviceId)
      for (const release of await releases.all()) if (release.serviceId === serviceId) await removeRelease(release.digest)
    },
    start: instances.start,
    observe: instances.observe,
    measure: instances.measure,
    probe: instances.probe,
    stop: instances.stop,
    forget: instances.forget,
    list: instances.list,
    readOutput: (instanceId, position, maxBytes) => readSpool(instances.spool(instanceId), position, maxBytes, outputCapBytes),
    addressOf: instances.addressOf,
    staticFiles: releases.staticFiles,
    measureDisks: disks.measureDisks,
    removeDisk: disks.removeDisk,
    readDisk: disks.readDisk,
    writeDisk: disks.writeDisk,
    snapshotDisk: disks.snapshotDisk,
    restoreDisk: disks.restoreDisk,
    removeDiskSnapshot: disks.removeDiskSnapshot,
  }
}
