/**
 * Programs that a project wants in a version of its own: Node and package managers. Each is installed once from the npm registry, by a
 * cell that holds nothing of a user's, and shown read-only to the builds and instances that want it.
 */
import { execFile } from 'node:child_process'
import { mkdir, readdir, rename, stat, symlink, utimes } from 'node:fs/promises'
import { arch } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import semver from 'semver'
import type { StepIo } from '../../domain/deploys/instance/ports.ts'
import { PortError } from '../../platform/errors.ts'
import { buildEnv } from './env.ts'
import { type Layout, programsOf } from './layout.ts'
import { runToEnd } from './run.ts'
import type { Cell, Sandbox } from './sandbox.ts'
import { isErrno } from './tree.ts'
import { discard, withWorkspace } from './workspace.ts'

export type ToolName = 'node' | 'npm' | 'pnpm' | 'yarn' | 'yarn-berry' | 'bun'

/** `from` says where the wish stands, for the log. */
export type ToolWish = { name: ToolName; range: string; from: string }

export type Tools = {
  /** Installs what is missing. Answers the names of the tools that a cell has to show. Throws PortError BUILD_FAILED. */
  provide(wishes: readonly ToolWish[], io: StepIo): Promise<string[]>
  /** Whether all of them are still there. */
  has(names: readonly string[]): Promise<boolean>
  /** Removes those that no release names and that nothing has asked for lately. */
  sweep(releases: { all(): Promise<{ tools?: string[] }[]> }): Promise<void>
}

const machine = arch() === 'arm64' ? { node: 'arm64', bun: 'linux-aarch64' } : { node: 'x64', bun: 'linux-x64-baseline' }

/** The packages that hold the programs themselves: none of them needs an install script. */
const packages: Record<ToolName, { package: string; links?: Record<string, string> }> = {
  node: { package: `node-linux-${machine.node}`, links: { node: `../node-linux-${machine.node}/bin/node` } },
  npm: { package: 'npm' },
  pnpm: { package: 'pnpm' },
  yarn: { package: 'yarn' },
  'yarn-berry': { package: '@yarnpkg/cli-dist' },
  bun: {
    package: `@oven/bun-${machine.bun}`,
    links: { bun: `../@oven/bun-${machine.bun}/bin/bun`, bunx: `../@oven/bun-${machine.bun}/bin/bun` },
  },
}

const asTold: Record<ToolName, string> = { node: 'Node', npm: 'npm', pnpm: 'pnpm', yarn: 'Yarn', 'yarn-berry': 'Yarn', bun: 'Bun' }

