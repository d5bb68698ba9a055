/**
 * From a source to a release: a fresh tree, a plan, its commands in a cell, and the result stored under its digest. Nothing
 * of a failed or cancelled build stays but the service's cache.
 */
import { mkdir, readdir, readFile, rename, writeFile } from 'node:fs/promises'
import { join, relative } from 'node:path'
import type { BuildRequest, BuiltRelease, StepIo } from '../../domain/deploys/instance/ports.ts'
import { PortError } from '../../platform/errors.ts'
import { detectPlan, type Plan } from './detect.ts'
import { diskFull, isRoomLeft, namingFullDisk, type Quotas, requireRoom, watchRoom } from './disk.ts'
import { buildEnv } from './env.ts'
import { fileName, type Layout } from './layout.ts'
import type { Manifest, Releases } from './release.ts'
import { runToEnd } from './run.ts'
import type { Cell, Sandbox } from './sandbox.ts'
import { directoryInside, findEscapingLink, isErrno, removeTree, tidy, walk } from './tree.ts'
import { sweepWorkspaces, withWorkspace } from './workspace.ts'

export type BuildParts = { layout: Layout; sandbox: Sandbox; releases: Releases; quotas: Quotas; isUsed(digest: string): Promise<boolean> }

export async function build(parts: BuildParts, request: BuildRequest, io: StepIo): Promise<BuiltRelease> {
  const { layout, sandbox, quotas } = parts
  io.signal.throwIfAborted()
  await sweepWorkspaces(layout, sandbox)
  await requireRoom(layout.dataDir, quotas)
  const cache = join(layout.caches, fileName(request.serviceId))
  if (request.clearCache) await removeTree(cache)
  await mkdir(cache, { recursive: true })
  const abort = new AbortController()
  const step: StepIo = { output: io.output, signal: AbortSignal.any([io.signal, abort.signal]) }
  const stopWatching = watchRoom(layout.dataDir, quotas, abort)
  try {
    return await withWorkspace(layout, fileName(request.deploymentId), (directory) =>
      namingFullDisk(() => buildIn(parts, directory, cache, request, step)),
    )
  } finally {
    stopWatching()
    await trimCache(cache, quotas)
  }
}

async function buildIn(parts: BuildParts, directory: string, cache: string, request: BuildRequest, io: StepIo): Promise<BuiltRelease> {
  const tree = join(directory, 'tree')
  await mkdir(tree)
  await request.source(tree, io)
  io.signal.throwIfAborted()
  const escaping = await findEscapingLink(tree)
  if (escaping !== null) throw new PortError('SOURCE_REJECTED', `The link ${escaping} leads out of the source tree.`)
  const work = await rootDirectory(tree, request.rootDirectory)
  const plan = await detectPlan(work, request)
  await say(io, `Detected: ${plan.detected}`)
  const cell: Cell = {
    name: directory.slice(directory.lastIndexOf('/') + 1),
    directory,
    tree,
    access: 'direct',
    workingDirectory: relative(tree, work),
    cache,
    lifetime: 'bound',
  }
  await parts.sandbox.prepare(cell)
  await runSteps(parts, cell, plan, request, io)
  const manifest = await store(parts, cell, plan, request, io)
  await dropFormerAttempts(parts, manifest)
  return { digest: manifest.digest, sizeBytes: manifest.sizeBytes, startCommand: manifest.startCommand, detected: manifest.detected }
}

async function rootDirectory(tree: string, path: string | null): Promise<string> {
  const found = await directoryInside(tree, path?.trim() || '.')
  if (found === null)
    throw new PortError('SOURCE_REJECTED', 'The root directory is not a directory of the source tree.', { hint: 'Check rootDirectory.' })
  return found
}

async function runSteps({ layout, sandbox, quotas }: BuildParts, cell: Cell, plan: Plan, request: BuildRequest, io: StepIo): Promise<void> {
  const env = { ...buildEnv(sandbox.paths(cell), cell.workingDirectory), ...request.env }
  for (const command of plan.steps) {
    await say(io, `$ ${command}`)
    const exitCode = await runToEnd(sandbox, cell, command, env, io)
    if (exitCode === 0) continue
    if (!(await isRoomLeft(layout.dataDir, quotas))) throw diskFull()
    throw new PortError('BUILD_FAILED', `The build command ended with exit code ${exitCode}: ${command}`, {
      exitCode,
      hint: exitCode === 127 ? 'A program that the command calls was not found.' : undefined,
    })
  }
}

