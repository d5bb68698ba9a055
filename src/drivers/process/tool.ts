/**
 * Programs that projects require in specific versions: Node and package managers. Each version is installed once from the npm registry, in a
 * cell without any user data, and is visible read-only to the builds and instances that require it.
 */
import { execFile } from 'node:child_process'
import { access, constants, mkdir, readdir, rename, stat, symlink, utimes } from 'node:fs/promises'
import { arch } from 'node:os'
import { basename, join } from 'node:path'
import { promisify } from 'node:util'
import semver from 'semver'
import type { StepIo, SuppliedTool } from '../../domain/deploys/instance/ports.ts'
import { PortError } from '../../platform/errors.ts'
import { buildEnv } from './env.ts'
import { fileName, type Layout, programsOf } from './layout.ts'
import { runToEnd } from './run.ts'
import type { Cell, Sandbox } from './sandbox.ts'
import { inThread } from './thread.ts'
import { isErrno } from './tree.ts'
import { discard, withWorkspace } from './workspace.ts'

export type ToolName = 'node' | 'npm' | 'pnpm' | 'yarn' | 'yarn-berry' | 'bun'

/** `from` is where the requirement was found, for the log. */
export type ToolRequirement = { name: ToolName; range: string; from: string }

export type Tools = {
  /** Installs missing tools. Returns the names of the tools that a cell needs. Throws PortError BUILD_FAILED. */
  provide(requirements: readonly ToolRequirement[], io: StepIo): Promise<string[]>
  /** Fetches missing tools that a request supplies. Returns their names. Throws PortError SOURCE_REJECTED, or what their source throws. */
  supply(tools: readonly SuppliedTool[], io: StepIo): Promise<string[]>
  /** Whether all of them are still installed. */
  has(names: readonly string[]): Promise<boolean>
  /** Removes tools that no release uses and that have not been required recently. */
  sweep(releases: { all(): Promise<{ tools?: string[] }[]> }): Promise<void>
}

const machine = arch() === 'arm64' ? { node: 'arm64', bun: 'linux-aarch64' } : { node: 'x64', bun: 'linux-x64-baseline' }

/** The packages with the programs. None of them requires an install script. */
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

const displayNames: Record<ToolName, string> = { node: 'Node', npm: 'npm', pnpm: 'pnpm', yarn: 'Yarn', 'yarn-berry': 'Yarn', bun: 'Bun' }