export function createTools(layout: Layout, sandbox: Sandbox): Tools {
  /** Null where the host has none. */
  let hostNode: Promise<string | null> | undefined
  const hostNodeVersion = () => {
    hostNode ??= promisify(execFile)('node', ['--version'], { env: { PATH: sandbox.hostPath } }).then(
      ({ stdout }) => semver.clean(stdout),
      () => null,
    )
    return hostNode
  }

  let sweptAt = Number.NEGATIVE_INFINITY

  async function provide(wishes: readonly ToolWish[], io: StepIo): Promise<string[]> {
    const names: string[] = []
    for (const wish of wishes) {
      const version = wish.name === 'node' ? await provideNode(wish, names, io) : await provideOne(wish, names, io)
      if (version !== null) await say(io, `${asTold[wish.name]} ${version} (${wish.from}: ${wish.range}).`)
    }
    return names
  }

  /** With an older Node comes an npm that it can run, unless the project names one. */
  async function provideNode(wish: ToolWish, names: string[], io: StepIo): Promise<string | null> {
    const host = await hostNodeVersion()
    if (host !== null && semver.satisfies(host, wish.range)) return host
    const version = await provideOne(wish, names, io)
    const npm = npmFor(version)
    if (npm !== null) await provideOne({ name: 'npm', range: npm, from: wish.from }, names, io)
    return version
  }

  async function provideOne(wish: ToolWish, names: string[], io: StepIo): Promise<string> {
    const exact = semver.valid(wish.range)
    const version = exact ?? (await newestOf(wish, io))
    const name = `${wish.name}-${version}`
    const directory = join(layout.tools, name)
    const now = new Date()
    // Marked as wanted first: a sweep leaves alone what was asked for lately.
    const isThere = await utimes(directory, now, now).then(
      () => true,
      () => false,
    )
    if (!isThere) await install(wish, version, directory, io)
    // What a project names comes before what its Node brought along.
    names.unshift(name)
    return version
  }

  async function newestOf(wish: ToolWish, io: StepIo): Promise<string> {
    const known = (await readdir(layout.tools))
      .filter((name) => name.startsWith(`${wish.name}-`))
      .map((name) => name.slice(wish.name.length + 1))
    const printed: Buffer[] = []
    const exitCode = await inOwnCell(
      `npm view ${packages[wish.name].package} versions --json --loglevel=error`,
      { signal: io.signal, output: (stream, bytes) => void (stream === 'stdout' && printed.push(Buffer.from(bytes))) },
      async () => undefined,
    )
    const listed = exitCode === 0 ? versionsIn(Buffer.concat(printed).toString()) : null
    const best = bestOf(listed ?? known, wish)
    if (best !== null) return best
    if (listed === null) throw unreachable(wish)
    throw new PortError('BUILD_FAILED', `No version of ${asTold[wish.name]} matches ${wish.range} (${wish.from}).`, {
      hint: `Correct ${wish.from}.`,
    })
  }

  async function install(wish: ToolWish, version: string, directory: string, io: StepIo): Promise<void> {
    const { package: name, links = {} } = packages[wish.name]
    await say(io, `Installing ${asTold[wish.name]} ${version} from the npm registry.`)
    const command = `npm install --no-save --ignore-scripts --no-audit --no-fund --loglevel=error ${name}@${version}`
    const exitCode = await inOwnCell(command, io, async (tree) => {
      await mkdir(programsOf(tree), { recursive: true })
      for (const [link, target] of Object.entries(links)) await replaceLink(join(programsOf(tree), link), target)
      await keep(tree, directory)
    })
    if (exitCode === 0) return
    throw new PortError('BUILD_FAILED', `${asTold[wish.name]} ${version} (${wish.from}) could not be installed from the npm registry.`, {
      exitCode,
      hint: `If the version does not exist, correct ${wish.from}. See the log for the output of npm.`,
    })
  }

  /** Runs a command over an empty tree, and `then` with what it left where it succeeded. */
  async function inOwnCell(command: string, io: StepIo, then: (tree: string) => Promise<void>): Promise<number> {
    return await withWorkspace(layout, 'tool', async (directory) => {
      const tree = join(directory, 'tree')
      await mkdir(tree)
      const cell: Cell = {
        ...{ name: directory.slice(directory.lastIndexOf('/') + 1), directory, tree, access: 'direct', workingDirectory: '', tools: [] },
        ...{ cache: layout.toolCache, lifetime: 'bound' },
      }
      await sandbox.prepare(cell)
      const exitCode = await runToEnd(sandbox, cell, command, buildEnv(sandbox.paths(cell), '', []), io)
      if (exitCode === 0) await then(tree)
      return exitCode
    })
  }

  return {
    provide,
    async has(names) {
      for (const name of names) if ((await stat(join(layout.tools, name)).catch(() => null)) === null) return false
      return true
    },
    async sweep(releases) {
      if (performance.now() - sweptAt < sweepEveryMs) return
      sweptAt = performance.now()
      const used = new Set((await releases.all()).flatMap((release) => release.tools ?? []))
      for (const name of await readdir(layout.tools)) {
        const found = await stat(join(layout.tools, name)).catch(() => null)
        if (used.has(name) || found === null || Date.now() - found.mtimeMs < unusedMs) continue
        await discard(layout, join(layout.tools, name))
      }
    },
  }
}

/** It reads every release. */
const sweepEveryMs = 3_600_000

/** Longer than any build may take that has asked for a tool and stored no release yet. */
const unusedMs = 5 * 3_600_000

/** Another build may have installed the same in the meantime. */
async function keep(tree: string, directory: string): Promise<void> {
  try {
    await rename(tree, directory)
  } catch (error) {
    if (!isErrno(error, 'ENOTEMPTY', 'EEXIST')) throw error
    return
  }
}

async function replaceLink(path: string, target: string): Promise<void> {
  try {
    await symlink(target, path)
  } catch (error) {
    if (!isErrno(error, 'EEXIST')) throw error
  }
}

function versionsIn(json: string): string[] | null {
  try {
    const parsed: unknown = JSON.parse(json)
    return Array.isArray(parsed) ? parsed.filter((version) => typeof version === 'string') : typeof parsed === 'string' ? [parsed] : null
  } catch {
    return null
  }
}

/** Of Node the newest line with long-term support, which has an even number, before any other. */
function bestOf(versions: string[], { name, range }: ToolWish): string | null {
  const lasting = name === 'node' ? versions.filter((version) => semver.major(version) % 2 === 0) : versions
  return semver.maxSatisfying(lasting, range) ?? semver.maxSatisfying(versions, range)
}

/** Null: the host's own will do. */
function npmFor(node: string): string | null {
  if (semver.gte(node, '20.17.0')) return null
  if (semver.gte(node, '18.17.0')) return '10'
  if (semver.gte(node, '14.17.0')) return '9'
  return semver.gte(node, '12.13.0') ? '8' : '6'
}

function unreachable(wish: ToolWish): PortError<'BUILD_FAILED'> {
  return new PortError(
    'BUILD_FAILED',
    `The npm registry could not be reached to look up ${asTold[wish.name]} ${wish.range} (${wish.from}).`,
    {
      hint: 'Make sure that this machine can reach the npm registry, then deploy again.',
    },
  )
}

async function say(io: StepIo, text: string): Promise<void> {
  await io.output('system', Buffer.from(`${text}\n`))
}