async function store(
  { releases, quotas, sandbox }: BuildParts,
  cell: Cell,
  plan: Plan,
  request: BuildRequest,
  io: StepIo,
): Promise<Manifest> {
  const { serviceId, deploymentId } = request
  const limits = { releaseBytes: quotas.releaseBytes, signal: io.signal }
  await tidy(cell.tree)
  const draft = { serviceId, deploymentId, detected: plan.detected, startCommand: plan.startCommand }
  if (plan.startCommand !== null) {
    await makeVenvMovable(cell, sandbox)
    return await releases.store(cell.tree, { ...draft, kind: 'app', workingDirectory: cell.workingDirectory }, limits)
  }
  const published = await publishDirectory(join(cell.tree, cell.workingDirectory), request.publishDirectory)
  const escaping = await findEscapingLink(published)
  if (escaping !== null) throw new PortError('SOURCE_REJECTED', `The link ${escaping} leads out of the published directory.`)
  const tree = join(cell.directory, 'published')
  await rename(published, tree)
  return await releases.store(tree, { ...draft, kind: 'static', workingDirectory: '' }, limits)
}

const usualOutput = ['.', 'dist', 'build', 'out', '_site', 'public']

async function publishDirectory(work: string, wanted: string | null): Promise<string> {
  if (wanted?.trim()) {
    const found = await directoryInside(work, wanted.trim())
    if (found !== null) return found
    throw new PortError('BUILD_FAILED', 'The build left no directory of the published name.', { hint: 'Check publishDirectory.' })
  }
  for (const name of usualOutput) {
    const found = await directoryInside(work, name)
    if (found !== null && (await readdir(found)).includes('index.html')) return found
  }
  return work
}

/**
 * Without a sandbox a release runs at another path than it was built at, and the scripts of a virtual environment name their
 * interpreter by its path. The environment's `bin` is first in PATH, so the name alone finds it.
 */
async function makeVenvMovable(cell: Cell, sandbox: Sandbox): Promise<void> {
  const bin = join(sandbox.paths(cell).app, cell.workingDirectory, '.venv/bin')
  const onHost = await directoryInside(cell.tree, join(cell.workingDirectory, '.venv/bin'))
  if (onHost === null) return
  for await (const entry of walk(onHost)) {
    if (entry.type !== 'file' || entry.sizeBytes > 1 << 20) continue
    const text = await readFile(entry.absolute, 'latin1')
    const header = interpreterLine.exec(text)
    if (!header?.groups?.interpreter?.startsWith(`${bin}/python`)) continue
    await writeFile(entry.absolute, `#!/usr/bin/env python3\n${text.slice(header[0].length)}`, 'latin1')
  }
}

/** As pip writes it: with a path too long for a `#!` line, or with a space in it, the shell starts the interpreter. */
const interpreterLine =
  /^#!(?:(?<interpreter>\/(?!bin\/sh\n)[^\n]*)\n|\/bin\/sh\n'''exec' "?(?<interpreter>[^\n"]+?)"? "\$0" "\$@"\n' '''\n)/

/** A worker that died between storing and saying so leaves a release that nobody knows. */
async function dropFormerAttempts({ releases, isUsed }: BuildParts, manifest: Manifest): Promise<void> {
  for (const other of await releases.all()) {
    if (other.deploymentId !== manifest.deploymentId || other.digest === manifest.digest) continue
    if (!(await isUsed(other.digest))) await releases.remove(other.digest)
  }
}

async function trimCache(cache: string, quotas: Quotas): Promise<void> {
  let sizeBytes = 0
  try {
    for await (const entry of walk(cache)) sizeBytes += entry.sizeBytes
  } catch (error) {
    // Another build of the service may drop the cache at the same time.
    if (!isErrno(error, 'ENOENT')) throw error
  }
  if (sizeBytes > quotas.cacheBytes) await removeTree(cache)
}

async function say(io: StepIo, text: string): Promise<void> {
  await io.output('system', Buffer.from(`${text}\n`))
}
