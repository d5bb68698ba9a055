/** Detects the package manager of a Node project and its version, and how it installs exactly the locked versions. */
import { dirname, join } from 'node:path'
import semver from 'semver'
import { PortError } from '../../platform/errors.ts'
import { isFile, isRecord, readManifest, readSmall } from './manifest.ts'
import type { ToolRequirement } from './tool.ts'

export type PackageManager = {
  install: string
  /** Command prefix for running a script. */
  run: string
  /** Null for the host's npm. */
  tool: ToolRequirement | null
}

type Name = 'npm' | 'pnpm' | 'yarn' | 'bun'

/** Lockfiles, in order of precedence. */
const lockfiles: [string, Name][] = [
  ['package-lock.json', 'npm'],
  ['npm-shrinkwrap.json', 'npm'],
  ['pnpm-lock.yaml', 'pnpm'],
  ['yarn.lock', 'yarn'],
  ['bun.lock', 'bun'],
  ['bun.lockb', 'bun'],
]

/** From `packageManager` or else the lockfile, of the project or else of its workspace. Throws PortError BUILD_NOT_DETECTED. */
export async function findPackageManager(tree: string, directory: string): Promise<PackageManager> {
  for (let place = directory; ; place = dirname(place)) {
    const isOwn = place === directory
    if (isOwn || (await isWorkspaceRoot(place))) {
      const found = await managerOf(place)
      if (found !== null) return found
    }
    if (place === tree || place === dirname(place)) return npm(false, null)
  }
}

async function isWorkspaceRoot(directory: string): Promise<boolean> {
  if (await isFile(join(directory, 'pnpm-workspace.yaml'))) return true
  const manifest = await readManifest(directory).catch(() => null)
  return Array.isArray(manifest?.workspaces) || isRecord(manifest?.workspaces)
}

async function managerOf(directory: string): Promise<PackageManager | null> {
  const manifest = await readManifest(directory)
  const declared = declaredManager(manifest?.packageManager)
  const locked = await lockfileOf(directory, declared?.name ?? null)
  const name = declared?.name ?? locked?.name
  if (name === undefined) return null
  const from = declared === null ? 'its lockfile' : 'packageManager'
  const isLocked = locked !== null
  if (name === 'npm') return npm(isLocked, declared?.range ?? null)
  if (name === 'pnpm') return pnpm(isLocked, { range: declared?.range ?? (await pnpmOfLockfile(directory)), from })
  if (name === 'bun') return bun(isLocked, { range: declared?.range ?? '1', from })
  return yarn(isLocked, { range: declared?.range ?? (await yarnOfFiles(directory)), from })
}

/** In the format of corepack: `<name>@<version>`, optionally with `+<hash>`. */
function declaredManager(value: unknown): { name: Name; range: string } | null {
  if (value === undefined || value === null || value === '') return null
  const [, name = '', version = ''] = /^([a-z]+)@([^+]+)(?:\+.*)?$/.exec(String(value)) ?? []
  const isKnown = lockfiles.some(([, known]) => known === name)
  if (isKnown && semver.validRange(version) !== null) return { name: name as Name, range: version }
  throw new PortError('BUILD_NOT_DETECTED', `packageManager in package.json is ${JSON.stringify(value)}, which is not supported.`, {
    hint: 'Set it to npm, pnpm, yarn or bun with a version, such as "pnpm@9.12.0".',
  })
}

async function lockfileOf(directory: string, wanted: Name | null): Promise<{ name: Name } | null> {
  for (const [file, name] of lockfiles) {
    if ((wanted === null || name === wanted) && (await isFile(join(directory, file)))) return { name }
  }
  return null
}

// Build tools are usually development dependencies, so each manager installs those, too, regardless of NODE_ENV.

const npm = (locked: boolean, range: string | null): PackageManager => ({
  install: `npm ${locked ? 'ci' : 'install'} --include=dev --no-audit --no-fund`,
  run: 'npm run',
  tool: range === null ? null : { name: 'npm', range, from: 'packageManager' },
})

type Version = Pick<ToolRequirement, 'range' | 'from'>

const pnpm = (locked: boolean, version: Version): PackageManager => ({
  install: `pnpm install ${locked ? '--frozen-lockfile' : '--no-frozen-lockfile'} --prod=false --store-dir "$XDG_CACHE_HOME/pnpm"`,
  run: 'pnpm run',
  tool: { name: 'pnpm', ...version },
})

const bun = (locked: boolean, version: Version): PackageManager => ({
  install: `BUN_INSTALL_CACHE_DIR="$XDG_CACHE_HOME/bun" bun install${locked ? ' --frozen-lockfile' : ''}`,
  run: 'bun run',
  tool: { name: 'bun', ...version },
})

function yarn(locked: boolean, version: Version): PackageManager {
  const isClassic = semver.intersects(version.range, '1')
  if (isClassic) {
    const frozen = locked ? ' --frozen-lockfile' : ''
    return {
      install: `yarn install${frozen} --production=false --non-interactive`,
      run: 'yarn run',
      tool: { name: 'yarn', ...version },
    }
  }
  const mode = locked ? '--immutable' : '--no-immutable'
  return {
    install: `YARN_GLOBAL_FOLDER="$XDG_CACHE_HOME/yarn-berry" yarn install ${mode}`,
    run: 'yarn run',
    tool: { name: 'yarn-berry', ...version },
  }
}

/** The newest major version that writes this lockfile format. */
async function pnpmOfLockfile(directory: string): Promise<string> {
  const version = /^lockfileVersion:\s*'?([\d.]+)/m.exec((await readSmall(join(directory, 'pnpm-lock.yaml'), 64 << 20)) ?? '')?.[1] ?? '9'
  if (version.startsWith('5')) return '7'
  return version.startsWith('6') ? '8' : '9'
}

/** Yarn 2 and newer write `__metadata` into the lockfile and have their own configuration file. */
async function yarnOfFiles(directory: string): Promise<string> {
  const lockfile = await readSmall(join(directory, 'yarn.lock'), 64 << 20)
  const metadata = /^__metadata:\s*\n\s*version:\s*(\d+)/m.exec(lockfile ?? '')
  if (metadata !== null) return Number(metadata[1]) >= 8 ? '4' : '3'
  return lockfile === null && (await isFile(join(directory, '.yarnrc.yml'))) ? '4' : '1'
}