export function createTools(layout: Layout, sandbox: Sandbox): Tools {
  /** Null if the host has none. */
  let hostNode: Promise<string | null> | undefined
  const hostNodeVersion = () => {
    hostNode ??= promisify(execFile)('node', ['--version'], { env: { PATH: sandbox.hostPath } }).then(
      ({ stdout }) => semver.clean(stdout),
      () => null,
    )
    return hostNode
  }

  let sweptAt = Number.NEGATIVE_INFINITY

  async function provide(requirements: readonly ToolRequirement[], io: StepIo): Promise<string[]> {
    const names: string[] = []
    for (const requirement of requirements) {
      const version = requirement.name === 'node' ? await provideNode(requirement, names, io) : await provideOne(requirement, names, io)
      if (version !== null) await say(io, `${displayNames[requirement.name]} ${version} (${requirement.from}: ${requirement.range}).`)
    }
    return names
  }

  /** Together with an older Node, installs an npm that runs on it, unless the project specifies one. */
  async function provideNode(requirement: ToolRequirement, names: string[], io: StepIo): Promise<string | null> {
    const host = await hostNodeVersion()
    if (host !== null && semver.satisfies(host, requirement.range)) return host
    const version = await provideOne(requirement, names, io)
    const npm = npmFor(version)
    if (npm !== null) await provideOne({ name: 'npm', range: npm, from: requirement.from }, names, io)
    return version
  }

  async function provideOne(requirement: ToolRequirement, names: string[], io: StepIo): Promise<string> {
    const exact = semver.valid(requirement.range)
    const version = exact ?? (await newestOf(requirement, io))
    const name = `${requirement.name}-${version}`
    const directory = join(layout.tools, name)
    if (!(await isThere(directory))) await install(requirement, version, directory, io)
    // Tools that the project specifies take precedence over those installed along with its Node.
    names.unshift(name)
    return version
  }

  async function newestOf(requirement: ToolRequirement, io: StepIo): Promise<string> {
    const known = (await readdir(layout.tools))
      .filter((name) => name.startsWith(`${requirement.name}-`))
      .map((name) => name.slice(requirement.name.length + 1))
    const printed: Buffer[] = []
    const exitCode = await inOwnCell(
      `npm view ${packages[requirement.name].package} versions --json --loglevel=error`,
      { signal: io.signal, output: (stream, bytes) => void (stream === 'stdout' && printed.push(Buffer.from(bytes))) },
      async () => undefined,
    )
    const listed = exitCode === 0 ? versionsIn(Buffer.concat(printed).toString()) : null
    const best = bestOf(listed ?? known, requirement)
    if (best !== null) return best
    if (listed === null) throw unreachable(requirement)
    throw new PortError(
      'BUILD_FAILED',
      `No version of ${displayNames[requirement.name]} matches ${requirement.range} (${requirement.from}).`,
      {
        hint: `Correct ${requirement.from}.`,
      },
    )
  }

  async function install(requirement: ToolRequirement, version: string, directory: string, io: StepIo): Promise<void> {
    const { package: name, links = {} } = packages[requirement.name]
    await say(io, `Installing ${displayNames[requirement.name]} ${version} from the npm registry.`)
    const command = `npm install --no-save --ignore-scripts --no-audit --no-fund --loglevel=error ${name}@${version}`
    const exitCode = await inOwnCell(command, io, async (tree) => {
      await mkdir(programsOf(tree), { recursive: true })
      for (const [link, target] of Object.entries(links)) await replaceLink(join(programsOf(tree), link), target)
      await keep(tree, directory)
    })
    if (exitCode === 0) return
    throw new PortError(
      'BUILD_FAILED',
      `${displayNames[requirement.name]} ${version} (${requirement.from}) could not be installed from the npm registry.`,
      {
        exitCode,
        hint: `If the version does not exist, correct ${requirement.from}. See the log for the output of npm.`,
      },
    )
  }

  /** Runs a command in an empty tree, then `then` with the tree if the command succeeded. */
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

  async function fetch({ title, program, source }: SuppliedTool, directory: string, io: StepIo): Promise<void> {
    await say(io, `Fetching the source of ${title}.`)
    await withWorkspace(layout, 'tool', async (workspace) => {
      const tree = join(workspace, 'tree')
      await mkdir(tree)
      await source(tree, io)
      const escaping = await inThread('escapingLink', tree, io)
      if (escaping !== null) throw new PortError('SOURCE_REJECTED', `The link ${escaping} points outside the source of ${title}.`)
      await access(join(tree, program), constants.X_OK).catch((cause) => {
        throw new PortError('SOURCE_REJECTED', `The source of ${title} has no executable ${program}.`, {
          hint: `Check the repository and the branch that ${title} comes from.`,
          cause,
        })
      })
      await mkdir(programsOf(tree), { recursive: true })
      await replaceLink(join(programsOf(tree), basename(program)), join('../..', program))
      await keep(tree, directory)
    })
  }

  return {
    provide,
    async supply(tools, io) {
      for (const tool of tools) {
        const directory = join(layout.tools, fileName(tool.name))
        if (!(await isThere(directory))) await fetch(tool, directory, io)
      }
      return tools.map(({ name }) => name)
    },
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

/** Whether a tool is stored. Updates its time, because a sweep does not remove tools that were required recently. */
async function isThere(directory: string): Promise<boolean> {
  const now = new Date()
  return await utimes(directory, now, now).then(
    () => true,
    () => false,
  )
}

/** Not more often, because a sweep reads every release. */
const sweepEveryMs = 3_600_000

/** Longer than any build that requires a tool and has not stored its release yet. */
const unusedMs = 5 * 3_600_000

/** Another build may have installed the same version in the meantime. */
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

/** For Node, prefers the newest even-numbered major version, which has long-term support. */
function bestOf(versions: string[], { name, range }: ToolRequirement): string | null {
  const lasting = name === 'node' ? versions.filter((version) => semver.major(version) % 2 === 0) : versions
  return semver.maxSatisfying(lasting, range) ?? semver.maxSatisfying(versions, range)
}

/** Null if the host's npm works with this Node. */
function npmFor(node: string): string | null {
  if (semver.gte(node, '20.17.0')) return null
  if (semver.gte(node, '18.17.0')) return '10'
  if (semver.gte(node, '14.17.0')) return '9'
  return semver.gte(node, '12.13.0') ? '8' : '6'
}

function unreachable(requirement: ToolRequirement): PortError<'BUILD_FAILED'> {
  return new PortError(
    'BUILD_FAILED',
    `The npm registry could not be reached to look up ${displayNames[requirement.name]} ${requirement.range} (${requirement.from}).`,
    {
      hint: 'Make sure that this machine can reach the npm registry, then deploy again.',
    },
  )
}

async function say(io: StepIo, text: string): Promise<void> {
  await io.output('system', Buffer.from(`${text}\n`))
}
