/**
 * Builds a release from source: writes the source to an empty tree, detects a plan, runs its commands in a cell, and stores the result
 * under its digest. A failed or cancelled build leaves nothing but the service's cache.
 */
import { mkdir, stat } from 'node:fs/promises'
import { delimiter, join, relative } from 'node:path'
import type { BuildRequest, BuiltRelease, StepIo } from '../../domain/deploys/instance/ports.ts'
import { PortError } from '../../platform/errors.ts'
import type { Caches } from './cache.ts'
import { detectPlan, type Plan } from './detect.ts'
import { diskFull, isRoomLeft, namingFullDisk, type Quotas, requireRoom, watchRoom } from './disk.ts'
import { buildEnv } from './env.ts'
import type { FinishRequest } from './finish.ts'
import { fileName, type Layout } from './layout.ts'
import { markTime } from './publish.ts'
import type { Manifest, Releases } from './release.ts'
import { runToEnd } from './run.ts'
import type { Cell, Sandbox } from './sandbox.ts'
import { sourceTree } from './source-tree.ts'
import { inThread } from './thread.ts'
import type { Tools } from './tool.ts'
import { directoryInside } from './tree.ts'
import { sweepWorkspaces, withWorkspace } from './workspace.ts'

export type BuildParts = {
  layout: Layout
  sandbox: Sandbox
  releases: Releases
  caches: Caches
  tools: Tools
  quotas: Quotas
  isUsed(digest: string): Promise<boolean>
}

export async function build(parts: BuildParts, request: BuildRequest, io: StepIo): Promise<BuiltRelease> {
  const { layout, sandbox, quotas } = parts
  io.signal.throwIfAborted()
  await sweepWorkspaces(layout, sandbox)
  await requireRoom(layout.dataDir, quotas)
  const { serviceId } = request
  const cache = await parts.caches.open(serviceId, { clear: request.clearCache })
  const abort = new AbortController()
  const step: StepIo = { output: io.output, signal: AbortSignal.any([io.signal, abort.signal]) }
  const stopWatching = watchRoom(layout.dataDir, quotas, abort)
  try {
    return await withWorkspace(
      layout,
      fileName(request.deploymentId),
      (directory) => namingFullDisk(() => buildIn(parts, directory, cache, request, step)),
      serviceId,
    )
  } finally {
    stopWatching()
    await parts.caches.settle(serviceId)
  }
}

async function buildIn(parts: BuildParts, directory: string, cache: string, request: BuildRequest, io: StepIo): Promise<BuiltRelease> {
  const tree = join(directory, 'tree')
  await mkdir(tree)
  await request.source(tree, io)
  io.signal.throwIfAborted()
  const escaping = await inThread('escapingLink', tree, io)
  if (escaping !== null) throw new PortError('SOURCE_REJECTED', `The link ${escaping} points outside the source tree.`)
  const work = await rootDirectory(tree, request.rootDirectory)
  const plan = await planOf(parts, tree, work, request)
  await say(io, `Detected: ${plan.detected}`)
  for (const note of plan.notes) await say(io, note)
  const tools = [...(await parts.tools.supply(request.tools ?? [], io)), ...(await parts.tools.provide(plan.tools, io))]
  const cell: Cell = {
    name: directory.slice(directory.lastIndexOf('/') + 1),
    directory,
    tree,
    access: 'direct',
    workingDirectory: relative(tree, work),
    tools,
    cache,
    lifetime: 'bound',
  }
  await parts.sandbox.prepare(cell)
  const builtSince = await markTime(directory)
  await runSteps(parts, cell, plan, request, io)
  const manifest = await store(parts, cell, plan, request, builtSince, io)
  await removeEarlierAttempts(parts, manifest)
  return {
    digest: manifest.digest,
    sizeBytes: manifest.sizeBytes,
    startCommand: manifest.startCommand,
    releaseCommand: plan.releaseCommand,
    detected: manifest.detected,
    facts: plan.facts,
  }
}

async function planOf({ sandbox }: BuildParts, tree: string, work: string, request: BuildRequest): Promise<Plan> {
  if (!request.plan) return detectPlan(tree, work, { ...request, hasGo: await hasProgram(sandbox, 'go') })
  return { ...(await request.plan(sourceTree(tree, work))), releaseCommand: null, tools: [], notes: [] }
}

/** Whether a program of this name exists in the PATH of cells. */
async function hasProgram(sandbox: Sandbox, name: string): Promise<boolean> {
  for (const directory of sandbox.hostPath.split(delimiter)) if (await stat(join(directory, name)).catch(() => null)) return true
  return false
}

async function rootDirectory(tree: string, path: string | null): Promise<string> {
  const found = await directoryInside(tree, path?.trim() || '.')
  if (found === null)
    throw new PortError('SOURCE_REJECTED', 'The root directory does not exist in the source tree.', { hint: 'Check rootDirectory.' })
  return found
}

async function runSteps({ layout, sandbox, quotas }: BuildParts, cell: Cell, plan: Plan, request: BuildRequest, io: StepIo): Promise<void> {
  const env = { ...buildEnv(sandbox.paths(cell), cell.workingDirectory, cell.tools), ...request.env }
  for (const command of plan.steps) {
    await say(io, `$ ${command}`)
    const exitCode = await runToEnd(sandbox, cell, command, env, io)
    if (exitCode === 0) continue
    if (!(await isRoomLeft(layout.dataDir, quotas))) throw diskFull()
    throw new PortError('BUILD_FAILED', `The build command exited with code ${exitCode}: ${command}`, {
      exitCode,
      hint: exitCode === 127 ? 'The shell did not find a program that the command calls.' : undefined,
    })
  }
}

async function store(
  { releases, quotas, sandbox }: BuildParts,
  cell: Cell,
  plan: Plan,
  request: BuildRequest,
  builtSince: number,
  io: StepIo,
): Promise<Manifest> {
  const { serviceId, deploymentId } = request
  const finish: FinishRequest = {
    tree: cell.tree,
    draft: {
      ...{ serviceId, deploymentId, detected: plan.detected, startCommand: plan.startCommand },
      ...(plan.startCommand !== null && cell.tools.length > 0 ? { tools: [...cell.tools] } : {}),
    },
    workingDirectory: cell.workingDirectory,
    releaseBytes: quotas.releaseBytes,
    site:
      plan.startCommand === null
        ? {
            declared: request.publishDirectory,
            builtSince: plan.steps.length > 0 ? builtSince : null,
            target: join(cell.directory, 'published'),
            encoded: join(cell.directory, 'encoded'),
          }
        : null,
    app: sandbox.paths(cell).app,
  }
  const { manifest, ...trees } = await inThread('finish', finish, io)
  await releases.store(trees, manifest)
  return manifest
}

/** A worker that was lost after storing a release, and before recording it, leaves a release that no row names. */
async function removeEarlierAttempts({ releases, isUsed }: BuildParts, manifest: Manifest): Promise<void> {
  for (const other of await releases.all()) {
    if (other.deploymentId !== manifest.deploymentId || other.digest === manifest.digest) continue
    if (!(await isUsed(other.digest))) await releases.remove(other.digest)
  }
}

async function say(io: StepIo, text: string): Promise<void> {
  await io.output('system', Buffer.from(`${text}\n`))
}
